"""Outlines with hindsight: those that were seen under their final ids, and between them what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage, Floats, Ints
from insitrack.io.detections import Masks
from insitrack.io.tables.outlines import rle
from insitrack.io.tables.outlines.masks import boxes_of, masks_of, read_columns, writer_of
from insitrack.io.write import replacing

if TYPE_CHECKING:
    import pandas as pd

_BOX = ("x0_px", "y0_px", "width_px", "height_px")
SEEN = ("frame", "track_id", "observed", *_BOX, "rle")
_AT_ONCE = 50_000


def write_masks(seen: Sequence[Path], rows: pd.DataFrame, path: Path) -> None:
    """Write the outlines of the rows of ``tracks.csv``.

    Parameters
    ----------
    seen : sequence of Path
        ``causal/masks.parquet``: every find as it was seen, with its causal id; and what was drawn by hand.
    rows : DataFrame
        Rows of ``tracks.csv``, sorted by frame: `causal_id` names what was seen; a row with `observed` 0 lies
        between two that were, or before or after all of its track.
    path : Path
        The file. A filled row gets the outline between those of its neighbours in time, at its own centre;
        one beyond the ends of its track that of the nearest. A row of which no outline was seen is left out.

    Raises
    ------
    TableError
        If `seen` is damaged.
    OutputError
        If the file cannot be written.
    """
    outlines = FinalOutlines(read_columns(seen, SEEN), rows)
    with replacing(path) as part, writer_of(part) as writer:
        for start in range(0, len(outlines.known), _AT_ONCE):
            writer.write_columns(outlines.of(outlines.known[start : start + _AT_ONCE]))


class FinalOutlines:
    """The outlines of rows of ``tracks.csv``, made as they are asked for.

    Parameters
    ----------
    columns : dict
        Columns `SEEN` of what was seen or drawn, as `read_columns` gives them.
    rows : DataFrame
        Rows of ``tracks.csv``, as for `write_masks`.
    """

    def __init__(self, columns: dict[str, Any], rows: pd.DataFrame) -> None:
        self._columns, self._rows = columns, rows
        self._source = _sources(columns, rows)
        before, after = _neighbours(rows, self._source)
        self._made = _Filled(columns, rows, before, after, self._source)
        self.known = np.flatnonzero(before >= 0)
        """Rows that have an outline."""

    def of(self, chosen: Ints) -> dict[str, Any]:
        """Columns of ``masks.parquet`` for some of the rows that have one."""
        return _columns(self._columns, self._rows, chosen, self._source, self._made)


def _sources(columns: dict[str, Any], rows: pd.DataFrame) -> Ints:
    """Row of the table of what was seen for each row; -1 for a row that was filled in."""
    observed = np.flatnonzero(columns["observed"] == 1)
    span = int(max(columns["track_id"].max(initial=0), rows["causal_id"].max() if len(rows) else 0)) + 2
    key = columns["frame"][observed].astype(np.int64) * span + columns["track_id"][observed]
    order = np.argsort(key, kind="stable")
    key, observed = key[order], observed[order]
    wanted = rows["frame"].to_numpy(np.int64) * span + rows["causal_id"].to_numpy(np.int64)
    at = np.minimum(np.searchsorted(key, wanted), max(0, len(key) - 1))
    if not len(key):
        return np.full(len(rows), -1)
    found = (key[at] == wanted) & (rows["observed"].to_numpy() == 1)
    return np.where(found, observed[at], -1)


def _neighbours(rows: pd.DataFrame, source: Ints) -> tuple[Ints, Ints]:
    """For each row the rows of its track, at or before it and at or after it, of which an outline was seen.

    Where there is none on one side, that of the other; -1 where there is none at all.
    """
    ids = rows["track_id"].to_numpy(np.int64)
    order = np.lexsort((rows["frame"].to_numpy(np.int64), ids))
    place = np.arange(len(order))
    seen = source[order] >= 0
    begins = np.diff(ids[order], prepend=ids.min(initial=0) - 1) != 0
    first = np.maximum.accumulate(np.where(begins, place, 0))
    last = np.maximum.accumulate(np.where(seen, place, -1))
    last = np.where(last >= first, last, -1)
    ends = np.append(begins[1:], True)[: len(order)]
    end = np.minimum.accumulate(np.where(ends, place, len(order))[::-1])[::-1]
    following = np.minimum.accumulate(np.where(seen, place, len(order))[::-1])[::-1]
    following = np.where(following <= end, following, -1)
    before, after = np.empty_like(place), np.empty_like(place)
    row_at = np.append(order, -1)  # the place -1 stays row -1
    before[order] = row_at[np.where(last >= 0, last, following)]
    after[order] = row_at[np.where(following >= 0, following, last)]
    return before, after


class _Filled:
    """Outlines of the rows in which nothing was seen, made gap by gap as they are asked for."""

    def __init__(
        self, columns: dict[str, Any], rows: pd.DataFrame, before: Ints, after: Ints, source: Ints
    ) -> None:
        self._columns, self._source = columns, source
        self._before, self._after = before, after
        self._centre = rows[["x_px", "y_px"]].to_numpy(np.float64)
        self._t_s = rows["t_s"].to_numpy(np.float64)
        self._kept: dict[tuple[int, int], _Gap] = {}

    def masks(self, chosen: Ints) -> Masks:
        """Outlines of some filled rows, sorted by frame."""
        crops, corners = [], []
        for row in chosen.tolist():
            crop, corner = self._one(row)
            crops.append(crop)
            corners.append(corner)
        return Masks.from_crops(crops, corners)

    def _one(self, row: int) -> tuple[BoolImage, tuple[int, int]]:
        before, after = int(self._before[row]), int(self._after[row])
        gap = self._kept.get((before, after))
        if gap is None:
            gap = self._kept[(before, after)] = _Gap(self._seen(before), self._seen(after))
        span = self._t_s[after] - self._t_s[before]
        share = (self._t_s[row] - self._t_s[before]) / span if span > 0 else 0.0
        self._forget(row)
        return gap.at(share, self._centre[row])

    def _forget(self, row: int) -> None:
        """Drop gaps that are over: rows come in the order of time."""
        if len(self._kept) > 4096:
            now = self._t_s[row]
            self._kept = {key: gap for key, gap in self._kept.items() if self._t_s[key[1]] >= now}

    def _seen(self, row: int) -> BoolImage:
        at = int(self._source[row])
        columns = {name: self._columns[name][at : at + 1] for name in _BOX}
        return masks_of({**columns, "rle": [self._columns["rle"][at].as_py()]}).crop(0)


class _Gap:
    """Two outlines of one defect, and those between them.

    The shape between two others is where their signed distances, mixed by time, are positive.

    References
    ----------
    Raya, Udupa, IEEE Trans. Med. Imaging 9 (1990) 32, doi 10.1109/42.52980.
    """

    def __init__(self, before: BoolImage, after: BoolImage) -> None:
        (up, left), (up_after, left_after) = _middle(before), _middle(after)
        self._middle = max(up, up_after) + 1, max(left, left_after) + 1
        below = max(before.shape[0] - up, after.shape[0] - up_after)
        right = max(before.shape[1] - left, after.shape[1] - left_after)
        shape = self._middle[0] + below + 1, self._middle[1] + right + 1
        self._alike = before.shape == after.shape and bool((before == after).all())
        self._before = _distance(before, (self._middle[0] - up, self._middle[1] - left), shape)
        self._after = (
            self._before
            if self._alike
            else _distance(after, (self._middle[0] - up_after, self._middle[1] - left_after), shape)
        )

    def at(self, share: float, centre: Floats) -> tuple[BoolImage, tuple[int, int]]:
        """Crop and corner (y, x) of the outline at a share of the gap, about a centre (x, y), px."""
        inside = (1 - share) * self._before + share * self._after > 0
        if not inside.any():  # thin shapes that do not overlap leave nothing between them
            inside = (self._before if share < 0.5 else self._after) > 0
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        crop = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        up, left = _middle(crop)
        return crop, (round(float(centre[1]) - 0.5) - up, round(float(centre[0]) - 0.5) - left)


def _middle(crop: BoolImage) -> tuple[int, int]:
    """Pixel (row, column) in the middle of a mask; of an empty one that of its crop."""
    rows, columns = np.nonzero(crop)
    if not len(rows):
        return crop.shape[0] // 2, crop.shape[1] // 2
    return round(float(rows.mean())), round(float(columns.mean()))


def _distance(crop: BoolImage, corner: tuple[int, int], shape: tuple[int, int]) -> Floats:
    """Distance to the outline, px: positive inside, negative outside."""
    picture = np.zeros(shape, np.uint8)
    picture[corner[0] : corner[0] + crop.shape[0], corner[1] : corner[1] + crop.shape[1]] = crop
    inside = cv2.distanceTransform(picture, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - picture, cv2.DIST_L2, 5)
    return np.asarray(inside - outside)


def _columns(
    columns: dict[str, Any], rows: pd.DataFrame, chosen: Ints, source: Ints, made: _Filled
) -> dict[str, Any]:
    """Columns of ``masks.parquet`` for some rows."""
    at = source[chosen]
    filled = np.flatnonzero(at < 0)
    masks = made.masks(chosen[filled])
    boxes = boxes_of(masks)
    answer: dict[str, Any] = {}
    for name in _BOX:
        values = columns[name][np.maximum(at, 0)].copy()
        values[filled] = boxes[name]
        answer[name] = values
    lines = np.asarray(columns["rle"].take(np.maximum(at, 0)).to_numpy(zero_copy_only=False), object)
    lines[filled] = rle.encode(masks)
    part = rows.iloc[chosen]
    return {
        **answer,
        "rle": lines,
        "frame": part["frame"].to_numpy(np.int64),
        "track_id": part["track_id"].to_numpy(np.int64),
        "defect_class": part["defect_class"].to_numpy(object),
        "probability": np.round(part["probability"].to_numpy(np.float64), 4),
        "observed": part["observed"].to_numpy(np.int8),
    }
