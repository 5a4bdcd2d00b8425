"""Which detection is which true defect: overlaps of masks or boxes, and pairs one to one."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from insitrack.io.arrays import Floats, Ints
from insitrack.io.boxes import box_iou
from insitrack.io.detections import Detections
from insitrack.io.errors import SettingsError

Overlap = Literal["mask", "box"]
Method = Literal["hungarian", "greedy"]


def overlaps(found: Detections, true: Detections, overlap: Overlap = "mask") -> Floats:
    """Intersection over union of every detection with every true defect, float64 (N, M).

    It is that of the masks or that of the boxes.

    Raises
    ------
    SettingsError
        If `overlap` is neither.
    """
    if overlap not in get_args(Overlap):
        raise SettingsError(f"overlap {overlap!r}: expected one of {', '.join(get_args(Overlap))}")
    return found.masks.iou(true.masks) if overlap == "mask" else box_iou(found.boxes, true.boxes)


def pairs(iou: Floats, least_iou: float, method: Method = "hungarian") -> tuple[Ints, Ints]:
    """Pair detections with true defects, one to one, whatever their classes.

    Parameters
    ----------
    iou : ndarray of float64, shape (N, M)
        Overlap of N detections with M true defects.
    least_iou : float
        Overlap from which a pair counts, above 0 and up to 1.
    method : {"hungarian", "greedy"}
        `hungarian` makes as many pairs as can be made and, of these, takes those with the largest sum of
        overlaps; the order of the rows does not matter. `greedy` goes through the true defects in their order
        and gives each the detection of highest overlap that is not yet taken: with the overlap of boxes this
        is the rule of the script behind Jacobs et al. 2022, doi 10.1016/j.xcrp.2022.100876, and its result
        depends on the order of the labels.

    Returns
    -------
    rows, columns : ndarray of int64
        Detections and true defects, pair by pair.

    Raises
    ------
    SettingsError
        If the threshold or the method is impossible.

    Examples
    --------
    >>> iou = np.array([[0.6, 0.5], [0.4, 0.0]])
    >>> [sorted(zip(*map(np.ndarray.tolist, pairs(iou, 0.3, method)))) for method in ("hungarian", "greedy")]
    [[(0, 1), (1, 0)], [(0, 0)]]
    """
    if not 0 < least_iou <= 1:
        raise SettingsError(f"IoU {least_iou:g}: expected a number above 0 and up to 1")
    if method == "greedy":
        return _greedy(iou, least_iou)
    if method != "hungarian":
        raise SettingsError(f"matching {method!r}: expected one of {', '.join(get_args(Method))}")
    good = iou >= least_iou
    # every pair weighs more than all overlaps together: first their number, then the sum of their overlaps
    rows, columns = linear_sum_assignment(np.where(good, 1 + iou / (min(iou.shape) + 1), 0.0), maximize=True)
    kept = good[rows, columns]
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)


def _greedy(iou: Floats, least_iou: float) -> tuple[Ints, Ints]:
    rows, columns = [], []
    left = iou.copy()
    for column in range(iou.shape[1] if len(iou) else 0):
        row = int(left[:, column].argmax())
        if left[row, column] >= least_iou:
            rows.append(row)
            columns.append(column)
            left[row] = -1.0
    return np.array(rows, np.int64), np.array(columns, np.int64)
