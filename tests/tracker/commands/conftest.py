"""What the tests of the commands share."""

import pytest

from insitrack.tests.support.series_runs import linked_run, series


@pytest.fixture(scope="session")
def run(once):
    """A finished run folder."""
    return once("linked", linked_run) / "run_track"


@pytest.fixture(scope="session")
def plain(once, run):
    """What `track series` makes of it as it is."""
    return once("series", lambda folder: series(folder, run)) / "out"
