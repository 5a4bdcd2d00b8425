"""Intervals of 95 % for counts and means, in one place for every table, report and figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, stdtrit

from insitrack.io.arrays import Floats

Z_95 = 1.959964
"""Half width of the 95 % interval in standard deviations."""


def poisson_interval(n: ArrayLike) -> tuple[Floats, Floats]:
    """Exact 95 % interval of the expected count, given that `n` were counted.

    Parameters
    ----------
    n : array_like of float
        Counts. They need not be whole: a mean over frames that rests on so many independent defects has the
        interval of that many.

    Returns
    -------
    low, high : ndarray of float64
        Ends of the interval, of the shape of `n`; NaN where `n` is.

    References
    ----------
    Garwood, Biometrika 28 (1936) 437, doi 10.1093/biomet/28.3-4.437.

    Examples
    --------
    >>> [end.round(3).tolist() for end in poisson_interval([0, 10])]
    [[0.0, 4.795], [3.689, 18.39]]
    """
    count = np.asarray(n, np.float64)
    low = gammaincinv(np.where(count > 0, count, 1.0), 0.025)
    return np.where(count > 0, low, 0.0 * count), np.asarray(gammaincinv(count + 1, 0.975), np.float64)


def mean_half_width(n: ArrayLike) -> Floats:
    """Half width of the 95 % interval of the mean of `n` values, in their standard deviations.

    NaN below two (Student's t).

    Examples
    --------
    >>> float(mean_half_width(10).round(4))
    0.7154
    """
    count = np.asarray(n, np.float64)
    known = np.where(count >= 2, count, np.nan)
    return np.asarray(stdtrit(known - 1, 0.975) / np.sqrt(known), np.float64)
