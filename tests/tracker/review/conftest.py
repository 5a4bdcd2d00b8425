"""A finished run to review, and a copy of it that a test may edit."""

import shutil

import pytest

import insitrack

SOURCE = "synth:two_beam?frames=12&size=192&seed=5&n=30"


@pytest.fixture(scope="session")
def finished(once):
    return once("reviewed", lambda folder: insitrack.track(SOURCE, folder / "run", video=False)) / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")
