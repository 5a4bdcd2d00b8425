"""What becomes of each track: its beginning, its end, and the rates that follow.

Births, deaths, gaps, merges and splits, and the summary of each life.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.results import NAN, Event, EventKind, TrackSummary
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.tracker.kinetics import estimators

_SIDE_OBSERVATIONS = 4
"""Frames on either side of an encounter over which sizes are averaged."""
_TOOK_OVER = 0.4
"""Share of the area of the one that vanished that the other must gain, so that it is a merge and not a
death beside it."""
_REACH = 1.2
"""Two merge if their centres lie within this many mean radii of both."""
_USED = (
    "place",
    "t_s",
    "observed",
    "defect_class",
    "on_edge",
    "size_nm",
    "raw_size_nm",
    "specimen_x_px",
    "specimen_y_px",
    "score",
    "seen_class",
    "refused",
)
Part = Mapping[str, NDArray[Any]]
"""Columns of one track."""
_GROWTH_POINTS = 60
"""Longer tracks are averaged down to this many points: the slopes between all pairs grow with the square
of their number."""


@dataclass(frozen=True, slots=True)
class TrackHistories:
    """What the tracks of a run went through.

    Parameters
    ----------
    events : tuple of Event
        In the order of time.
    summaries : tuple of TrackSummary
        One per track, by id.
    births, deaths : dict of int to Counter
        Number of tracks by class that begin in a frame, and that are gone in it for the first time.
    """

    events: tuple[Event, ...]
    summaries: tuple[TrackSummary, ...]
    births: dict[int, Counter[str]] = field(default_factory=dict)
    deaths: dict[int, Counter[str]] = field(default_factory=dict)


def track_histories(rows: pd.DataFrame, looked: pd.DataFrame, *, nm_per_px: float = NAN) -> TrackHistories:
    """Tell what became of every track.

    Parameters
    ----------
    rows : DataFrame
        Tracks as `refine` makes them; what is marked `refused` tells nothing of where the defect went.
    looked : DataFrame
        Rows of ``frames.csv`` in which somebody looked, in order.
    nm_per_px : float
        Scale, nm; NaN where unknown.

    Returns
    -------
    TrackHistories
    """
    numbers, times = looked["frame"].to_numpy(np.int64), looked["t_s"].to_numpy(np.float64)
    views, scales = view_numbers(looked), frame_scales(looked, nm_per_px)
    opens, closes = np.diff(views, prepend=-1) != 0, np.diff(views, append=-1) != 0
    stills = bool((views > 0).all())  # separate micrographs have no view 0
    tracks = _Tracks(rows, numbers, opens, closes)
    merged, split = tracks.encounters(forwards=True), tracks.encounters(forwards=False)
    events = [
        Event(int(numbers[place]), float(times[place]), "view", -1)
        for place in np.flatnonzero(opens)[1:].tolist()
    ]
    summaries = []
    births: dict[int, Counter[str]] = {}
    deaths: dict[int, Counter[str]] = {}
    for k, (name, part) in enumerate(tracks):
        first, last = int(part["place"][0]), int(part["place"][-1])
        observed = part["observed"] == 1
        label = _label(part)
        if (first == 0 and not stills) or not opens[
            first
        ]:  # what is there when a later view begins was not born then
            kind: EventKind = "split" if split[k] >= 0 else "birth"
            events.append(Event(int(numbers[first]), float(times[first]), kind, name, int(split[k])))
            births.setdefault(int(numbers[first]), Counter())[label] += 1
        again = np.flatnonzero(observed[1:] & ~observed[:-1]) + 1
        events += [
            Event(int(numbers[p]), float(times[p]), "gap", name) for p in part["place"][again].tolist()
        ]
        to_the_end = bool(closes[last])
        if not to_the_end:
            events.append(
                Event(
                    int(numbers[last]),
                    float(times[last]),
                    "merge" if merged[k] >= 0 else "death",
                    name,
                    int(merged[k]),
                )
            )
            deaths.setdefault(int(numbers[last + 1]), Counter())[label] += 1
        edge = part["on_edge"]
        left, right = bool(opens[first] or edge[0]), to_the_end or bool(edge[-1]) or merged[k] >= 0
        summaries.append(_summary(name, label, part, observed, left, right, float(scales[first])))
    events.sort(key=lambda event: (event.frame, event.track_id, event.kind))
    return TrackHistories(tuple(events), tuple(summaries), births, deaths)


class _Tracks:
    """Rows grouped by track, and the means at either end that encounters are recognised by."""

    def __init__(self, rows: pd.DataFrame, numbers: Ints, opens: Bools, closes: Bools) -> None:
        rows = rows.assign(place=np.searchsorted(numbers, rows["frame"].to_numpy())).sort_values(
            ["track_id", "place"], kind="stable"
        )
        self.rows, self.n_frames, self.opens, self.closes = rows, len(numbers), opens, closes
        ids = rows["track_id"].to_numpy(np.int64)
        self.starts = (
            np.flatnonzero(np.append(True, ids[1:] != ids[:-1])) if len(ids) else np.zeros(0, np.int64)
        )
        self.ends = np.append(self.starts[1:], len(ids)) if len(ids) else self.starts
        self.ids = ids[self.starts]
        self.place = rows["place"].to_numpy(np.int64)
        box = rows[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
        self.centre, self.sides = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
        area = rows["area_px"].to_numpy(np.float64)
        self.area = np.where(np.isfinite(area), area, np.pi / 4 * self.sides.prod(axis=1))

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        columns = {name: self.rows[name].to_numpy() for name in _USED if name in self.rows}
        for name, start, end in zip(self.ids.tolist(), self.starts.tolist(), self.ends.tolist(), strict=True):
            yield name, {column: values[start:end] for column, values in columns.items()}

    def encounters(self, *, forwards: bool) -> Ints:
        """For each track the one that it went into (forwards), or came out of, -1 for none."""
        answer = np.full(len(self.ids), -1, np.int64)
        by_place = np.argsort(self.place, kind="stable")
        edges = np.searchsorted(self.place[by_place], np.arange(self.n_frames + 1))
        track_of = np.repeat(np.arange(len(self.ids)), self.ends - self.starts)
        for k, (start, end) in enumerate(zip(self.starts.tolist(), self.ends.tolist(), strict=True)):
            row = end - 1 if forwards else start
            place = int(self.place[row])
            outside = self.closes[place] if forwards else self.opens[place]
            if outside or end - start < 3:
                continue
            here = by_place[edges[place] : edges[place + 1]]
            radii = (self.sides[here].mean(axis=1) + self.sides[row].mean()) / 2
            near = here[np.linalg.norm(self.centre[here] - self.centre[row], axis=1) < _REACH * radii]
            own = float(
                self.area[max(start, end - _SIDE_OBSERVATIONS) : end].mean()
                if forwards
                else self.area[start : start + _SIDE_OBSERVATIONS].mean()
            )
            best = _TOOK_OVER * own
            for other in near.tolist():
                j = int(track_of[other])
                if j == k:
                    continue
                low, high = int(self.starts[j]), int(self.ends[j])
                # the frame of the encounter itself belongs to the time in which both are there
                both = (
                    self.area[max(low, other - _SIDE_OBSERVATIONS + 1) : other + 1]
                    if forwards
                    else self.area[other : min(high, other + _SIDE_OBSERVATIONS)]
                )
                alone = (
                    self.area[other + 1 : min(high, other + 1 + _SIDE_OBSERVATIONS)]
                    if forwards
                    else self.area[max(low, other - _SIDE_OBSERVATIONS) : other]
                )
                if len(alone) and alone.mean() - both.mean() > best:
                    best, answer[k] = float(alone.mean() - both.mean()), self.ids[j]
        return answer


def _label(part: Part) -> str:
    """Class of a track; of one that has several, by an edit, the one that most of its rows have."""
    names = part["defect_class"].astype(str)
    if (names == names[0]).all():
        return str(names[0])
    known, counts = np.unique(names, return_counts=True)
    return str(known[counts.argmax()])


def _summary(
    name: int, label: str, part: Part, observed: Bools, left: bool, right: bool, nm_per_px: float
) -> TrackSummary:
    t, sizes = part["t_s"].astype(np.float64), part["size_nm"].astype(np.float64)
    raw = part["raw_size_nm"].astype(np.float64)
    known = np.isfinite(raw) & (part["on_edge"] == 0)
    growth = estimators.growth_rate(*_thinned(t[known], raw[known]))
    counts = ~part["refused"].astype(bool) if "refused" in part else np.ones(len(t), bool)
    x, y = part["specimen_x_px"][counts], part["specimen_y_px"][counts]
    score = np.nan_to_num(part["score"].astype(np.float64))
    agrees = part["seen_class"] == label if "seen_class" in part else np.ones(len(t), bool)
    return TrackSummary(
        track_id=name,
        defect_class=label,
        t_first_s=float(t[0]),
        t_last_s=float(t[-1]),
        lifetime_s=float(t[-1] - t[0]),
        left_censored=left,
        right_censored=bool(right),
        n_observed=int(np.count_nonzero(observed)),
        size_nm=float(np.nanmean(sizes)) if np.isfinite(sizes).any() else NAN,
        growth_nm_per_s=growth.value,
        net_displacement_nm=float(math.hypot(x[-1] - x[0], y[-1] - y[0]) * nm_per_px) if len(x) else NAN,
        growth_lo_nm_per_s=growth.lo,
        growth_hi_nm_per_s=growth.hi,
        class_probability=float(score[agrees].sum() / score.sum()) if score.sum() > 0 else NAN,
    )


def _thinned(t_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Mean of neighbours where there are more points than the slopes of all pairs allow."""
    if len(t_s) <= _GROWTH_POINTS:
        return t_s, values
    group = np.arange(len(t_s)) * _GROWTH_POINTS // len(t_s)
    n = np.bincount(group)
    return np.bincount(group, t_s) / n, np.bincount(group, values) / n
