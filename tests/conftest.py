"""Property tests draw the same examples in every run: a failure is a change of the code, not of the dice."""

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

APART = ("training", "finetune", "test_maskrcnn.py")
"""Tests that train: beside OpenVINO in one process PyTorch and its trainers have ended it with a segmentation fault."""
LAST = ("test_quality.py",)
"""Loads every module, PyTorch's users too, into the process."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that train to `test_training_apart`, where that runs too, and load every module last."""
    if any(item.path.name == "test_training_apart.py" for item in items):
        apart = [item for item in items if any(name in item.path.parts for name in APART)]
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]
    items.sort(key=lambda item: item.path.name in LAST)
