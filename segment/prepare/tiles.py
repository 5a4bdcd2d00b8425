"""Large frames by overlapping tiles: memory stays flat, and a defect on a seam is one defect."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Ints
from insitrack.io.detections import Detections, Masks

Box = NDArray[np.float64]  # x0 y0 x1 y1

_GRID = 32  # tiles begin at multiples of the networks' stride: a tile shows a defect exactly as the whole frame would
_OVERLAP_PX = 192  # twice the largest defects that the network knows: each is whole, with its surroundings, in some tile
_WHOLE_PX = 1536  # frames up to this square run whole
_LARGEST_PX = 1280  # side of a tile where none is asked for
_SLACK_PX = 4.0  # two tiles see a defect's centre this much apart, at most
_SAME = 0.4  # IoU, inside what both tiles show, from which two detections are one defect


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of an image.

    Parameters
    ----------
    y, x, height, width : int
        Its window, px.
    core : ndarray of float64, shape (4,)
        x0 y0 x1 y1, px: the cores of all tiles share out the plane along the middles of the overlaps;
        infinite towards the outside.
    window : ndarray of float64, shape (4,)
        The window in the same form, infinite where the image ends: only at the finite sides is anything
        cut.
    """

    y: int
    x: int
    height: int
    width: int
    core: Box
    window: Box


