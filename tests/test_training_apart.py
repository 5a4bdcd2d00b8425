"""Tests that train, and those that load every module, run in processes of their own, see conftest."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


@pytest.mark.slow
@pytest.mark.parametrize("part", ["finetune", "networks/test_maskrcnn.py", "training", "../test_quality.py"])
def test_what_needs_a_process_of_its_own_passes_in_one(part: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", str(TESTS / "segment" / part)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
