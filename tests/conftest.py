"""Property tests draw the same examples in every run: a failure is a change of the code, not of the dice."""

import os

import pytest
from hypothesis import settings

from insitrack.tests.support.once import Once, made_once

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

APART = ("training", "finetune", "test_maskrcnn.py", "test_quality.py")
"""Tests that train, or load every module: PyTorch and its trainers beside OpenVINO ended the process now and then."""


def keep_to_own_cores() -> None:
    """Give each worker of pytest-xdist its share of the cores: two that use all of them wait for each other."""
    worker, n = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if not hasattr(os, "sched_setaffinity") or not worker.startswith("gw"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if n <= len(cores):
        os.sched_setaffinity(0, cores[int(worker[2:]) :: n])


keep_to_own_cores()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests that need a process of their own to `test_training_apart`, where that runs too."""
    if any(item.path.name == "test_training_apart.py" for item in items):
        apart = [item for item in items if any(name in item.path.parts for name in APART)]
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]


@pytest.fixture(scope="session")
def once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder that is dear to make; all processes of one test run share it."""
    worker = hasattr(request.config, "workerinput")
    above = tmp_path_factory.getbasetemp().parent if worker else tmp_path_factory.mktemp("once")
    return lambda name, make: made_once(above, name, make)
