"""What starts slowly is started once."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """One worker process, whose start costs seconds."""
    pytest.importorskip("distributed")
    from insitrack.tracker.many.cluster import ClusterChoice, connected

    with connected(ClusterChoice(workers=1), 1) as client:
        yield client
