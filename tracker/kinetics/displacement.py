r"""Mean squared displacement against the time between two observations: error of position, diffusion, confinement.

With a position error s in each direction, the mean squared displacement in the plane after a time t is

.. math:: m(t) = 4 s^2 + 4 D t, \qquad m(t) = 4 s^2 + R^2 (1 - e^{-4 D t / R^2})

for free motion, and for motion that is confined within a circle of radius R, where the largest relaxation stands for
all of them (Saxton, Jacobson, Annu. Rev. Biophys. Biomol. Struct. 26 (1997) 373, doi 10.1146/annurev.biophys.26.1.373).
Lags of one track are not independent, so that every interval comes from drawing whole tracks again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from insitrack.io.arrays import Floats, Ints
from insitrack.tracker.kinetics.estimators import Estimate

_LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_MIN_TRACKS, _MIN_LAGS = 8, 4
"""Tracks that a lag needs, and lags that a fit needs."""
_DRAWS, _SURE = 200, 0.975
_BENDS = np.concatenate([[1e-6], np.geomspace(0.02, 3.0, 40)])
"""Rates 4 D / R^2 that are tried, per shortest lag; the first one is free motion."""


@dataclass(frozen=True, slots=True)
class Displacement:
    """Mean squared displacement of the tracks of one class.

    Parameters
    ----------
    lag_s, msd_nm2, lo, hi : ndarray of float64, shape (K,)
        Time between two observations, s, and the mean over them, nm^2, with its 95 % interval.
    n_tracks : ndarray of int64, shape (K,)
        Tracks that have such a pair.
    sums, counts : ndarray of float64, shape (T, K)
        Sum of squares and number of pairs of every track.
    """

    lag_s: Floats
    msd_nm2: Floats
    lo: Floats
    hi: Floats
    n_tracks: Ints
    sums: Floats
    counts: Floats


@dataclass(frozen=True, slots=True)
class DisplacementFit:
    """What the curve says.

    Parameters
    ----------
    localisation_nm : Estimate
        Error of a position in one direction.
    confinement_nm : Estimate
        Radius of the circle; NaN where free motion explains the curve.
    why_free : str
        Why there is no radius.
    """

    localisation_nm: Estimate
    confinement_nm: Estimate
    why_free: str


def displacement(track: Ints, look: Ints, points_nm: Floats, interval_s: float) -> Displacement:
    """Mean squared displacement at lags of 1 to 128 looks.

    Parameters
    ----------
    track, look : ndarray of int64, shape (N,)
        Track and look of every observation, sorted by both; a view that was changed counts as many looks.
    points_nm : ndarray of float64, shape (N, 2)
        Places on the specimen as they were measured, nm.
    interval_s : float
        Time between looks, s.

    Examples
    --------
    >>> track, look = np.repeat(np.arange(50), 40), np.tile(np.arange(40), 50)
    >>> steps = np.random.default_rng(0).normal(0, 1, (50, 40, 2))
    >>> curve = displacement(track, look, np.cumsum(steps, axis=1).reshape(-1, 2), 1.0)
    >>> bool(abs(curve.msd_nm2[3] / curve.lag_s[3] - 2) < 0.2)
    True
    """
    code = np.unique(track, return_inverse=True)[1].astype(np.int64)
    n, width = int(code.max()) + 1 if len(code) else 0, int(look.max()) + 1 + _LAGS[-1] if len(look) else 1
    key = code * width + look
    kept: list[tuple[Any, ...]] = []
    for lag in _LAGS:
        other = np.searchsorted(key, key + lag)
        pair = np.flatnonzero(key[np.minimum(other, len(key) - 1)] == key + lag) if len(key) else other
        squares = ((points_nm[other[pair]] - points_nm[pair]) ** 2).sum(axis=1)
        sums, counts = np.bincount(code[pair], squares, n), np.bincount(code[pair], minlength=n).astype(float)
        some = int(np.count_nonzero(counts))
        if some < _MIN_TRACKS:
            continue
        mean = float(sums.sum() / counts.sum())
        away = (sums - mean * counts)[counts > 0]
        sd = math.sqrt(float((away**2).sum()) * some / (some - 1)) / float(counts.sum())
        half = float(stats.t.ppf(0.975, some - 1)) * sd
        kept.append((lag * interval_s, mean, max(0.0, mean - half), mean + half, some, sums, counts))
    columns = [np.array([one[i] for one in kept]) for i in range(5)]
    empty = np.zeros((n, 0))
    return Displacement(
        columns[0],
        columns[1],
        columns[2],
        columns[3],
        columns[4].astype(np.int64),
        np.column_stack([one[5] for one in kept]) if kept else empty,
        np.column_stack([one[6] for one in kept]) if kept else empty,
    )


def fit_displacement(curve: Displacement) -> DisplacementFit:
    """Fit free and confined motion, and say which one the curve needs.

    Motion is called confined only if 97.5 % of the draws of whole tracks bend.

    Parameters
    ----------
    curve : Displacement
        Of one class.
    """
    k, n = len(curve.lag_s), int(curve.n_tracks[0]) if len(curve.lag_s) else 0
    nothing = Estimate.unknown(n)
    if k < _MIN_LAGS:
        return DisplacementFit(nothing, nothing, f"fewer than {_MIN_LAGS} lags with {_MIN_TRACKS} tracks")
    if not curve.msd_nm2.any():
        return DisplacementFit(nothing, nothing, "nothing moved")
    random = np.random.default_rng(0)
    weights = random.multinomial(len(curve.sums), np.full(len(curve.sums), 1 / len(curve.sums)), _DRAWS)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (weights @ curve.sums) / (weights @ curve.counts)
    drawn = np.where(np.isfinite(drawn), drawn, curve.msd_nm2)
    sd = np.maximum((curve.hi - curve.lo) / 4, 1e-9 * float(curve.msd_nm2.max()) + 1e-12)
    offset, plateau, bend = _best(np.vstack([curve.msd_nm2, drawn]), curve.lag_s / curve.lag_s[0], sd)
    noise = np.sqrt(np.maximum(offset, 0.0) / 4)
    lo, hi = np.quantile(noise[1:], [0.025, 0.975]).tolist()
    localisation = Estimate(float(noise[0]), min(lo, float(noise[0])), max(hi, float(noise[0])), n)
    if bend[0] == 0 or np.mean(bend[1:] > 0) < _SURE:
        why = f"free motion explains the displacements over {curve.lag_s[-1]:.3g} s"
        return DisplacementFit(localisation, nothing, why)
    radius = np.sqrt(plateau[np.append(True, bend[1:] > 0)])
    lo, hi = np.quantile(radius[1:], [0.025, 0.975]).tolist()
    confinement = Estimate(float(radius[0]), min(lo, float(radius[0])), max(hi, float(radius[0])), n)
    return DisplacementFit(localisation, confinement, "")


def _best(curves: Floats, lag: Floats, sd: Floats) -> tuple[Floats, Floats, Floats]:
    """Offset, plateau and bend (0: free) of the best fit of every curve; least squares, at each bend in turn."""
    n = len(curves)
    offset, plateau, chosen = np.zeros(n), np.zeros(n), np.zeros(n)
    least = np.full(n, np.inf)
    w = 1 / sd**2
    for i, bend in enumerate(_BENDS.tolist()):
        rise = -np.expm1(-bend * lag)
        mean = (w * rise).sum() / w.sum()
        spread = (w * (rise - mean) ** 2).sum()
        height = np.maximum((curves * (w * (rise - mean))).sum(axis=1) / spread, 0.0)
        base = (curves * w).sum(axis=1) / w.sum() - height * mean
        below = base < 0  # no error of position is less than none
        height = np.where(below, (curves * (w * rise)).sum(axis=1) / (w * rise**2).sum(), height)
        base = np.maximum(base, 0.0)
        misfit = (w * (curves - base[:, None] - height[:, None] * rise) ** 2).sum(axis=1)
        # a bend is one more constant: it must pay for itself
        better = misfit + (2.0 if i else 0.0) < least
        offset, plateau = np.where(better, base, offset), np.where(better, height, plateau)
        chosen = np.where(better, bend if i else 0.0, chosen)
        least = np.where(better, misfit + (2.0 if i else 0.0), least)
    return offset, plateau, chosen