def tiles(shape: tuple[int, int], tile_px: int = 0) -> list[Tile]:
    """Cover an image with tiles of one size, as few as possible.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image, px.
    tile_px : int
        Longest side of a tile, px; 0 decides from the size of the image, and leaves small ones whole.

    Returns
    -------
    list of Tile
        Row by row; one tile that is the image where it need not be cut. Sides of tiles are multiples of 32
        px, so that the last ones may reach beyond an image whose sides are not.

    Examples
    --------
    >>> [len(tiles((side, side))) for side in (1024, 2048, 4096)]
    [1, 4, 16]
    """
    height, width = (-(-side // _GRID) * _GRID for side in shape)
    longest = tile_px or (max(height, width) if height * width <= _WHOLE_PX**2 else _LARGEST_PX)
    rows, columns = _spans(height, longest), _spans(width, longest)
    out = []
    for (y, h, y0, y1, top, bottom), (x, w, x0, x1, left, right) in itertools.product(rows, columns):
        out.append(Tile(y, x, h, w, np.array([x0, y0, x1, y1]), np.array([left, top, right, bottom])))
    return out


def _spans(length: int, longest: int) -> list[tuple[int, int, float, float, float, float]]:
    """Cut one axis: start, length, both ends of the core, both ends of the window."""
    longest = -(-longest // _GRID) * _GRID
    if length <= longest:
        return [(0, length, -math.inf, math.inf, -math.inf, math.inf)]
    overlap = min(_OVERLAP_PX, longest // 2) + _GRID  # the starts are rounded to the grid
    n = -(-(length - overlap) // (longest - overlap))
    side = -(-(length + (n - 1) * overlap) // (n * _GRID)) * _GRID
    starts = [round(i * (length - side) / ((n - 1) * _GRID)) * _GRID for i in range(n)]
    middles = [-math.inf, *((a + side + b) / 2 for a, b in itertools.pairwise(starts)), math.inf]
    left = [-math.inf, *map(float, starts[1:])]
    right = [*(float(start + side) for start in starts[:-1]), math.inf]
    return [(starts[i], side, middles[i], middles[i + 1], left[i], right[i]) for i in range(n)]


def stitch(parts: Sequence[tuple[Tile, Detections]], scale: float = 1.0) -> Detections:
    """Join the detections of all tiles of one frame.

    A tile keeps what has its centre in its core. A defect no larger than the overlap is whole in the tile
    that keeps it; of a larger one every tile holds a piece, and pieces that agree where both tiles look are
    united. Of two whole views of one defect the surer stays.

    Parameters
    ----------
    parts : sequence of (Tile, Detections)
        Tiles of the scaled frame, and what was found in each, in px of the frame.
    scale : float
        Pixels of the tiles per pixel of the frame.

    Returns
    -------
    Detections
        Surest first.
    """
    kept = [_in_core(found, tile, scale) for tile, found in parts]
    everything = kept[0]
    for more in kept[1:]:
        everything = everything.then(more)
    owner = np.repeat(np.arange(len(kept)), [len(found) for found in kept])
    windows = np.array([tile.window for tile, _ in parts])[owner].reshape(-1, 4) / scale
    cores = np.array([tile.core for tile, _ in parts])[owner].reshape(-1, 4) / scale
    groups = _groups(everything, owner, windows, cores)
    low, high = (
        everything.boxes[:, :2] < windows[:, :2] + 1.5 / scale,
        everything.boxes[:, 2:] > windows[:, 2:] - 1.5 / scale,
    )
    joined = _joined(everything, groups, np.asarray(np.concatenate([low, high], axis=1).any(axis=1)))
    order = np.argsort(-joined.scores, kind="stable")
    return replace(joined.take(order), n_over_cap=sum(found.n_over_cap for _, found in parts))


def _in_core(found: Detections, tile: Tile, scale: float) -> Detections:
    centre = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    low, high = (tile.core[:2] - _SLACK_PX) / scale, (tile.core[2:] + _SLACK_PX) / scale
    return found.take(np.asarray(np.concatenate([centre >= low, centre < high], axis=1).all(axis=1)))


def _groups(found: Detections, owner: Ints, windows: Box, cores: Box) -> list[list[int]]:
    """Rows that are one defect seen by several tiles; only groups of more than one."""
    boxes = found.boxes.astype(np.float64)
    across = np.flatnonzero(
        (boxes[:, :2] < cores[:, :2]).any(axis=1) | (boxes[:, 2:] > cores[:, 2:]).any(axis=1)
    )
    parent = list(range(len(boxes)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i in across.tolist():
        near = (
            (boxes[:, :2] < boxes[i, 2:]).all(axis=1)
            & (boxes[:, 2:] > boxes[i, :2]).all(axis=1)
            & (owner != owner[i])
        )
        for j in np.flatnonzero(near).tolist():
            shared = np.concatenate(
                [np.maximum(windows[i, :2], windows[j, :2]), np.minimum(windows[i, 2:], windows[j, 2:])]
            )
            if _agreement(found.masks, i, j, shared) >= _SAME:
                parent[root(j)] = root(i)
    roots: dict[int, list[int]] = {}
    for i in range(len(boxes)):
        roots.setdefault(root(i), []).append(i)
    return [rows for rows in roots.values() if len(rows) > 1]


def _agreement(masks: Masks, i: int, j: int, shared: Box) -> float:
    """IoU of two masks inside a window that both tiles show."""
    common = masks.overlap_px(i, masks, j)
    total = _area_inside(masks, i, shared) + _area_inside(masks, j, shared) - common
    return common / total if common else 0.0


def _area_inside(masks: Masks, i: int, window: Box) -> int:
    corner, (height, width) = masks.corners[i, ::-1], masks.sizes[i].tolist()
    (x0, y0), (x1, y1) = (
        (np.clip(window[k : k + 2] - corner, 0, (width, height))).round().astype(int).tolist() for k in (0, 2)
    )
    return int(np.count_nonzero(masks.crop(i)[y0:y1, x0:x1]))


def _joined(found: Detections, groups: list[list[int]], cut: NDArray[np.bool_]) -> Detections:
    """Unite the pieces of each group, or keep its surest member where none is cut."""
    if not groups:
        return found
    alone = np.ones(len(found), bool)
    crops, corners, chosen, scores = [], [], [], []
    for rows in groups:
        surest = max(rows, key=lambda row: float(found.scores[row]))
        if not cut[rows].any():
            alone[[row for row in rows if row != surest]] = False
            continue
        alone[rows] = False
        crop, corner = _union(found.masks, rows)
        crops.append(crop)
        corners.append(corner)
        chosen.append(
            max(rows, key=lambda row: int(np.count_nonzero(found.masks.crop(row))))
        )  # the largest piece decides the class
        scores.append(found.scores[surest])
    whole = found.take(alone)
    if not crops:
        return whole
    masks = Masks.from_crops(crops, corners)
    united = replace(
        found.take(np.array(chosen)), masks=masks, boxes=masks.boxes(), scores=np.array(scores, np.float32)
    )
    return whole.then(united)


def _union(masks: Masks, rows: list[int]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    low = masks.corners[rows].min(axis=0)
    high = (masks.corners[rows] + masks.sizes[rows]).max(axis=0)
    out = np.zeros((high - low).tolist(), bool)
    for row in rows:
        (y, x), (height, width) = (masks.corners[row] - low).tolist(), masks.sizes[row].tolist()
        out[y : y + height, x : x + width] |= masks.crop(row)
    return out, (int(low[0]), int(low[1]))
