"""Property tests draw the same examples in every run: a failure is a change of the code, not of the dice."""

import pytest
from hypothesis import settings

LAST = ("training", "finetune", "test_maskrcnn.py", "test_quality.py")
"""Tests that load PyTorch and its trainers into this process: those change threads, printing and how images are
opened for everything that runs after them."""

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of training after all others."""
    items.sort(key=lambda item: any(name in item.path.parts for name in LAST))
