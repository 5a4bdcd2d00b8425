"""Intervals of 95 % for counts, means and survival, in one place for every table, report and figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, stdtrit

from insitrack.io.arrays import Bools, Floats, Ints

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


def survival_curve(
    ages: Floats, ended: Bools, entered: Floats | None = None
) -> tuple[Floats, Floats, Floats, Floats, Ints]:
    """Share that lives longer than an age, after Kaplan and Meier, with its 95 % band.

    Parameters
    ----------
    ages : ndarray of float64, shape (N,)
        Age of each at its end, or when it was last seen, in any unit of time.
    ended : ndarray of bool, shape (N,)
        True where the end was seen; the others are censored.
    entered : ndarray of float64, shape (N,), optional
        Age from which each was watched: before that it could not have been lost. Left out: 0.

    Returns
    -------
    age, share, lo, hi : ndarray of float64, shape (M,)
        The steps of the curve from the first age at which anybody is watched to the largest; the band is that on the
        log-log scale, and has no width where it is not defined.
    n_at_risk : ndarray of int64, shape (M,)
        How many were watched at each of these ages.

    Examples
    --------
    >>> age, share, _, _, n = survival_curve(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    >>> age.tolist(), share.round(3).tolist(), n.tolist()
    ([0.0, 1.0, 3.0, 3.0], [1.0, 0.667, 0.0, 0.0], [3, 3, 1, 1])
    """
    entered = np.zeros(len(ages)) if entered is None else entered
    first, last = float(entered.min()), float(ages.max())
    # one that is lost at the age at which it came under watch was never watched
    t, deaths = np.unique(ages[ended & (entered < ages)], return_counts=True)
    n = np.array([np.count_nonzero((entered < at) & (ages >= at)) for at in t.tolist()], np.int64)
    share = np.cumprod(1 - deaths / np.maximum(n, 1))
    with np.errstate(all="ignore"):
        terms = np.sqrt(np.cumsum(deaths / (n * (n - deaths)))) * Z_95 / np.abs(np.log(share))
        low, high = share ** np.exp(terms), share ** np.exp(-terms)
    inside = (share > 0) & (share < 1) & np.isfinite(terms)
    ends = (np.where(inside, low, share), np.where(inside, high, share))
    out = [np.concatenate([[1.0], values, values[-1:]]) for values in (share, *ends)]
    watched = int(np.count_nonzero(entered <= first))
    at_risk = np.concatenate([[watched], n, n[-1:] if len(n) else [watched]])
    if not len(t):
        out = [np.ones(2)] * 3
    return np.concatenate([[first], t, [last]]), out[0], out[1], out[2], at_risk
