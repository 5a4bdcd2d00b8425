r"""Lives as they were watched, and what they say of lifetimes when looks miss defects.

A defect that is there is seen in a look with probability d = 1 - q. A track counts from its k-th observation on
(`CONFIRMED`): shorter ones are dropped as doubtful, so that all before is known to have been survived (left
truncation). It ends at its last observation; how long it lived on unseen is not known, only that it was not seen in the h
looks in which it would still have lain wholly in view (h = 0: at the border, merged, at the end: right censoring).
With deaths at a constant rate, p = exp(-dt / tau) is the chance to live to the next look, and

.. math:: \ln L = \sum_i w_i (m_i \ln p + \ln u_{h_i}), \quad u_h = (1 - p) + p q u_{h-1}, \quad u_0 = 1

with m the looks from the k-th to the last observation and w the probability that the track is a defect at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import brentq, minimize, minimize_scalar

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.kinetics.estimators import Estimate, Survival, kaplan_meier

CONFIRMED = 3
"""Observations from which on a track counts: with fewer, it may have been dropped as doubtful."""
_UNLIKELY = 0.02
"""A run of misses that is less likely than this is an end."""
_MOST_LOOKS = 60
_CHI2_95 = 1.9207
"""Half of the 95 % quantile of chi-squared with one degree of freedom."""
_NONE_95 = -math.log(0.025)
"""Deaths on average of which none is seen in 2.5 % of cases: where none is, the lower end is exact."""
_LEAST_OF_A_SIZE = 40
"""Tracks that each third of the sizes needs, so that its share of misses is looked at apart."""
_LEAST_SEEN_SHARE = 0.7
"""Where fewer defects than this live to the first age at which they are watched, a median says nothing."""


@dataclass(frozen=True, slots=True)
class Lives:
    """What is known of each track's life; arrays of N.

    Parameters
    ----------
    looks : ndarray of float64
        Looks from the first to the last observation, the first one not counted.
    n_seen : ndarray of int64
        Observations.
    horizon : ndarray of int64
        Looks after the last observation in which it would have lain wholly in view; 0: its end cannot be told.
    began : ndarray of bool
        Its birth was seen: it lay wholly in view in looks before the first observation, and was not there.
    size_nm : ndarray of float64
        Mean size, nm.
    weight : ndarray of float64
        Probability that it is a defect.
    """

    looks: Floats
    n_seen: Ints
    horizon: Ints
    began: Bools
    size_nm: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.looks)

    def take(self, rows: Ints | Bools) -> Lives:
        """Return the tracks asked for."""
        return Lives(*(getattr(self, field.name)[rows] for field in fields(self)))

    def confirmed(self) -> Lives:
        """Return the tracks with enough observations to count."""
        return self.take(self.n_seen >= CONFIRMED)

    def looks_until(self, observation: int) -> Floats:
        """Return the looks from the first to a later observation: the mean share, as gaps of a track are alike."""
        return self.looks * (observation - 1) / np.maximum(self.n_seen - 1, 1)

    def miss_share(self) -> float:
        """Share of the looks in which a defect that is there is not seen."""
        some = self.confirmed()
        return miss_share(some.looks, some.n_seen, some.weight)

    def missed(self) -> Floats:
        """Return that share for each track: of defects of its size, where the sizes differ in it."""
        answer = np.full(len(self), self.miss_share())
        parts = self.by_size()
        shares = [part.seen_share() for part in parts]
        if any(one.lo > other.hi for one in shares for other in shares):
            edges = [float(np.nanmax(part.size_nm)) for part in parts[:-1]]
            group = np.searchsorted(edges, np.where(np.isfinite(self.size_nm), self.size_nm, edges[0]))
            answer = np.array([1 - one.value for one in shares])[group]
        return answer

    def by_size(self) -> list[Lives]:
        """Return the smallest, middle and largest third of the confirmed tracks; none where they are few."""
        some = self.confirmed()
        some = some.take(np.isfinite(some.size_nm))
        if len(some) < 3 * _LEAST_OF_A_SIZE:
            return []
        low, high = np.quantile(some.size_nm, [1 / 3, 2 / 3]).tolist()
        third = (some.size_nm > low).astype(int) + (some.size_nm > high)
        parts = [some.take(third == i) for i in range(3)]
        return parts if min(map(len, parts)) >= _LEAST_OF_A_SIZE else []

    def seen_share(self) -> Estimate:
        """Chance that a defect that is there is seen in a look; the interval from the scatter between tracks.

        n is the number of looks between first and last observations.
        """
        some = self.confirmed()
        between, seen = some.looks - 1, some.n_seen - 2.0
        d = 1 - self.miss_share()
        total = float((some.weight * between).sum())
        if total <= 0 or len(some) < 2:
            return Estimate.unknown(int(between.sum()) if len(some) else 0)
        away = some.weight * (seen - d * between)
        half = 1.96 * math.sqrt(float((away**2).sum()) * len(some) / (len(some) - 1)) / total
        half = max(half, 1.9 / total)  # none missed in so many says no more than three in so many at most
        return Estimate(d, max(0.0, d - half), min(1.0, d + half), int(between.sum()))

    def patience(self) -> Ints:
        """Return the looks in a row after which one that is not seen is not there; see `looks_to_be_sure`."""
        return np.array([looks_to_be_sure(q) for q in self.missed().tolist()], np.int64)

    def died(self) -> Bools:
        """Find which ends count as deaths where lifetimes are listed one by one."""
        return np.asarray(self.horizon >= self.patience(), bool)


def miss_share(looks: Floats, n_seen: Ints, weight: Floats) -> float:
    r"""Share of looks missed, from tracks with at least `CONFIRMED` observations; maximum likelihood.

    The first and the last look of a track are seen by definition; of the M between them K were, and those with too
    few are not there: :math:`L = d^K q^{M-K} / P(K \ge k - 2)`.

    Examples
    --------
    >>> miss_share(np.array([10.0, 10.0]), np.array([11, 9]), np.ones(2)).__round__(2)
    0.11
    """
    between, seen = np.maximum(looks - 1, 0.0), np.maximum(n_seen - 2.0, 0.0)
    total, found = float((weight * between).sum()), float((weight * seen).sum())
    if total <= 0 or found >= total:
        return 0.0
    lengths, of = np.unique(np.round(between).astype(np.int64), return_inverse=True)
    many = np.bincount(of, weight)

    def cost(q: float) -> float:
        there = -np.expm1(lengths * math.log(q))  # at least one of them: CONFIRMED is 3
        logs = found * math.log1p(-q) + (total - found) * math.log(q)
        return float((many * np.log(there)).sum()) - logs

    return float(minimize_scalar(cost, bounds=(1e-6, 0.95), method="bounded", options={"xatol": 1e-6}).x)


def looks_to_be_sure(miss_share: float) -> int:
    """Return the looks in a row after which a defect that was not seen is not there, with 2 % of doubt.

    Examples
    --------
    >>> looks_to_be_sure(0.0), looks_to_be_sure(0.1), looks_to_be_sure(0.3)
    (1, 2, 4)
    """
    if miss_share <= _UNLIKELY:
        return 1
    return min(_MOST_LOOKS, math.ceil(math.log(_UNLIKELY) / math.log(miss_share) - 1e-9))


def expected_number(weight: Floats) -> int:
    """Return how many of these there are, each with its probability; at least one where there may be one.

    Examples
    --------
    >>> expected_number(np.array([1.0, 0.5, 0.25])), expected_number(np.array([0.25])), expected_number(np.zeros(0))
    (2, 1, 0)
    """
    return max(round(float(weight.sum())), 1) if len(weight) else 0


def exponential_mean(lives: Lives, interval_s: float) -> Estimate:
    """Mean lifetime if deaths come at a constant rate, s: maximum likelihood, interval from its profile.

    Parameters
    ----------
    lives : Lives
        Tracks, also those that were there from the start or came in: without memory their age does not matter.
    interval_s : float
        Time between looks, s.

    Returns
    -------
    Estimate
        n is the number of ends that count as deaths. Without one there is a lower end only.

    Examples
    --------
    A hundred tracks that end after 10 looks each from their third observation on:

    >>> one, n = np.ones(100), np.full(100, 13)
    >>> lives = Lives(12.0 * one, n, np.full(100, 50), one > 0, one, one)
    >>> round(exponential_mean(lives, 1.0).value, 2)
    10.49
    """
    some = lives.confirmed()
    after = some.looks - some.looks_until(CONFIRMED)
    n = expected_number(some.weight[some.died()])
    watched = float((some.weight * after).sum())
    horizon = np.minimum(some.horizon, _MOST_LOOKS)
    shares, which = np.unique(some.missed(), return_inverse=True)
    by_horizon = np.zeros((len(shares), _MOST_LOOKS + 1))
    np.add.at(by_horizon, (which, horizon), some.weight)

    def log_likelihood(log_tau: float) -> float:
        p = math.exp(-math.exp(-log_tau))
        unseen, total = np.ones(len(shares)), watched * math.log(p)
        for h in range(1, _MOST_LOOKS + 1):
            unseen = (1 - p) + p * shares * unseen
            total += float(by_horizon[:, h] @ np.log(unseen))
        return total

    if watched <= 0:
        return Estimate.unknown(n)
    low, high = math.log(0.05), math.log(1e7)
    best = minimize_scalar(lambda x: -log_likelihood(x), bounds=(low, high), method="bounded")
    at, top = float(best.x), -float(best.fun)

    drop = _CHI2_95 if n else _NONE_95

    def below(x: float) -> float:
        return top - log_likelihood(x) - drop

    lo = math.exp(brentq(below, low, at)) if below(low) > 0 else 0.0
    hi = math.exp(brentq(below, at, high)) if below(high) > 0 else math.inf
    if n == 0:
        return Estimate(math.nan, lo * interval_s, math.inf, 0)
    return Estimate(math.exp(at) * interval_s, lo * interval_s, hi * interval_s, n)


def confirmed_share(tau_looks: float, missed: Floats) -> Floats:
    r"""Chance that a defect which is born between two looks is seen often enough to count.

    .. math:: P = f r (p r)^{k-1}, \quad f = \tau (1 - e^{-1/\tau}), \quad r = d / (1 - p q)

    f is the chance to live to the next look, r that of a defect that is there to be seen at all from now on.

    Examples
    --------
    >>> confirmed_share(3.0, np.array([0.0])).round(3), confirmed_share(30.0, np.array([0.1])).round(3)
    (array([0.437]), array([0.91]))
    """
    p = math.exp(-1 / tau_looks)
    r = (1 - missed) / (1 - p * missed)
    return np.asarray(tau_looks * (1 - p) * r * (p * r) ** (CONFIRMED - 1))


def _ages(lives: Lives, tau_looks: float) -> tuple[Floats, Floats]:
    """Age at which each comes under watch, and at its end, looks.

    Half a look and the misses in front are added, and behind where it died. A track whose end could not be told is
    watched only as long as it could have been: until so many looks before it was lost that a death would be known.
    """
    q = lives.missed()
    p = math.exp(-1 / tau_looks) if math.isfinite(tau_looks) else 1.0
    unseen, sure, died = 0.5 + p * q / (1 - p * q), lives.patience(), lives.died()
    enter = unseen + lives.looks_until(CONFIRMED)
    leave = lives.looks + unseen + np.where(died, unseen, lives.horizon - sure)
    return enter, np.maximum(leave, enter)


def survival(lives: Lives, interval_s: float, tau_s: float) -> tuple[Survival, float]:
    """Kaplan-Meier curve of the births that were seen, from the age at which they count.

    Returns
    -------
    Survival
        With the share that lives to the first age at which somebody is watched put in front, after the constant
        rate `tau_s`: of what dies before, the movie shows nothing.
    share : float
        That share.
    """
    some = lives.confirmed()
    some = some.take(some.began)
    enter, leave = _ages(some, tau_s / interval_s) if len(some) else (np.zeros(0), np.zeros(0))
    curve = kaplan_meier(leave * interval_s, some.died(), enter * interval_s, some.weight)
    first = float(enter.min()) * interval_s if len(some) else 0.0
    share = math.exp(-first / tau_s) if math.isfinite(tau_s) and tau_s > 0 else 1.0
    return Survival(
        curve.t_s, curve.survival * share, curve.sd * share, curve.n_at_risk, curve.n_deaths
    ), share


def enough_is_seen(share: float) -> bool:
    """Check whether a median is known where this share lives to be watched."""
    return share >= _LEAST_SEEN_SHARE


def weibull(lives: Lives, interval_s: float, tau_s: float) -> tuple[Estimate, Estimate]:
    """Shape and scale, s, of a Weibull law of lifetimes, by maximum likelihood with truncation and censoring.

    A shape above 1 means that old defects die faster, below 1 slower; 1 is a constant rate. Intervals are Wald's on
    the logarithms.

    Parameters
    ----------
    lives : Lives
        Tracks; only births that were seen count.
    interval_s, tau_s : float
        Time between looks, and the mean lifetime at a constant rate, s.
    """
    some = lives.confirmed()
    some = some.take(some.began)
    died = some.died()
    n = int(np.count_nonzero(died))
    if n < 5:
        nothing = Estimate.unknown(n)
        return nothing, nothing
    enter, leave = (ages * interval_s / tau_s for ages in _ages(some, tau_s / interval_s))
    w = some.weight

    def cost(x: Floats) -> float:
        shape, scale = np.exp(x)
        hazard = np.log(shape / scale) + (shape - 1) * np.log(leave / scale)
        return float((w * ((leave / scale) ** shape - (enter / scale) ** shape - died * hazard)).sum())

    found = minimize(cost, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7})
    step = 1e-3
    grid = step * np.eye(2)
    bend = np.array(
        [
            [
                (
                    cost(found.x + a + b)
                    - cost(found.x + a - b)
                    - cost(found.x - a + b)
                    + cost(found.x - a - b)
                )
                for b in grid
            ]
            for a in grid
        ]
    ) / (4 * step**2)
    variance = np.diag(np.linalg.inv(bend)) if np.linalg.det(bend) > 0 else np.full(2, math.nan)
    half = 1.96 * np.sqrt(np.where(variance > 0, variance, math.nan))
    half[half > 20] = math.nan  # an interval of eight decades either way says nothing
    value, low, high = np.exp(found.x), np.exp(found.x - half), np.exp(found.x + half)
    shape, scale = (Estimate(float(value[i]), float(low[i]), float(high[i]), n) for i in (0, 1))
    return shape, Estimate(scale.value * tau_s, scale.lo * tau_s, scale.hi * tau_s, n)
