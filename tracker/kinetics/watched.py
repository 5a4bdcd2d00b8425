"""From the rows of tracks to the lives of defects: in which looks each could have been seen, and which births were."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.tables.frame_views import view_numbers
from insitrack.tracker.kinetics.lives import CONFIRMED, Lives, looks_to_be_sure, miss_share

_MOST_LOOKS = 60
_MARGIN_PX = 1.0
"""What lies nearer to the border than this may be taken for cut by it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Lives of tracks, and where and when their births could have been seen.

    Parameters
    ----------
    track_id : ndarray of int64, shape (N,)
        The tracks, rising.
    lives : Lives
        Their lives.
    countable : ndarray of bool, shape (N,)
        The birth was seen, and early enough that the track could be confirmed before it left the view.
    exposure_px2_looks : ndarray of float64, shape (N,)
        Area in which a defect of this one's size could have been seen to be born, summed over the looks, px^2.
    first_look : ndarray of int64, shape (N,), optional
        Look of the first observation.
    room : Room, optional
        What that area is made of, look by look.
    """

    track_id: Ints
    lives: Lives
    countable: Bools
    exposure_px2_looks: Floats
    first_look: Ints | None = None
    room: Room | None = None

    def births_between(self, low: int, high: int) -> Watched:
        """Return the same with the births of looks `low` to `high`, the latter not counted, alone to be counted."""
        if not len(self.track_id):
            return self
        assert self.first_look is not None
        assert self.room is not None
        mine = (self.first_look >= low) & (self.first_look < high)
        return replace(
            self, countable=self.countable & mine, exposure_px2_looks=self.room.exposure(low, high)
        )


@dataclass(frozen=True, slots=True)
class Room:
    """Where and when births can be seen.

    Parameters
    ----------
    field : Field
        Where the frame lay.
    half : ndarray of float64, shape (N, 2)
        Half sides of each track's boxes, px.
    sure, late : int
        Looks before a birth that must show the place empty, and after it that a confirmation needs.
    """

    field: Field
    half: Floats
    sure: int
    late: int

    def exposure(self, low: int, high: int) -> Floats:
        """Area over looks `low` to `high` in which a birth counts, by track: wholly in view before and after it."""
        field, total = self.field, np.zeros(len(self.half))
        for i in (low + np.flatnonzero(field.left(np.arange(low, high)) >= self.late)).tolist():
            if i < self.sure or field.view[i - self.sure] != field.view[i]:
                continue
            part = field.shift[i - self.sure : i + self.late + 1]
            room = field.size[i] - np.ptp(part, axis=0) - 2 * self.half
            total += np.maximum(room, 0.0).prod(axis=1) * field.share[i]
        return total


def watch(
    rows: pd.DataFrame,
    looked: pd.DataFrame,
    merged: frozenset[int] = frozenset(),
    *,
    weigh: bool = False,
    missed: float | None = None,
) -> Watched:
    """Tell how the tracks of a run were watched.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``tracks.csv`` with `specimen_x_px` and `specimen_y_px`.
    looked : DataFrame
        Rows of ``frames.csv`` in which somebody looked, in order.
    merged : frozenset of int
        Tracks that ended in another one: not deaths.
    weigh : bool
        Their `probability` is that of a defect, and each counts with it; where scores were not judged, all count
        alike.
    missed : float, optional
        Share of looks in which a defect is missed; left out: that of these tracks.
    """
    field = Field(looked)
    seen = rows[(rows["observed"] == 1).to_numpy()]
    place = np.searchsorted(looked["frame"].to_numpy(np.int64), seen["frame"].to_numpy(np.int64))
    order = np.lexsort((place, seen["track_id"].to_numpy()))
    seen, place = seen.iloc[order], place[order]
    ids, first = np.unique(seen["track_id"].to_numpy(np.int64), return_index=True)
    last = np.append(first[1:], len(seen)) - 1
    if not len(ids):
        none = np.zeros(0)
        return Watched(ids, Lives(none, ids, ids, ids > 0, none, none), ids > 0, none)
    track = np.repeat(np.arange(len(ids)), last - first + 1)
    box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
    # what the border cuts has neither its size nor its place
    cut = (seen["on_edge"] == 1).to_numpy()
    uncut = np.bincount(track[~cut], minlength=len(ids)) > 0
    told = ~cut | ~uncut[track]
    half = _half_sides(box[told], track[told], len(ids))
    point = _places(seen[["specimen_x_px", "specimen_y_px"]].to_numpy(np.float64), half, track, told)
    # deaths are recognised wholly inside the field only, and so survival counts there only
    whole = field.whole(place, point, half[track]) & uncut[track]
    inner = np.flatnonzero(whole)
    n_seen = np.bincount(track[inner], minlength=len(ids))
    some = n_seen > 0
    start, end = (np.zeros(len(ids), np.int64) for _ in range(2))
    start[track[inner][::-1]], end[track[inner]] = inner[::-1], inner
    start[~some], end[~some] = first[~some], first[~some]
    looks = (place[end] - place[start]).astype(np.float64)
    enough = n_seen >= CONFIRMED
    if missed is None:
        missed = miss_share(looks[enough], n_seen[enough], np.ones(np.count_nonzero(enough)))
    sure = looks_to_be_sure(missed)
    horizon = np.where(some, field.looks_in_view(place[end], point[end], half, +1, _MOST_LOOKS), 0)
    # seen again at the border: alive until it got there
    later = place[last] > place[end]
    looks, horizon = np.where(later, looks + horizon, looks), np.where(later, 0, horizon)
    horizon[np.isin(ids, list(merged))] = 0
    began = field.looks_in_view(place[first], point[first], half, -1, sure) >= sure
    began &= whole[first]
    size = pd.Series(seen["size_nm"].to_numpy(np.float64)).groupby(track).mean().to_numpy()
    weight = _probabilities(seen, track, len(ids)) if weigh else np.ones(len(ids))
    lives = Lives(looks, n_seen, horizon, began, size, weight)
    late = int(np.ceil(CONFIRMED / max(1 - missed, 0.05))) + sure + CONFIRMED
    # a birth that drifts out of view before it can be confirmed does not count, nor does the area where that is so
    stays = field.looks_in_view(place[first], point[first], half, +1, late) >= late
    room = Room(field, half, sure, late)
    return Watched(ids, lives, began & stays & enough, room.exposure(0, len(looked)), place[first], room)


def _probabilities(seen: pd.DataFrame, track: Ints, n: int) -> Floats:
    """Probability that each track is a defect: the largest of its rows; 1 where they have none."""
    if "probability" not in seen or not seen["probability"].notna().any():
        return np.ones(n)
    known = pd.Series(seen["probability"].to_numpy(np.float64))
    return np.asarray(known.groupby(track).max().fillna(1.0), np.float64)


def _half_sides(box: Floats, track: Ints, n: int) -> Floats:
    """Half of the sides of each track's boxes, px: the upper half of them, for the border cuts some."""
    sides = box[:, 2:] - box[:, :2]
    median = np.column_stack([pd.Series(sides[:, k]).groupby(track).median().to_numpy() for k in (0, 1)])
    return np.asarray(np.maximum(median, 1.0).reshape(n, 2) / 2 + _MARGIN_PX, np.float64)


