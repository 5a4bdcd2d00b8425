"""Intervals of 95 % for counts, means and survival, in one place for every table, report and figure."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, stdtrit

from insitrack.io.arrays import Bools, Floats

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

    It follows from Student's t; NaN below two values.

    Examples
    --------
    >>> float(mean_half_width(10).round(4))
    0.7154
    """
    count = np.asarray(n, np.float64)
    known = np.where(count >= 2, count, np.nan)
    return np.asarray(stdtrit(known - 1, 0.975) / np.sqrt(known), np.float64)


def survival_curve(ages: Floats, ended: Bools) -> tuple[Floats, Floats, Floats, Floats]:
    """Share that lives longer than an age, after Kaplan and Meier, with its 95 % band.

    Parameters
    ----------
    ages : ndarray of float64, shape (N,)
        Age of each at its end, or when it was last seen, in any unit of time.
    ended : ndarray of bool, shape (N,)
        True where the end was seen; the others are censored.

    Returns
    -------
    age, share, lo, hi : ndarray of float64, shape (M,)
        The steps of the curve from age 0 on to the largest age; the band is that on the log-log scale
        (scipy), and has no width where it is not defined.

    Examples
    --------
    >>> age, share, _, _ = survival_curve(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    >>> age.tolist(), share.round(3).tolist()
    ([0.0, 1.0, 2.0, 3.0, 3.0], [1.0, 0.667, 0.667, 0.0, 0.0])
    """
    from scipy.stats import CensoredData, ecdf  # slow to load

    found = ecdf(CensoredData(uncensored=ages[ended], right=ages[~ended])).sf
    t, share = found.quantiles, found.probabilities
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        band = found.confidence_interval(0.95, method="log-log")
    low, high = (
        np.where(np.isfinite(end.probabilities), end.probabilities, share) for end in (band.low, band.high)
    )
    last = float(ages.max())
    out = [np.concatenate([[1.0], values, values[-1:]]) for values in (share, low, high)]
    return np.concatenate([[0.0], t, [last]]), out[0], out[1], out[2]
