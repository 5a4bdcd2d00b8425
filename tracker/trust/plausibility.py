"""What the detections of a frame say against it: sizes and fields of view that no defect has, places on a lattice."""

from __future__ import annotations

import math

import numpy as np

from insitrack.io.arrays import Floats

SMALLEST_NM, LARGEST_NM = 0.6, 5000.0
"""Median size of detections: below it they are atoms, above it the scale is wrong."""
NARROWEST_NM, WIDEST_NM = 25.0, 50_000.0
"""Field of view: below it atoms are seen, above it nothing of a few nm is."""
_FEW = 4
_MANY = 24
_REGULAR = 0.2
"""Spread of the distances to the nearest neighbour over their median: 0.5 where places are independent, less on
a lattice, and in dense fields of bubbles that keep their distance."""
_ALIGNED = 0.5
"""Bond-orientational order of the nearest neighbours: 1 on a lattice, next to nothing where only distances are
kept (Nelson, Halperin, Phys. Rev. B 19 (1979) 2457, doi 10.1103/PhysRevB.19.2457)."""


def against_scale(size_nm: Floats, view_nm: float) -> list[str]:
    """Reasons that sizes and field of view give.

    Parameters
    ----------
    size_nm : ndarray of float64, shape (N,)
        Sizes of the detections; NaN where unknown.
    view_nm : float
        Longer side of the frame; NaN where unknown.

    Examples
    --------
    >>> against_scale(np.full(9, 0.2), 14.0), against_scale(np.full(9, 8.0), 400.0), against_scale(np.full(9, 8.0), math.nan)
    (['view', 'size'], [], [])
    """
    reasons = []
    if not math.isnan(view_nm) and not NARROWEST_NM <= view_nm <= WIDEST_NM:
        reasons.append("view")
    known = size_nm[np.isfinite(size_nm) & (size_nm > 0)]
    if len(known) >= _FEW and not SMALLEST_NM <= float(np.median(known)) <= LARGEST_NM:
        reasons.append("size")
    return reasons


def on_lattice(x_px: Floats, y_px: Floats) -> bool:
    """Whether places are so evenly spaced that they must be a lattice.

    Parameters
    ----------
    x_px, y_px : ndarray of float64, shape (N,)
        Centres of the detections.

    Examples
    --------
    >>> y, x = np.mgrid[:8, :8] * 10.0
    >>> scattered = np.random.default_rng(1).uniform(0, 80, (2, 64))
    >>> on_lattice(x.ravel(), y.ravel()), on_lattice(*scattered)
    (True, False)
    """
    places = np.column_stack([x_px, y_px])
    places = places[np.isfinite(places).all(axis=1)][:2000]
    if len(places) < _MANY:
        return False
    from scipy.spatial import cKDTree

    distances, which = cKDTree(places).query(places, k=2)
    # a missed or doubled place makes a tail, which the middle of the distances does not see
    low, middle, high = np.percentile(distances[:, 1], [16, 50, 84])
    if (high - low) / 2 >= _REGULAR * middle:
        return False
    off = places[which[:, 1]] - places
    bond = np.exp(1j * np.arctan2(off[:, 1], off[:, 0]))
    return max(abs(complex((bond**fold).mean())) for fold in (2, 4, 6)) > _ALIGNED
