"""Skeleton of a map of lines and its graph: branches between crossings and free ends, spurs pruned."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage
from insitrack.segment.lines.length import Chain

_NEIGHBOURS = (
    (-1, 0),
    (0, -1),
    (0, 1),
    (1, 0),
    (-1, -1),
    (-1, 1),
    (1, -1),
    (1, 1),
)  # straight ones first: corners are not cut


def thin(mask: BoolImage) -> BoolImage:
    """Skeleton of a mask, one pixel wide, 8-connected."""
    from skimage.morphology import skeletonize

    padded = np.pad(np.asarray(mask, bool), 1)
    return np.asarray(skeletonize(padded), bool)[1:-1, 1:-1]


@dataclass(slots=True)
class Arm:
    """A branch of the skeleton: its chain of pixels and the crossing at either end, -1 at a free end."""

    chain: Chain
    nodes: list[int]


def _degree(skeleton: BoolImage) -> NDArray[np.uint8]:
    """Count the skeleton pixels around each skeleton pixel."""
    kernel = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
    around = cv2.filter2D(skeleton.view(np.uint8), -1, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(around * skeleton, np.uint8)


def skeleton_graph(skeleton: BoolImage) -> tuple[list[Arm], NDArray[np.int32]]:
    """Cut a skeleton at its crossings.

    Parameters
    ----------
    skeleton : ndarray of bool, shape (H, W)
        One pixel wide.

    Returns
    -------
    arms : list
        Branches, each a chain of pixels with the number of the crossing at either end, -1 at a free end. A
        closed curve without a crossing has the same first and last pixel.
    nodes : ndarray of int32, shape (H, W)
        Number of the crossing that a pixel belongs to, 0 elsewhere.
    """
    forks = (_degree(skeleton) > 2) & skeleton
    _, nodes = cv2.connectedComponents(forks.view(np.uint8), connectivity=8)
    plain = skeleton & ~forks
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(plain), strict=True)}
    ends = [(int(y), int(x)) for y, x in zip(*np.nonzero(plain & (_degree(plain) <= 1)), strict=True)]
    arms = []
    for start in [*ends, *sorted(left)]:  # what is left over after the ends are closed curves
        if start not in left:
            continue
        path = [start]
        left.discard(start)
        while (following := _neighbour(path[-1], left)) is not None:
            left.discard(following)
            path.append(following)
        closed = (
            len(path) > 3
            and max(abs(path[0][0] - path[-1][0]), abs(path[0][1] - path[-1][1])) == 1
            and start not in ends
        )
        if closed:
            path.append(start)
        arms.append(_attached(path, nodes, closed=closed))
    return arms, np.asarray(nodes, np.int32)


def _neighbour(pixel: tuple[int, int], among: set[tuple[int, int]]) -> tuple[int, int] | None:
    for dy, dx in _NEIGHBOURS:
        if (pixel[0] + dy, pixel[1] + dx) in among:
            return pixel[0] + dy, pixel[1] + dx
    return None


def _attached(path: list[tuple[int, int]], nodes: NDArray[np.int32], *, closed: bool) -> Arm:
    """Say which crossings a path touches, and lengthen it to the pixel of the crossing that it touches."""
    if closed:
        return Arm(np.array(path, np.int32), [-1, -1])
    found, touched = [-1, -1], [path[0], path[-1]]
    for side in (0, 1):
        y, x = touched[side]
        for dy, dx in _NEIGHBOURS:
            v, u = y + dy, x + dx
            if not (0 <= v < nodes.shape[0] and 0 <= u < nodes.shape[1]) or not nodes[v, u]:
                continue
            if len(path) == 1 and side == 1 and nodes[v, u] == found[0] and (v, u) == touched[0]:
                continue
            found[side], touched[side] = int(nodes[v, u]), (v, u)
            break
    full = [touched[0]] * (found[0] > 0) + path + [touched[1]] * (found[1] > 0)
    return Arm(np.array(full, np.int32), found)


def pruned(skeleton: BoolImage, least_px: float) -> BoolImage:
    """Remove side branches that end freely and are shorter than `least_px`, the shortest first, until none is left.

    A line that stands alone is kept however short it is.
    """
    out = skeleton.copy()
    for _ in range(8):
        arms, nodes = skeleton_graph(out)
        spurs = [
            arm for arm in arms if (arm.nodes[0] > 0) != (arm.nodes[1] > 0) and len(arm.chain) - 1 < least_px
        ]
        if not spurs:
            return out
        # of the arms of one crossing only the shortest goes at a time: the other may be the end of the line
        shortest: dict[int, Arm] = {}
        for arm in spurs:
            node = max(arm.nodes)
            if node not in shortest or len(arm.chain) < len(shortest[node].chain):
                shortest[node] = arm
        for arm in shortest.values():
            inner = arm.chain[nodes[arm.chain[:, 0], arm.chain[:, 1]] == 0]
            out[inner[:, 0], inner[:, 1]] = False
        out = thin(out)
    return out
