"""How defects move: diffusion with its interval, the error of positions, and whether there is a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from insitrack.io.arrays import Floats, Ints

_MIN_STEPS, _MIN_TRACKS = 8, 5


@dataclass(frozen=True, slots=True)
class Diffusion:
    """How defects move at random.

    Parameters
    ----------
    d_nm2_per_s, lo, hi : float
        Diffusion coefficient, along the line of motion where it is one-dimensional, and its 95 % interval from
        the scatter between tracks; the interval is NaN below five tracks.
    localisation_nm : float
        Standard deviation of a measured position in one direction.
    dimensions : int
        1 or 2.
    axis_deg : float
        Direction of one-dimensional motion, degrees from x towards y; NaN in two dimensions.
    p_isotropic : float
        Chance of motion as unequal as this if there were no preferred direction.
    n : int
        Steps.
    """

    d_nm2_per_s: float
    lo: float
    hi: float
    localisation_nm: float
    dimensions: int
    axis_deg: float
    p_isotropic: float
    n: int


def diffusion(
    steps_nm: ArrayLike,
    interval_s: float,
    next_nm: ArrayLike | None = None,
    track: ArrayLike | None = None,
    significance: float = 0.01,
) -> Diffusion:
    r"""Diffusion coefficient from steps between consecutive frames.

    The mean squared displacement is :math:`2 k D \tau + 2 k s^2` in k dimensions (Michalet 2010, doi
    10.1103/PhysRevE.82.041914), and errors of position make consecutive steps run against each other:
    :math:`\langle \Delta x_i \Delta x_{i+1} \rangle = -s^2`. Both give D and s without a fit. A direction is
    looked for in what is left of the steps when the errors are taken off, track by track (Rayleigh's test of
    axes), so that errors of position, also unequal ones in x and y, are not taken for glide.

    Parameters
    ----------
    steps_nm : array_like of float, shape (N, 2)
        Displacements (x, y) from frame to frame, drift taken off, all tracks together, nm.
    interval_s : float
        Time between the frames, s.
    next_nm : array_like of float, shape (N, 2), optional
        The step of the same track that follows each, NaN where there is none. Left out: positions count as
        exact.
    track : array_like of int, shape (N,), optional
        Track of each step. Left out: every step is one of its own.
    significance : float
        Below this chance of isotropy the motion counts as one-dimensional.

    Raises
    ------
    ValueError
        If `interval_s` is not positive.

    References
    ----------
    Mardia, Jupp, Directional Statistics, Wiley 1999 (Rayleigh's test, axial data).
    """
    steps = np.asarray(steps_nm, np.float64).reshape(-1, 2)
    if not interval_s > 0:
        raise ValueError(f"interval_s = {interval_s}: expected a positive time between frames, s")
    n = len(steps)
    if n < _MIN_STEPS:
        return Diffusion(math.nan, math.nan, math.nan, math.nan, 2, math.nan, math.nan, n)
    if not steps.any():
        # nothing moved: no spread of which a direction or an error of position could be said
        return Diffusion(0.0, math.nan, math.nan, math.nan, 2, math.nan, math.nan, n)
    of = np.arange(n) if track is None else np.unique(np.asarray(track), return_inverse=True)[1]
    following = None if next_nm is None else np.asarray(next_nm, np.float64).reshape(-1, 2)
    p_isotropic, moments = _isotropy(steps, following, of)
    (small, large), axes = np.linalg.eigh(moments)
    one = p_isotropic < significance and small < 0.5 * large
    axis = axes[:, 1]
    along = (steps @ axis)[:, None] if one else steps
    after = None if following is None else (following @ axis)[:, None] if one else following
    k = along.shape[1]
    noise = 0.0
    if after is not None:
        known = np.isfinite(after).all(axis=1)
        products = (along[known] * after[known]).sum(axis=1)
        noise = max(0.0, -float(products.mean()) / k) if known.any() else math.nan
    d = max(0.0, float((along**2).sum(axis=1).mean()) - 2 * k * noise) / (2 * k * interval_s)
    half = _half_width(along, after, of) / (2 * k * interval_s)
    angle = math.degrees(math.atan2(axis[1], axis[0])) % 180 if one else math.nan
    lo = max(0.0, d - half) if math.isfinite(half) else math.nan
    return Diffusion(d, lo, d + half, math.sqrt(noise), k, angle, p_isotropic, n)


def _isotropy(steps: Floats, following: Floats | None, of: Ints) -> tuple[float, Floats]:
    """Chance of this much direction in isotropic motion, and the second moments of the motion, (2, 2).

    Each track's moments, errors of position taken off, have a length and a doubled angle; without a preferred
    direction the angles are random, and the sum of the tracks is a random walk.
    """
    x, y = steps.T
    parts = np.column_stack([x * x, y * y, x * y])
    if following is not None:
        known = np.asarray(np.isfinite(following).all(axis=1))
        after = np.where(known[:, None], following, 0.0)
        corrections = np.column_stack(
            [2 * x * after[:, 0], 2 * y * after[:, 1], x * after[:, 1] + y * after[:, 0]]
        )
        pairs, counts = np.bincount(of, known), np.bincount(of)
        # pairs are fewer than steps: each stands for its share; a track without any says nothing of its errors
        factor = counts / np.where(pairs > 0, pairs, np.inf)
        parts = (parts + corrections * factor[of][:, None])[pairs[of] > 0]
        of = of[pairs[of] > 0]
    if not len(parts):
        return 1.0, np.eye(2)
    xx, yy, xy = (np.bincount(of, part) for part in parts.T)
    east, north = xx - yy, 2 * xy
    total = float((east**2 + north**2).sum())
    p = math.exp(-(east.sum() ** 2 + north.sum() ** 2) / total) if total > 0 else 1.0
    return p, np.array([[xx.sum(), xy.sum()], [xy.sum(), yy.sum()]]) / len(parts)


def _half_width(along: Floats, after: Floats | None, of: Ints) -> float:
    """Half width of the 95 % interval of the mean squared step, errors taken off, from the scatter of tracks."""
    squares = (along**2).sum(axis=1)
    if after is not None:
        known = np.asarray(np.isfinite(after).all(axis=1))
        share = len(along) / max(1, int(np.count_nonzero(known)))
        squares = squares + 2 * share * np.where(
            known, (along * np.where(known[:, None], after, 0.0)).sum(1), 0.0
        )
    sums, counts = np.bincount(of, squares), np.bincount(of)
    sums, counts = sums[counts > 0], counts[counts > 0]
    m = len(sums)
    if m < _MIN_TRACKS:
        return math.nan
    away = sums - sums.sum() / counts.sum() * counts
    sd = math.sqrt(float((away**2).sum()) * m / (m - 1)) / float(counts.sum())
    return float(stats.t.ppf(0.975, m - 1)) * sd
