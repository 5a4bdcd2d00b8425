"""Drift from the defects themselves, for detections that come without images."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from insitrack.io.arrays import Floats

_REACH_PX = 160.0
"""Longest sudden jump that is looked for, px."""
_CLOSE_PX = 4.0
"""A defect this near to where one is expected counts as the same one."""
_ENOUGH = 0.5
"""Share of the defects that must fit for a shift to be believed at once."""
_LEAST = 4
"""Fewer common defects than this say nothing about the stage."""


def drift_of_points(
    before: Floats, now: Floats, expected: tuple[float, float]
) -> tuple[tuple[float, float], float]:
    """Shift that brings most points onto others: the mode of all differences, then the median of the pairs.

    The mode is deaf to defects that move by themselves, to false ones and to those that were missed, as long
    as the specimen's own are the largest group that moves alike.

    Parameters
    ----------
    before : ndarray of float64, shape (N, 2)
        Where defects are known to be on the specimen, x and y, px.
    now : ndarray of float64, shape (M, 2)
        Where defects are seen on the frame, px.
    expected : tuple of float
        Shift of the frame before, px.

    Returns
    -------
    shift_px : tuple of float
        Shift of the specimen on the frame, px; the expected one where nothing better is known.
    quality : float
        Share of the defects that fit, 0..1; 0 where the shift is not known.

    Examples
    --------
    >>> grid = np.array([[3.0, 5], [40, 9], [22, 31], [60, 44], [15, 58], [48, 70]])
    >>> shift, quality = drift_of_points(grid, grid + [30, -12], (0.0, 0.0))
    >>> np.round(shift, 3).tolist(), quality
    ([30.0, -12.0], 1.0)
    """
    fewer = min(len(before), len(now))
    if fewer < _LEAST:
        return expected, 0.0
    tree = cKDTree(before)
    shift, share = _settle(tree, before, now, np.array(expected))
    if share >= _ENOUGH:
        return (float(shift[0]), float(shift[1])), share
    pairs = tree.query_ball_point(now - np.array(expected), _REACH_PX)
    sizes = [len(near) for near in pairs]
    if not sum(sizes):
        return expected, 0.0
    difference = (
        np.repeat(now, sizes, axis=0) - before[np.concatenate([np.array(near, np.int64) for near in pairs])]
    )
    bins = np.arange(-_REACH_PX, _REACH_PX + 2, 2.0)
    x, y = (difference - np.array(expected)).T
    counts, _, _ = np.histogram2d(x, y, bins=(bins, bins))
    padded, smooth = np.pad(counts, 1), np.zeros_like(counts)
    for i in range(3):
        for j in range(3):
            smooth += padded[i : i + counts.shape[0], j : j + counts.shape[1]]
    row, column = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
    start = np.array(expected) + np.array([bins[row] + 1, bins[column] + 1])
    other, other_share = _settle(tree, before, now, start)
    if other_share > share:
        shift, share = other, other_share
    if share * fewer < _LEAST:
        return expected, 0.0
    return (float(shift[0]), float(shift[1])), share


def _settle(tree: cKDTree, before: Floats, now: Floats, shift: Floats) -> tuple[Floats, float]:
    """Move by the median of what lies close, a few times; return the shift and the share that fits."""
    share = 0.0
    for reach in (2 * _CLOSE_PX, _CLOSE_PX, _CLOSE_PX):
        away, nearest = tree.query(now - shift, distance_upper_bound=reach)
        close = np.flatnonzero(np.isfinite(away))
        if len(close) < _LEAST:
            return shift, 0.0
        shift = shift + np.median(now[close] - shift - before[nearest[close]], axis=0)
        share = len(close) / min(len(before), len(now))
    return shift, min(1.0, share)
