"""Whether the cells of a table of detections fit each other: repeated rows, places, boxes, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.errors import TableError

_ONE_PLACE_PX, _ONE_SIZE = 0.5, 0.05
"""Two outlines of one class nearer than this, with sizes that differ by less than this share, are one defect."""
_APART_PX = 1e3
_BEYOND_ALL_FRAMES_PX = 1e8
"""Such places are refused; distances between them cannot be computed."""
_SLACK_PX = 1.0  # programs put a pixel's centre at 0 or at 0.5, and round

Cells = Mapping[str, NDArray[Any]]


def distinct_rows(path: Path, cells: Cells, lines: Ints) -> tuple[Bools, list[str]]:
    """Return which rows are kept when those that repeat others are dropped, and lines that say how many were.

    Parameters
    ----------
    path : Path
        The table, for complaints.
    cells : mapping of str to ndarray
        `frame x y size boxes label score track t` of each row.
    lines : ndarray of int64, shape (N,)
        Line of the file of each row.

    Raises
    ------
    TableError
        If two rows put different things at one place in one frame.
    """
    n = len(lines)
    place = np.column_stack([cells["frame"], cells["x"], cells["y"]]).astype(np.float64)
    whole = np.column_stack([place, *(cells[key] for key in ("size", "label", "score", "t"))])
    whole = np.column_stack([whole, cells["boxes"], cells["track"]]).astype(np.float64)
    first_of_place, of_place = _first_rows(place)
    first_of_whole, _ = _first_rows(whole)
    kept = np.zeros(n, bool)
    kept[first_of_whole] = True
    if len(first_of_whole) > len(first_of_place):
        other = kept.copy()
        other[first_of_place] = False
        i = int(np.argmax(other))
        j = int(first_of_place[of_place[i]])
        raise TableError(
            f"{path}: lines {lines[j]} and {lines[i]} contradict each other: two detections at x"
            f" {cells['x'][i]:g}, y {cells['y'][i]:g} px in frame {cells['frame'][i]}; leave one"
        )
    words = (
        []
        if kept.all()
        else [f"{n - np.count_nonzero(kept)} of {n} rows repeat another row and were dropped"]
    )
    again = _again(cells) & kept
    if again.any():
        i = int(np.argmax(again))
        words.append(
            f"{np.count_nonzero(again)} of {n} rows, the first in line {lines[i]}, lie less than {_ONE_PLACE_PX:g} px from"
            f" another of the same class, and of the same size within {_ONE_SIZE:.0%}: they were taken for one defect"
            " and dropped"
        )
    return kept & ~again, words


def _again(cells: Cells) -> Bools:
    """Whether a row shows a defect that an earlier row of the same frame shows, written with other digits."""
    from scipy.spatial import cKDTree

    place = np.column_stack([cells["x"], cells["y"], cells["frame"] * _APART_PX]).astype(np.float64)
    size, label = np.asarray(cells["size"], np.float64), cells["label"]
    able = np.flatnonzero((np.abs(place[:, :2]) < _BEYOND_ALL_FRAMES_PX).all(axis=1))
    i, j = able[cKDTree(place[able]).query_pairs(_ONE_PLACE_PX, output_type="ndarray").T]
    same = (label[i] == label[j]) & (np.abs(size[i] - size[j]) <= _ONE_SIZE * np.maximum(size[i], size[j]))
    answer = np.zeros(len(size), bool)
    answer[np.maximum(i, j)[same & (np.hypot(*(place[i, :2] - place[j, :2]).T) > 0)]] = True
    return answer


def _first_rows(table: Floats) -> tuple[Ints, Ints]:
    """First of equal rows, and to which of them each row belongs."""
    _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def check_places(path: Path, cells: Cells, lines: Ints, shape: tuple[int, int], *, has_boxes: bool) -> None:
    """Refuse sizes that are not positive, centres outside the frame, and boxes that miss their centre.

    Parameters
    ----------
    path, cells, lines
        As of `distinct_rows`.
    shape : tuple of int
        Height and width of the frames, px.
    has_boxes : bool
        Whether the boxes are those of the table.

    Raises
    ------
    TableError
        With the number of such rows and the first of them.
    """
    x, y, size, boxes = (np.asarray(cells[key], np.float64) for key in ("x", "y", "size", "boxes"))
    height, width = shape

    def refuse(wrong: Bools, words: str, wanted: str) -> None:
        if wrong.any():
            i = int(np.argmax(wrong))
            raise TableError(
                f"{path}: {np.count_nonzero(wrong)} of {len(wrong)} {words}, the first in line {lines[i]}"
                f" (x {x[i]:g}, y {y[i]:g}, size {size[i]:g} px); {wanted}"
            )

    refuse(np.asarray(~(size > 0)), "sizes are zero or negative", "expected a diameter above 0")
    if has_boxes:
        refuse(
            np.asarray((boxes[:, :2] >= boxes[:, 2:]).any(axis=1), bool),
            "boxes have no extent",
            "expected x1_px below x2_px and y1_px below y2_px",
        )
    # a defect that the border cuts may have its centre outside, but not all of itself
    reach = np.maximum(_SLACK_PX, np.maximum(size, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)) / 2)
    refuse(
        (x < -reach) | (y < -reach) | (x > width + reach) | (y > height + reach),
        f"centres lie outside the frame of {width}x{height} px",
        "give the right --size, or positions in px",
    )
    if has_boxes:
        slack = np.maximum(2 * _SLACK_PX, (boxes[:, 2:] - boxes[:, :2]).min(axis=1) / 2)
        centre = np.column_stack([x, y])
        beyond = np.maximum(boxes[:, :2] - centre, centre - boxes[:, 2:]).max(axis=1) > slack
        refuse(beyond, "boxes do not hold their centre", "expected both in px of one frame")
    refuse(size > 2 * max(width, height), "sizes exceed the frame", "expected a diameter in px")
