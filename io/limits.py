"""What the machine allows a command."""

from __future__ import annotations

import sys

from insitrack.io.errors import SettingsError

LEAST_MEMORY_BYTES = 2_000_000_000
"""What a small movie needs, with its network."""
LEAST_FOR_TABLES_BYTES = 1_200_000_000
"""What the libraries of tables need: with less they end in the middle of being loaded."""


def check_memory(least_bytes: int = LEAST_MEMORY_BYTES) -> None:
    """Refuse a limit of memory under which libraries crash or hang instead of saying so.

    Parameters
    ----------
    least_bytes : int
        Address space that is needed, bytes.

    Raises
    ------
    SettingsError
        If less is allowed.
    """
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < least_bytes:
        raise SettingsError(
            f"only {limit / 1e9:.1f} GB of memory are allowed (ulimit -v); expected at least"
            f" {least_bytes / 1e9:.2g} GB: raise the limit"
        )
