"""What the tests of the commands share."""

import pytest

from insitrack.tests.support.series_runs import linked_run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A finished run folder."""
    return linked_run(tmp_path_factory.mktemp("series"))
