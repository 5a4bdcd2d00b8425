"""Outlines as polygons through the corners of pixels: their area is the number of pixels inside."""

from __future__ import annotations

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage, Ints

_RIGHT_OF = {(1, 0): (0, 1), (0, 1): (-1, 0), (-1, 0): (0, -1), (0, -1): (1, 0)}
"""Direction after a turn to the right, y down."""


def polygons(mask: BoolImage) -> list[Ints]:
    """Outer outlines of the connected parts of a mask, the largest first; holes are filled.

    Parameters
    ----------
    mask : ndarray of bool, shape (h, w)
        The mask; pixels that touch at a corner only are two parts.

    Returns
    -------
    list of ndarray of int64, shape (P, 2)
        Corners (x, y), clockwise on the screen, the last one not repeated.

    Examples
    --------
    >>> polygons(np.ones((2, 3), bool))[0].tolist()
    [[0, 0], [3, 0], [3, 2], [0, 2]]
    """
    n, parts, facts, _ = cv2.connectedComponentsWithStats(np.asarray(mask, np.uint8), connectivity=4)
    order = 1 + np.argsort(-facts[1:n, cv2.CC_STAT_AREA], kind="stable")
    return [_walk(parts == part) for part in order.tolist()]


def _walk(part: BoolImage) -> Ints:
    """Go around a part with its pixels to the right, from its first pixel, and keep the corners."""
    inside = np.pad(part, 1)
    y, x = (int(value) - 1 for value in np.argwhere(inside)[0])
    start, direction = (x, y), (1, 0)
    corners = [start]
    at = (x + 1, y)
    while at != start:
        turned = _turn(inside, at, direction)
        if turned != direction:
            corners.append(at)
            direction = turned
        at = at[0] + direction[0], at[1] + direction[1]
    return np.array(corners, np.int64)


def _turn(inside: BoolImage, at: tuple[int, int], direction: tuple[int, int]) -> tuple[int, int]:
    """Direction in which the outline goes on from a corner."""
    right = _RIGHT_OF[direction]
    if not _ahead(inside, at, direction, right):
        return right
    left = -right[0], -right[1]
    return left if _ahead(inside, at, direction, left) else direction


def _ahead(inside: BoolImage, at: tuple[int, int], direction: tuple[int, int], side: tuple[int, int]) -> bool:
    """Whether the pixel ahead of a corner, on a side, belongs to the part."""
    x = at[0] + (direction[0] + side[0] - 1) // 2
    y = at[1] + (direction[1] + side[1] - 1) // 2
    return bool(inside[y + 1, x + 1])
