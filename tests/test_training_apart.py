"""The tests that train run in processes of their own, see conftest."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


@pytest.mark.slow
@pytest.mark.parametrize("part", ["finetune", "networks/test_maskrcnn.py", "training"])
def test_the_tests_that_train_pass(part: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", str(TESTS / "segment" / part)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
