"""Masks as runs of pixels, and their size and circularity as defined by Jacobs et al. 2022.

Both follow from the corners of the convex hull.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import Masks


@dataclass(frozen=True, slots=True)
class Runs:
    """Unbroken runs of pixels along the rows of all masks, in order.

    Coordinates x and y count from the first pixel of the crop.
    """

    owner: Ints
    y: Ints
    left: Ints
    right: Ints


def runs_of(masks: Masks) -> Runs:
    """Cut all crops into runs: between two changes of value, or at the start of a row, lies one run or none."""
    heights, widths = (
        masks.sizes[:, 0].astype(np.int64),
        np.repeat(masks.sizes[:, 1].astype(np.int64), masks.sizes[:, 0]),
    )
    owner = np.repeat(np.arange(len(masks)), heights)
    y = np.arange(len(owner)) - np.repeat(np.cumsum(heights) - heights, heights)
    first = np.cumsum(widths) - widths
    pixels = masks.pixels
    row_start = np.zeros(len(pixels), bool)
    row_start[first[widths > 0]] = True
    cut = row_start.copy()
    cut[1:] |= pixels[1:] != pixels[:-1]
    starts = np.flatnonzero(cut)
    filled = pixels[starts]
    ends = np.append(starts[1:], len(pixels))[filled]
    row = np.flatnonzero(widths > 0)[np.cumsum(row_start[starts])[filled] - 1]
    return Runs(owner[row], y[row], starts[filled] - first[row], ends - 1 - first[row])


def first_of_each(owner: Ints) -> Ints:
    """Place of the first run of each mask that has runs."""
    new = np.ones(len(owner), bool)
    np.not_equal(owner[1:], owner[:-1], out=new[1:])
    return np.flatnonzero(new)


def hull_shape(runs: Runs, n: int) -> tuple[Floats, Floats, Floats]:
    r"""Nearest and farthest hull corner from the mean of all corners, and Heywood's circularity of the hull.

    Parameters
    ----------
    runs : Runs
        All masks, cut into runs: a corner is the end of one.
    n : int
        Number of masks.

    Returns
    -------
    r_min, r_max, heywood : ndarray of float64, shape (N,)
        px, px and dimensionless: :math:`P / (2 \sqrt{\pi A})`, 1 for a circle, larger for what is long. NaN
        for an empty mask, and the circularity where the hull has no area.

    Notes
    -----
    Black dots measure 2 sqrt(r_min r_max), loops 2 r_max. The mean of the corners is not the centroid: 2
    r_max is 2.5 to 3.5 % too large on ellipses like loops and 11 % on discs of 10 px, 2 sqrt(r_min r_max) is
    1 to 9 % too small on discs. The published script takes the corners of the true defects from the outline
    as drawn; here both come from the mask.

    References
    ----------
    Jacobs et al., Cell Rep. Phys. Sci. 3 (2022) 100876, doi 10.1016/j.xcrp.2022.100876, and its public
    analysis script.

    Examples
    --------
    >>> [float(values[0].round(4)) for values in hull_shape(runs_of(Masks.from_crops([np.ones((7, 9), bool)], [(0, 0)])), 1)]
    [5.0, 5.0, 1.1401]
    """
    r_min, r_max, perimeter, area = (np.full(n, np.nan) for _ in range(4))
    order = np.argsort(np.concatenate([runs.owner, runs.owner]), kind="stable")
    ends = np.column_stack([np.concatenate([runs.left, runs.right]), np.concatenate([runs.y, runs.y])])[
        order
    ].astype(np.int32)
    starts = first_of_each(runs.owner)
    rows, bounds = runs.owner[starts], [*(2 * starts).tolist(), len(ends)]
    hulls = [cv2.convexHull(ends[i:j]) for i, j in itertools.pairwise(bounds)]
    if hulls:
        perimeter[rows], area[rows] = (
            [cv2.arcLength(hull, True) for hull in hulls],
            [cv2.contourArea(hull) for hull in hulls],
        )
        size = np.array([len(hull) for hull in hulls])
        starts = np.cumsum(size) - size
        corners = np.concatenate(hulls)[:, 0].astype(np.float64)
        offset = corners - np.repeat(np.add.reduceat(corners, starts, axis=0) / size[:, None], size, axis=0)
        radius = np.hypot(*offset.T)
        r_min[rows], r_max[rows] = np.minimum.reduceat(radius, starts), np.maximum.reduceat(radius, starts)
    return r_min, r_max, perimeter / (2 * np.sqrt(np.pi * np.where(area > 0, area, np.nan)))
