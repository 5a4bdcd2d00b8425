"""Overlap of axis-aligned boxes; one rule for boxes without area everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats


def box_iou(boxes: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Intersection over union of every pair of boxes, computed in float64.

    A box without area overlaps nothing: its intersection over union is 0, also with itself.

    Parameters
    ----------
    boxes, others : ndarray, shape (N, 4) and (M, 4)
        x1 y1 x2 y2, px.

    Returns
    -------
    ndarray of float64, shape (N, M)
        Between 0 and 1.

    Examples
    --------
    >>> box_iou(np.array([[0, 0, 10, 10]]), np.array([[5, 0, 15, 10], [3, 3, 3, 9]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    return _iou(boxes.astype(np.float64)[:, None], others.astype(np.float64)[None])


def paired_box_iou(boxes: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Intersection over union of boxes row by row, by the rule of `box_iou`.

    Parameters
    ----------
    boxes, others : ndarray, shape (N, 4)
        x1 y1 x2 y2, px.

    Returns
    -------
    ndarray of float64, shape (N,)
        Between 0 and 1.

    Examples
    --------
    >>> paired_box_iou(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 5]])).tolist()
    [0.5]
    """
    return _iou(boxes.astype(np.float64), others.astype(np.float64))


def _iou(a: Floats, b: Floats) -> Floats:
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = _area(a) + _area(b) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _area(boxes: Floats) -> Floats:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
