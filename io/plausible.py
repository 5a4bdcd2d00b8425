"""What a foil and a beam can be: figures outside are slips of the pen, wherever they are given."""

from __future__ import annotations

THICKNESS_NM = (1.0, 1e5)
"""A single nanometre, and far beyond what any beam goes through."""
DOSE_RATE_DPA_PER_S = (1e-12, 1e3)
"""Slower than decay in storage, and faster than any beam."""


def plausible(value: float, limits: tuple[float, float], *, zero: bool = False) -> bool:
    """Whether a figure can be; `zero` allows 0 too, as for a beam that is off.

    Examples
    --------
    >>> plausible(100.0, THICKNESS_NM), plausible(5e-324, THICKNESS_NM), plausible(float("nan"), THICKNESS_NM)
    (True, False, False)
    """
    return limits[0] <= value <= limits[1] or (zero and value == 0)
