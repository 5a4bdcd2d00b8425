"""Density that saturates with dose or time: one likelihood, for a fit with interval and for many draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from insitrack.io.arrays import Floats
from insitrack.io.intervals import Z_95
from insitrack.tracker.kinetics.estimators import Estimate

_IDENTIFIABLE = 1.0  # a saturation below this many characteristic doses is a straight line


@dataclass(frozen=True, slots=True)
class Saturation:
    """Density against dose, N_sat (1 - exp(-dose / dose_0)).

    Parameters
    ----------
    n_sat, dose_0 : Estimate
        In the units of the data, with profile-likelihood intervals; `hi` is infinite where the data do not
        bound it.
    identifiable : bool
        False where the largest dose is below `dose_0`: the data are a straight line, and only the ratio N_sat
        / dose_0 is known.
    """

    n_sat: Estimate
    dose_0: Estimate
    identifiable: bool

    def at(self, dose: ArrayLike) -> Floats:
        """Fitted count or density at a dose."""
        return np.asarray(self.n_sat.value * -np.expm1(-np.asarray(dose, np.float64) / self.dose_0.value))


def saturation(dose: ArrayLike, count: ArrayLike) -> Saturation:
    """Fit a saturating count of defects against dose, by the likelihood of Poisson counts.

    Frames of one movie show mostly the same defects: give counts far enough apart in time, or the intervals
    are too narrow.

    Parameters
    ----------
    dose : array_like of float, shape (N,)
        Dose, dpa, or time, s.
    count : array_like of float, shape (N,)
        Defects in a field of one size; NaN is left out.

    Raises
    ------
    ValueError
        If there are fewer than four points, or a dose or count is negative.
    """
    x, y = np.asarray(dose, np.float64), np.asarray(count, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 4 or (x < 0).any() or (y < 0).any() or not x.max() > 0 or not y.sum() > 0:
        raise ValueError(
            f"{len(x)} usable points: expected at least four, none negative, not all of them zero"
        )

    lowest, highest = math.log(x[x > 0].min() / 30), math.log(x.max() * 300)
    grid = np.linspace(lowest, highest, 400)
    cost = _best_n_sat(x, y[None], np.exp(grid))[1][0]
    i = int(cost.argmin())
    bracket = (grid[max(0, i - 1)], grid[min(len(grid) - 1, i + 1)])

    def at(log_dose_0: float) -> tuple[float, float]:
        n_sat, cost = _best_n_sat(x, y[None], np.exp([log_dose_0]))
        return float(n_sat[0, 0]), float(cost[0, 0])

    found = float(
        optimize.minimize_scalar(
            lambda log_dose_0: at(log_dose_0)[1], bounds=bracket, method="bounded", options={"xatol": 1e-10}
        ).x
    )
    n_sat, least = at(found)
    inside = grid[cost <= least + 0.5 * Z_95**2]
    lo, hi = (inside[0], inside[-1]) if len(inside) else (found, found)
    open_end = hi >= grid[-1]
    sats = [at(end)[0] for end in (lo, hi)]
    relative = Z_95 / math.sqrt(float(y.sum()))  # what the number of defects alone leaves uncertain
    n_interval = Estimate(
        n_sat,
        min(sats[0], n_sat * (1 - relative)),
        math.inf if open_end else max(sats[1], n_sat * (1 + relative)),
        len(x),
    )
    dose_0 = math.exp(found)
    return Saturation(
        n_interval,
        Estimate(dose_0, math.exp(lo), math.inf if open_end else math.exp(hi), len(x)),
        bool(x.max() >= _IDENTIFIABLE * dose_0),
    )


def best_saturations(x: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Best N_sat and x_0 for each row of counts, on a grid with steps of 2 %.

    Made for many resamples of one movie; the likelihood is that of `saturation`.

    Examples
    --------
    >>> x = np.linspace(0.0, 5.0, 20)
    >>> sat, start = best_saturations(x, 100 * -np.expm1(-x / 2)[None])
    >>> bool(abs(sat[0] - 100) < 2), bool(abs(start[0] - 2) < 0.1)
    (True, True)
    """
    grid = np.geomspace(x[x > 0].min() / 30, x.max() * 300, 600)
    n_sat, cost = _best_n_sat(x, counts, grid)
    best = np.nanargmin(np.where(np.isfinite(cost), cost, np.inf), axis=1)
    return np.asarray(n_sat[np.arange(len(counts)), best]), np.asarray(grid[best])


def _best_n_sat(x: Floats, counts: Floats, x_0: Floats) -> tuple[Floats, Floats]:
    """Best N_sat of each row of counts at each x_0, and the negative log-likelihood of Poisson counts there.

    Points at x = 0, where the curve is zero whatever its constants, do not distinguish one x_0 from another.

    Parameters
    ----------
    x : ndarray of float64, shape (N,)
        Dose or time.
    counts : ndarray of float64, shape (R, N)
        Counts at each.
    x_0 : ndarray of float64, shape (G,)
        Constants to try.

    Returns
    -------
    n_sat, cost : ndarray of float64, shape (R, G)
    """
    shape = -np.expm1(-x[None] / x_0[:, None])
    total, late = counts.sum(axis=1)[:, None], x > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        n_sat = total / shape.sum(axis=1)[None]
        logs = counts[:, late] @ np.log(np.maximum(shape[:, late], 1e-300)).T
        cost = total - logs - counts[:, late].sum(axis=1)[:, None] * np.log(n_sat)
    return n_sat, cost
