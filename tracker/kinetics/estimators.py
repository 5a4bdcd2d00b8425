"""Kinetics from tracks: lifetimes, growth, rates of events; arrays in, numbers with intervals out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from insitrack.io.arrays import Floats, Ints
from insitrack.io.intervals import Z_95, poisson_interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval and how many observations it rests on.

    Parameters
    ----------
    value, lo, hi : float
        NaN where they are not known.
    n : int
        Observations: deaths, tracks, births or steps.
    """

    value: float
    lo: float
    hi: float
    n: int

    @classmethod
    def unknown(cls, n: int) -> Estimate:
        """Nothing that `n` observations tell."""
        return cls(math.nan, math.nan, math.nan, n)


@dataclass(frozen=True, slots=True)
class Survival:
    """Share of defects that live longer than a time, after Kaplan and Meier.

    Parameters
    ----------
    t_s : ndarray of float64, shape (K,)
        Lifetimes at which somebody died, rising, s.
    survival : ndarray of float64, shape (K,)
        Share that lives longer than each.
    sd : ndarray of float64, shape (K,)
        Standard deviation of that, after Greenwood.
    n_at_risk : ndarray of int64, shape (K,)
        Defects that were watched at each of these ages.
    n_deaths : ndarray of int64, shape (K,)
        Deaths at each.
    """

    t_s: Floats
    survival: Floats
    sd: Floats
    n_at_risk: Ints
    n_deaths: Ints

    def median(self) -> Estimate:
        """First lifetime that half of the defects do not outlive.

        Its interval is that of Brookmeyer and Crowley on the log-log scale.

        NaN where more than half outlive the movie; `hi` is infinite where the movie is too short to bound it.
        """
        lower, upper = self.band()
        deaths = int(self.n_deaths.sum())
        first = [self.t_s[curve <= 0.5] for curve in (self.survival, lower, upper)]
        value, lo, hi = (float(times[0]) if len(times) else math.inf for times in first)
        return Estimate(
            math.nan if math.isinf(value) else value, math.nan if math.isinf(lo) else lo, hi, deaths
        )

    def band(self) -> tuple[Floats, Floats]:
        """95 % band of the curve, on the log-log scale, so that it stays between 0 and 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(self.survival)
            width = Z_95 * self.sd / (self.survival * np.abs(logs))
            low, high = self.survival ** np.exp(width), self.survival ** np.exp(-width)
        inside = (self.survival > 0) & (self.survival < 1)
        return np.where(inside, low, self.survival), np.where(inside, high, self.survival)


def kaplan_meier(
    lifetime_s: ArrayLike,
    died: ArrayLike,
    entered_s: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> Survival:
    r"""Survival curve of defects of which some were there before the movie began, and some outlive it.

    .. math:: S(t) = \prod_{t_i \le t} \left(1 - d_i / n_i\right), \quad
       \mathrm{var} = S^2 \sum d_i / (n_i (n_i - d_i))

    Parameters
    ----------
    lifetime_s : array_like of float, shape (N,)
        Age at the last observation, s.
    died : array_like of bool, shape (N,)
        False where it is censored: alive at the end, out of the field, or merged.
    entered_s : array_like of float, shape (N,), optional
        Age at which a defect came under watch, s (left truncation): it counts as at risk from then on only.
        Default: 0, watched from birth.
    weight : array_like of float, shape (N,), optional
        Probability that each is a defect at all: it dies, and is at risk, with that share. Default: 1.

    Returns
    -------
    Survival
        `n_at_risk` and `n_deaths` are numbers of tracks, whatever their weights.

    Raises
    ------
    ValueError
        If a lifetime is negative or not finite, or ends before it came under watch.

    References
    ----------
    Kaplan, Meier, J. Am. Stat. Assoc. 53 (1958) 457, doi 10.1080/01621459.1958.10501452.

    Examples
    --------
    >>> curve = kaplan_meier([2, 3, 3, 5, 8], [True, True, False, True, False])
    >>> curve.survival.round(4).tolist(), curve.median().value
    ([0.8, 0.6, 0.3], 5.0)
    """
    ages, deaths = np.asarray(lifetime_s, np.float64), np.asarray(died, bool)
    entered = np.zeros(len(ages)) if entered_s is None else np.asarray(entered_s, np.float64)
    wrong = np.flatnonzero(~(np.isfinite(ages) & np.isfinite(entered) & (ages >= entered) & (entered >= 0)))
    if len(wrong):
        i = int(wrong[0])
        raise ValueError(
            f"lifetime_s[{i}] = {ages[i]}, entered_s[{i}] = {entered[i]}: expected finite ages, 0 <= entered"
            " <= lifetime"
        )
    w = np.ones(len(ages)) if weight is None else np.asarray(weight, np.float64)
    times, of, n_deaths = np.unique(ages[deaths], return_inverse=True, return_counts=True)
    # at risk: under watch already, and not gone; one who is censored at an age at which another dies was
    # still there
    came, left = np.argsort(entered, kind="stable"), np.argsort(ages, kind="stable")
    n_came = np.searchsorted(entered[came], times, side="left")
    n_left = np.searchsorted(ages[left], times, side="left")
    at_risk = np.asarray(n_came - n_left, np.int64)
    sums = [np.append(0.0, np.cumsum(w[order])) for order in (came, left)]
    dead, alive = np.bincount(of, w[deaths], len(times)), sums[0][n_came] - sums[1][n_left]
    factors = 1 - dead / np.where(alive > 0, alive, 1.0)
    # exactly none where all are gone
    survival = np.asarray(np.cumprod(np.where(at_risk > n_deaths, factors, 0.0)), np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.cumsum(dead / (alive * (alive - dead)))
        sd = np.where(survival > 0, survival * np.sqrt(terms), 0.0)
    return Survival(times, survival, sd, at_risk, n_deaths.astype(np.int64))


def mean_lifetime(lifetime_s: ArrayLike, died: ArrayLike, entered_s: ArrayLike | None = None) -> Estimate:
    r"""Mean lifetime if deaths come at a constant rate: all time under watch over the number of deaths, s.

    The interval is exact for that many deaths: the time over the ends of their Poisson interval.

    Examples
    --------
    >>> mean_lifetime([2, 3, 3, 5, 8], [True, True, False, True, False]).value
    7.0
    """
    ages = np.asarray(lifetime_s, np.float64)
    watched = float((ages - (0.0 if entered_s is None else np.asarray(entered_s, np.float64))).sum())
    n = int(np.count_nonzero(np.asarray(died, bool)))
    fewest, most = (float(end) for end in poisson_interval(n))
    hi = watched / fewest if n else math.inf
    return Estimate(watched / n if n else math.nan, watched / most, hi, n)


def growth_rate(t_s: ArrayLike, size_nm: ArrayLike) -> Estimate:
    """Growth of one defect, nm/s.

    It is the median of the slopes between all pairs of observations (Theil-Sen), which single bad
    outlines do not move.

    NaN sizes are left out; fewer than three observations say nothing.

    References
    ----------
    Sen, J. Am. Stat. Assoc. 63 (1968) 1379, doi 10.1080/01621459.1968.10480934.

    Examples
    --------
    >>> growth_rate([0, 500, 1000, 1500, 2000, 2500], [5, 6, 7, 8, 9, 10]).value
    0.002
    """
    t, size = np.asarray(t_s, np.float64), np.asarray(size_nm, np.float64)
    known = np.isfinite(t) & np.isfinite(size)
    n = int(np.count_nonzero(known))
    if n < 3 or np.ptp(t[known]) == 0:
        return Estimate.unknown(n)
    return Estimate(*_theil_sen(t[known], size[known]), n)


def _theil_sen(t: Floats, y: Floats) -> tuple[float, float, float]:
    """Median slope of all pairs and its 95 % interval (Sen's, with ties in y), as scipy has it, in one pass."""
    n = len(t)
    one, other = np.triu_indices(n, 1)
    dt = t[other] - t[one]
    slopes = np.sort((y[other] - y[one])[dt != 0] / dt[dt != 0])
    ties = [np.unique(values, return_counts=True)[1] for values in (y, t)]
    tied = sum(float((k * (k - 1) * (2 * k + 5)).sum()) for k in ties)
    sigma = math.sqrt(max(0.0, (n * (n - 1) * (2 * n + 5) - tied) / 18))
    count = len(slopes)
    upper = min(int(np.round((count + Z_95 * sigma) / 2)), count - 1)
    lower = max(int(np.round((count - Z_95 * sigma) / 2)) - 1, 0)
    return float(np.median(slopes)), float(slopes[lower]), float(slopes[upper])


def event_rate(n_events: int, field_nm2: float, duration_s: float) -> Estimate:
    """Events such as nucleation or coalescence per area and time, 1/(m^2 s), with the exact Poisson interval.

    Parameters
    ----------
    n_events : int
        Births inside the field that were seen to begin there, or mergers. Leave out what was there in the
        first frame or came in at the border.
    field_nm2 : float
        Area that was watched, nm^2.
    duration_s : float
        For how long, s.

    Examples
    --------
    >>> event_rate(20, 250_000.0, 100.0).value
    800000000000.0
    """
    exposure = field_nm2 * 1e-18 * duration_s
    if not exposure > 0:
        return Estimate.unknown(n_events)
    lo, hi = (float(end) for end in poisson_interval(n_events))
    return Estimate(n_events / exposure, lo / exposure, hi / exposure, n_events)


def population_mean(values: ArrayLike, errors: ArrayLike) -> tuple[Estimate, float]:
    r"""Mean of a population of which each member is known with an error of its own.

    The spread between members beyond their errors is taken from the data (DerSimonian and Laird), weights are
    :math:`1 / (s_i^2 + \sigma^2)`, and the interval is that of Knapp and Hartung.

    Parameters
    ----------
    values, errors : array_like of float, shape (N,)
        Values and their standard deviations; a value without a positive error counts with the median one.

    Returns
    -------
    Estimate
        The mean; fewer than two values have no interval.
    float
        Standard deviation of the members about it; NaN where unknown.

    References
    ----------
    DerSimonian, Laird, Control. Clin. Trials 7 (1986) 177; Knapp, Hartung, Stat. Med. 22 (2003) 2693.

    Examples
    --------
    >>> mean, between = population_mean([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])
    >>> round(mean.value, 3), round(between, 2)
    (2.0, 0.99)
    """
    x, s = np.asarray(values, np.float64).ravel(), np.asarray(errors, np.float64).ravel()
    x, s = x[np.isfinite(x)], s[np.isfinite(x)]
    n = len(x)
    if n < 2:
        return Estimate(float(x[0]) if n else math.nan, math.nan, math.nan, n), math.nan
    good = np.isfinite(s) & (s > 0)
    usual = float(np.median(s[good])) if good.any() else 1.0
    w = 1 / np.where(good, np.maximum(s, 0.1 * usual), usual) ** 2
    q = float((w * (x - (w * x).sum() / w.sum()) ** 2).sum())
    scale = float(w.sum() - (w**2).sum() / w.sum())
    between = max(0.0, (q - (n - 1)) / scale) if scale > 0 and good.any() else float(x.var(ddof=1))
    w = 1 / (1 / w + between) if good.any() else np.ones(n)
    mean = float((w * x).sum() / w.sum())
    sd = math.sqrt(float((w * (x - mean) ** 2).sum() / ((n - 1) * w.sum())))
    half = float(stats.t.ppf(0.975, n - 1)) * sd
    return Estimate(mean, mean - half, mean + half, n), math.sqrt(between)
