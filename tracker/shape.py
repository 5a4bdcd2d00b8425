"""Size and roundness of masks as Jacobs et al. 2022 publish them: from the corners of the convex hull."""

from __future__ import annotations

import cv2
import numpy as np

from insitrack.io.detections import Masks
from insitrack.io.results import Floats


def hull_corners(masks: Masks, i: int) -> Floats:
    """Corners of the convex hull of the pixel centres of mask `i`, float64 (K, 2), x and y, px from the first pixel of its crop."""
    pixels = cv2.findNonZero(masks.crop(i).view(np.uint8))
    return np.zeros((0, 2)) if pixels is None else cv2.convexHull(pixels)[:, 0].astype(np.float64)


def corner_radii(masks: Masks) -> tuple[Floats, Floats]:
    """Distance of the nearest and of the farthest hull corner from the mean of all corners.

    Returns
    -------
    r_min, r_max : ndarray of float64, shape (N,)
        px; NaN for an empty mask.

    Notes
    -----
    Black dots measure 2 sqrt(r_min r_max), loops 2 r_max. The mean of the corners is not the centroid: 2 r_max is 2.5 to 3.5 % too
    large on ellipses like loops and 11 % on discs of 10 px, 2 sqrt(r_min r_max) is 1 to 9 % too small on discs. The published script
    takes the corners of the true defects from the outline as drawn; here both come from the mask.

    References
    ----------
    Jacobs et al., Cell Rep. Phys. Sci. 3 (2022) 100876, doi 10.1016/j.xcrp.2022.100876, and its public analysis script.

    Examples
    --------
    >>> [float(radius[0]) for radius in corner_radii(Masks.from_crops([np.ones((7, 9), bool)], [(0, 0)]))]
    [5.0, 5.0]
    """
    out = np.full((2, len(masks)), np.nan)
    for i in range(len(masks)):
        corners = hull_corners(masks, i)
        if len(corners):
            radius = np.hypot(*(corners - corners.mean(axis=0)).T)
            out[:, i] = radius.min(), radius.max()
    return out[0], out[1]


def heywood(masks: Masks) -> Floats:
    r"""Heywood circularity factor of the convex hulls, :math:`P / (2 \sqrt{\pi A})`: 1 for a circle, larger for what is long.

    Returns
    -------
    ndarray of float64, shape (N,)
        NaN where the hull has no area.

    References
    ----------
    Definition and use of the hull as in Jacobs et al. 2022, doi 10.1016/j.xcrp.2022.100876.

    Examples
    --------
    >>> float(heywood(Masks.from_crops([np.ones((11, 11), bool)], [(0, 0)]))[0].round(4))
    1.1284
    """
    out = np.full(len(masks), np.nan)
    for i in range(len(masks)):
        corners = hull_corners(masks, i)
        x, y = corners.T
        area = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
        if area > 0:
            out[i] = np.hypot(x - np.roll(x, -1), y - np.roll(y, -1)).sum() / (2 * np.sqrt(np.pi * area))
    return out