def _places(point: Floats, half: Floats, track: Ints, told: Bools) -> Floats:
    """Place of each observation: that of the whole track, lest noise carry it across the border and back.

    Tracks that move by more than their half sides keep the places that they were seen at. `told`: which ones tell it.
    """
    known = np.where(told[:, None], point, np.nan)
    middle = np.column_stack([pd.Series(known[:, k]).groupby(track).transform("median") for k in (0, 1)])
    far = told & (np.abs(point - middle) > half[track]).any(axis=1)
    moves = np.bincount(track, far) > 0
    return np.where(moves[track][:, None], point, middle)


class Field:
    """Where the frame lay on the specimen, look by look.

    Parameters
    ----------
    looked : DataFrame
        Rows of ``frames.csv``, in order.
    """

    def __init__(self, looked: pd.DataFrame) -> None:
        self.shift = looked[["shift_x_px", "shift_y_px"]].fillna(0.0).to_numpy(np.float64)
        unknown = pd.Series(np.inf, index=looked.index)
        size = [looked.get(name, unknown) for name in ("width_px", "height_px")]
        self.size = np.column_stack([one.fillna(np.inf).to_numpy(np.float64) for one in size])
        area = self.size.prod(axis=1)
        shown = looked["field_px"].to_numpy(np.float64) if "field_px" in looked else area
        # text and bars hide their share of the frame
        self.share = np.where(np.isfinite(area), shown / np.where(np.isfinite(area), area, 1.0), np.nan)
        self.view = view_numbers(looked)

    def left(self, place: Ints) -> Ints:
        """Return the looks that the view has after each."""
        return np.asarray(np.searchsorted(self.view, self.view, side="right")[place] - 1 - place, np.int64)

    def whole(self, place: Ints, point: Floats, half: Floats) -> Bools:
        """Tell what lies wholly in view in a look, of specimen coordinates and half sides, shape (N, 2)."""
        centre = point + self.shift[place]
        return np.asarray(((centre >= half) & (centre <= self.size[place] - half)).all(axis=1), bool)

    def looks_in_view(self, place: Ints, point: Floats, half: Floats, way: int, most: int) -> Ints:
        """Count the looks after (`way` -1: before) each place in which a defect there lies wholly in view, in a row."""
        answer = np.zeros(len(place), np.int64)
        going = np.ones(len(place), bool)
        for step in range(1, most + 1):
            at = place + way * step
            inside = going & (at >= 0) & (at < len(self.view))
            at = np.where(inside, at, place)
            going = inside & self.whole(at, point, half) & (self.view[at] == self.view[place])
            answer += going
        return answer
