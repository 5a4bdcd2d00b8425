"""Round numbers for the steps of axes and histograms."""

from __future__ import annotations

import math


def round_step(rough: float) -> float:
    """Smallest of 1, 2, 5, 10, ... times a power of ten that is not below a positive number.

    Examples
    --------
    >>> [round_step(rough) for rough in (0.3, 1.0, 21.0)]
    [0.5, 1.0, 50.0]
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
