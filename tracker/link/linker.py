"""Detections of one frame after another become tracks: a defect keeps its id through drift, gaps and growth.

Everything is causal: a frame's ids depend on that frame and on those before it, never on the order of its
rows.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from statistics import median

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.detections import Detections
from insitrack.io.results import Event, Measures, TrackSummary
from insitrack.tracker.link import filter as track_filter
from insitrack.tracker.link.encounters import note_encounters
from insitrack.tracker.link.linked import Coasting, Linked, LiveTracks
from insitrack.tracker.link.match import drift_of_defects, match
from insitrack.tracker.link.patience import class_factor, patience_s
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.link.state import (
    LastObservations,
    LinkerSnapshot,
    Observations,
    SizesOf,
    Tracks,
    begin,
    enter_sizes,
    joined,
    observe,
    put_rows,
    rows_of,
    summaries,
    track_type,
    without_last_sizes,
)


class Linker:
    """Gives every detection the id of its track, frame by frame; memory grows with the defects in view only.

    Parameters
    ----------
    config : LinkConfig, optional
        What counts as the same defect.

    Examples
    --------
    >>> from insitrack.io.detections import Masks  # a dot that moves by 2 px, seen in two frames
    >>> def frame(i, x):
    ...     masks = Masks.from_crops([np.ones((6, 6), bool)], [(10, x)])
    ...     found = Detections(i, i / 7, (64, 64), masks.boxes(), np.array([1]), np.array([0.9], np.float32), masks)
    ...     value = [np.array([v]) for v in (x + 3.0, 13.0, 36.0, 6.9, 6.9, 0.0)]
    ...     return found, Measures(*value, np.array([False]), np.array([2.5]), np.array([4.9]))
    >>> linker = Linker()
    >>> [linker.update(*frame(i, 20 + 2 * i)).track_ids.tolist() for i in range(2)]
    [[1], [1]]
    >>> [(summary.track_id, summary.n_observed) for summary in linker.finish()]
    [(1, 2)]
    """

    def __init__(self, config: LinkConfig | None = None) -> None:
        self._config, self._pair = config or LinkConfig(), match
        self._tracks: Tracks = np.zeros(0, track_type(0))
        self._last: LastObservations | None = None
        self._next_id, self._t_s = 1, -math.inf
        self._intervals: deque[float] = deque(maxlen=101)
        self._usual_patience_s = patience_s(self._config, self._intervals)
        self._nm_per_px = self._noise_px = math.nan
        self._class_names: tuple[str, ...] = ()
        self._shape, self._shift, self._later_view = (0, 0), (0.0, 0.0), False
        self._errors: deque[float] = deque(maxlen=25)

    def update(
        self,
        detections: Detections,
        measures: Measures,
        shift_px: tuple[float, float] | None = (0.0, 0.0),
        sizes_of: SizesOf | None = None,
    ) -> Linked:
        """Take the next frame.

        Missing frames are left out: a track is given up only in a frame in which it was looked for.

        Parameters
        ----------
        detections, measures : Detections, Measures
            What was found and measured, N rows.
        shift_px : tuple of float or None
            How far the specimen has moved in the frame since the first one, (x, y), px; None: estimated from
            the defects.
        sizes_of : callable, optional
            Gives the sizes of the detections by the classes of their tracks; None: sizes do not depend on them.

        Returns
        -------
        Linked
            Ids row by row, and what became of the other tracks.

        Raises
        ------
        ValueError
            If the rows do not fit together, time runs backwards, the shift is not finite, or classes change.
        """
        now = LastObservations(detections, measures)
        if shift_px is None:
            shift_px = drift_of_defects(self._tracks, Observations.of(now, (0.0, 0.0)), self._shift)
        first_frame = self._open(now, shift_px)
        seen, tracks = Observations.of(now, shift_px), self._tracks
        which, at = self._pair(tracks, seen, self._config, self._nm_per_px)
        found, taken = np.zeros(len(tracks), bool), np.zeros(len(seen), bool)
        found[which], taken[at] = True, True
        newborn = np.flatnonzero(~taken & (seen.score >= self._config.birth_score))
        moved = (seen.shift[0] - self._shift[0], seen.shift[1] - self._shift[1])
        past = None if self._last is None else self._last.detections.masks
        origins = note_encounters(tracks, seen, past, detections.masks, which, at, newborn, moved)
        returned = which[tracks["missed"][which]]
        again = rows_of(tracks, which)
        self._learn(track_filter.advance(again, seen.extent(at), seen.t_s, self._noise_px), again["n_fit"])
        observe(again, seen, at)
        tracks["missed"] = ~found
        born = begin(seen, newborn, self._next_id, len(self._class_names), first_frame=first_frame)
        born["from_start"] = first_frame and self._later_view
        self._next_id += len(born)
        parts = ((again, seen.row[at]), (born, seen.row[newborn]))
        track_ids, track_labels, now = _enter(now, parts, sizes_of)
        put_rows(tracks, which, again)
        over = ~found & (seen.t_s - tracks["last_t_s"] > self._patience_s(tracks))
        ended = rows_of(tracks, np.flatnonzero(over))
        kept = self._remember(joined(rows_of(tracks, np.flatnonzero(~over)), born), now, shift_px)
        end_unseen = ended["on_edge"] | _outside(ended, shift_px, self._shape) | (ended["absorber"] >= 0)
        return Linked(
            track_ids,
            track_labels,
            _coasting(self._shown(rows_of(kept, np.flatnonzero(kept["missed"]))), self._last, shift_px),
            shift_px,
            _events(seen, tracks["id"][returned], born, origins, ended),
            summaries(ended, end_unseen, self._class_names, self._nm_per_px),
            _count(born["label"][~born["from_start"]], self._class_names),
            _count(ended["label"], self._class_names),
            kept["id"][kept["from_start"]].copy(),
            now.measures.size_nm,
        )

    def forget_sizes(self) -> None:
        """Take the sizes of the last frame out of the tracks again: the frame is not trusted."""
        self._last = without_last_sizes(self._tracks, self._last)

    def new_view(self) -> tuple[TrackSummary, ...]:
        """End every track, its end unseen, for the next frame shows another place or magnification; ids go on."""
        ended = self.finish()
        self._last, self._nm_per_px, self._later_view = None, math.nan, True
        return ended

    def live(self) -> LiveTracks:
        """Show every confirmed track as it is known after the last frame, without the noise."""
        tracks = self._shown(self._tracks)
        place, missed = track_filter.estimate(tracks), tracks["missed"]
        place[missed] = track_filter.expected(tracks[missed], self._t_s)
        return LiveTracks(tracks["id"].copy(), _boxes(place, self._shift))

    def snapshot(self) -> LinkerSnapshot:
        """Return everything that is remembered after the last frame."""
        last = self._tracks, self._last, self._next_id, self._t_s
        return LinkerSnapshot(
            *last,
            intervals_s=tuple(self._intervals),
            errors_px=tuple(self._errors),
            nm_per_px=self._nm_per_px,
            noise_px=self._noise_px,
            class_names=self._class_names,
            shape=self._shape,
            shift_px=self._shift,
        )

    def restore(self, snapshot: LinkerSnapshot) -> None:
        """Go on from where another linker was."""
        self._tracks, self._last, self._next_id = snapshot.tracks.copy(), snapshot.last, snapshot.next_id
        self._t_s, self._shape, self._shift = snapshot.t_s, snapshot.shape, snapshot.shift_px
        self._intervals, self._errors = deque(snapshot.intervals_s, 101), deque(snapshot.errors_px, 25)
        self._usual_patience_s = patience_s(self._config, self._intervals)
        self._nm_per_px, self._noise_px = snapshot.nm_per_px, snapshot.noise_px
        self._class_names = snapshot.class_names

    def finish(self) -> tuple[TrackSummary, ...]:
        """End the run: sum up the tracks that are still alive, whose end was not seen, and forget them."""
        tracks, self._tracks = self._tracks, self._tracks[:0]
        return summaries(tracks, np.ones(len(tracks), bool), self._class_names, self._nm_per_px)

    def _open(self, now: LastObservations, shift_px: tuple[float, float]) -> bool:
        """Check a frame against the run and take its time and scale; tell whether it is the first one."""
        found, first = now.detections, self._last is None
        _check(now, shift_px, self._t_s, None if first else self._class_names)
        if first:
            self._class_names, self._shift = found.class_names, shift_px
            self._tracks = np.zeros(0, track_type(len(found.class_names)))
        elif found.t_s > self._t_s:
            self._intervals.append(found.t_s - self._t_s)
            self._usual_patience_s = patience_s(self._config, self._intervals)
        self._t_s, self._shape = found.t_s, found.shape
        if math.isnan(self._nm_per_px):
            self._nm_per_px = _scale_of(now.measures)
        return first

    def _patience_s(self, tracks: Tracks, share: float = 1.0) -> Floats | float:
        """Share of the time that each track may go unseen, s."""
        each = class_factor(self._config, tracks, self._class_names)
        return share * self._usual_patience_s * each

    def _shown(self, tracks: Tracks) -> Tracks:
        """Choose confirmed tracks seen lately enough to count as there and expected in the frame."""
        there = self._t_s - tracks["last_t_s"] <= self._patience_s(tracks, self._config.shown_share)
        there &= tracks["n"] >= self._config.confirm_hits
        there &= ~_outside(tracks, self._shift, self._shape)
        return rows_of(tracks, np.flatnonzero(there))

    def _learn(self, error_px: Floats, n: Ints) -> None:
        """Learn how far observations lie from where they were expected: noise, and what motion adds."""
        settled = np.abs(error_px[:, n >= 4])
        if settled.shape[1] >= 3:
            self._errors.append(_median(settled.ravel()) / 0.6745)
            self._noise_px = median(self._errors)

    def _remember(self, tracks: Tracks, now: LastObservations, shift_px: tuple[float, float]) -> Tracks:
        """Keep the live tracks and the last observation of each; return the tracks."""
        missed = tracks["missed"]
        n_missed = int(np.count_nonzero(missed))
        if self._last is not None and n_missed:
            now = self._last.take(tracks["last_row"][missed]).then(now)
            tracks["last_row"][~missed] += n_missed
            tracks["last_row"][missed] = np.arange(n_missed)
        self._tracks, self._last, self._shift = tracks, now, shift_px
        return tracks


def _check(
    now: LastObservations, shift_px: tuple[float, float], t_s: float, class_names: tuple[str, ...] | None
) -> None:
    """Refuse a frame that does not fit a run that has come to `t_s`; no `class_names`: the first frame."""
    found, measured = now.detections, now.measures
    if len(found) != len(measured):
        raise ValueError(
            f"frame {found.frame_index}: expected one measure per detection, got {len(measured)} for"
            f" {len(found)}"
        )
    if not (math.isfinite(found.t_s) and found.t_s >= t_s):
        raise ValueError(f"frame {found.frame_index}: expected a time of at least {t_s} s, got {found.t_s} s")
    if not (math.isfinite(shift_px[0]) and math.isfinite(shift_px[1])):
        raise ValueError(f"frame {found.frame_index}: expected a finite shift, got {shift_px} px")
    if class_names is not None and found.class_names != class_names:
        raise ValueError(
            f"frame {found.frame_index}: expected the classes {class_names}, got {found.class_names}"
        )


def _enter(
    now: LastObservations, parts: tuple[tuple[Tracks, Ints], ...], sizes_of: SizesOf | None
) -> tuple[Ints, Ints, LastObservations]:
    """Ids and classes of the detections of a frame; their sizes by these classes go into the tracks, in place.

    Each of `parts` has tracks that were seen, and the rows of the frame in which they were.
    """
    ids, labels = np.zeros(len(now.measures), np.int64), now.detections.labels.copy()
    for tracks, rows in parts:
        ids[rows], labels[rows] = tracks["id"], tracks["label"]
    now = now.sized(labels, sizes_of)
    for tracks, rows in parts:
        enter_sizes(tracks, now, rows)
    return ids, labels, now


def _coasting(shown: Tracks, last: LastObservations | None, shift_px: tuple[float, float]) -> Coasting:
    """Show tracks that were not seen where they are expected, from their last observations."""
    assert last is not None  # a frame was remembered just before
    moved = last.take(shown["last_row"]).moved(shift_px[0] - shown["shift_x"], shift_px[1] - shown["shift_y"])
    found = replace(moved.detections, labels=shown["label"].copy())
    return Coasting(shown["id"].copy(), found, moved.measures)


def _boxes(place: Floats, shift_px: tuple[float, float]) -> Floats:
    """Turn centres and sides on the specimen into boxes of the frame, px, shape (N, 4)."""
    middle, half = place[:, :2] + np.array(shift_px), place[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _median(values: Floats) -> float:
    """Median of an even number of values; numpy's own takes ten times as long for few."""
    middle = (len(values) // 2 - 1, len(values) // 2)
    return float(np.partition(values, middle)[list(middle)].mean())


def _scale_of(measured: Measures) -> float:
    """Width of a pixel, nm, from areas in both units; NaN where none is known."""
    scaled = (measured.area_px > 0) & (measured.area_nm2 > 0)
    if not scaled.any():
        return math.nan
    return float(np.sqrt(np.median(measured.area_nm2[scaled] / measured.area_px[scaled])))


def _outside(tracks: Tracks, shift_px: tuple[float, float], shape: tuple[int, int]) -> Bools:
    """Tell which tracks are expected outside the frame."""
    x, y = tracks["x"] + shift_px[0], tracks["y"] + shift_px[1]
    return np.asarray((x < 0) | (y < 0) | (x >= shape[1]) | (y >= shape[0]))


def _count(labels: Ints, class_names: tuple[str, ...]) -> dict[str, int]:
    """Tracks of each class, by name."""
    counts = np.bincount(labels, minlength=len(class_names) + 1).tolist()[1:]
    return {name: count for name, count in zip(class_names, counts, strict=True) if count}


def _events(
    seen: Observations, returned: Ints, born: Tracks, origins: Ints, ended: Tracks
) -> tuple[Event, ...]:
    """List what became known with a frame, by track."""
    events = [Event(seen.frame, seen.t_s, "gap", name) for name in returned.tolist()]
    seen_to_begin = ~born["from_start"]
    begun = zip(born["id"][seen_to_begin].tolist(), origins[seen_to_begin].tolist(), strict=True)
    for name, other in begun:
        events.append(Event(seen.frame, seen.t_s, "birth" if other < 0 else "split", name, other))
    fields = (ended[name].tolist() for name in ("last_frame", "last_t_s", "id", "absorber"))
    for frame, t_s, name, other in zip(*fields, strict=True):
        events.append(Event(frame, t_s, "death" if other < 0 else "merge", name, other))
    return tuple(sorted(events, key=lambda event: event.track_id))
