"""Detections of one frame after another become tracks.

The same defect keeps one id through drift, gaps and changes of size.

Everything is causal: a frame's ids depend on that frame and on those before it, never on the order of its
rows.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.boxes import paired_box_iou
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.results import Event, Measures, TrackSummary
from insitrack.tracker.link import filter as track_filter
from insitrack.tracker.link.assign import assign, gated_pairs
from insitrack.tracker.link.encounters import engulfing
from insitrack.tracker.link.point_drift import drift_of_points
from insitrack.tracker.link.state import (
    LastObservations,
    LinkerSnapshot,
    Observations,
    Tracks,
    begin,
    observe,
    summaries,
    track_type,
)

_MISS_COST = 1.3
"""Cost of leaving a track without a detection. A pair costs 0 where nothing has changed; a step as long as
the gate costs 1."""
_IOU_WEIGHT, _SIZE_WEIGHT, _SCORE_WEIGHT = 0.3, 0.3, 0.1
"""Cost of boxes that do not overlap, of a size that changes by the largest ratio allowed, of a score of 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkConfig:
    """What counts as the same defect in the next frame.

    Parameters
    ----------
    max_distance_diameters : float
        Gate: how far a defect may be from where it is expected, in diameters of its own (the mean of both
        axes).
    min_gate_px : float
        Least gate, px, so that small dots survive what the drift leaves over.
    widening_nm_per_s : float
        How fast the gate widens with the time since the defect was last seen, nm/s, up to twice the gate;
        needs the scale.
    max_size_ratio : float
        Most that the diameter may change from one sight to the next, as a ratio.
    class_cost : float
        What it costs to call the same defect by another class; 1 is the cost of a step as long as the gate.
    confirm_hits : int
        Times a defect must be seen before it counts as there in a gap.
    patience_s : float or None
        How long a defect may be missed before its track ends, s; None: `patience_frames` median frame
        intervals.
    patience_frames : float
        The same in frame intervals, used where `patience_s` is None.
    patience_by_class : mapping of str to float
        Factors of the patience for single classes: small dots blink, large loops do not. Empty: the same for
        all.
    shown_share : float
        For this share of the patience a confirmed defect that is missed counts as there; afterwards it is
        only remembered, 0..1.
    birth_score : float
        Least score that begins a track; weaker detections only continue one.

    Raises
    ------
    SettingsError
        If a value lies outside its range.

    Examples
    --------
    >>> LinkConfig(patience_s=2.5).confirm_hits
    3
    """

    max_distance_diameters: float = 1.0
    min_gate_px: float = 4.0
    widening_nm_per_s: float = 2.0
    max_size_ratio: float = 3.0
    class_cost: float = 0.3
    confirm_hits: int = 3
    patience_s: float | None = None
    patience_frames: float = 10.0
    patience_by_class: Mapping[str, float] = field(default_factory=dict)
    shown_share: float = 0.35
    birth_score: float = 0.0

    def __post_init__(self) -> None:
        for name in ("max_distance_diameters", "min_gate_px"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"link.{name} {value}: expected a positive number")
        for name in ("widening_nm_per_s", "class_cost", "patience_frames", "patience_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"link.{name} {value}: expected zero or a positive number")
        for name, factor in self.patience_by_class.items():
            if not (isinstance(factor, (int, float)) and math.isfinite(factor) and factor >= 0):
                raise SettingsError(
                    f"link.patience_by_class.{name} {factor}: expected zero or a positive factor"
                )
        if not self.max_size_ratio > 1:
            raise SettingsError(f"link.max_size_ratio {self.max_size_ratio}: expected a ratio above 1")
        if self.confirm_hits < 1:
            raise SettingsError(f"link.confirm_hits {self.confirm_hits}: expected at least 1")
        if not 0 <= self.shown_share <= 1:
            raise SettingsError(f"link.shown_share {self.shown_share}: expected a share from 0 to 1")
        if not 0 <= self.birth_score <= 1:
            raise SettingsError(f"link.birth_score {self.birth_score}: expected a score from 0 to 1")


@dataclass(frozen=True, slots=True)
class Coasting:
    """Confirmed tracks that are alive in a gap: not seen in this frame, shown where they are expected.

    Rows are copies of the last sight, moved with the specimen: positions and boxes exactly, masks by whole
    pixels and cut at the border of the frame. Labels are the tracks', scores those of the last sight.
    """

    track_ids: Ints
    detections: Detections
    measures: Measures


@dataclass(frozen=True, slots=True)
class LiveTracks:
    """Confirmed tracks at one frame, seen or in a gap, noise reduced by a filter that looks only back.

    Parameters
    ----------
    track_ids : ndarray of int64, shape (M,)
        Ids, rising.
    boxes : ndarray of float64, shape (M, 4)
        x1, y1, x2, y2 on the picture, px.
    """

    track_ids: Ints
    boxes: Floats


@dataclass(frozen=True, slots=True)
class Linked:
    """What the linker says of one frame.

    Parameters
    ----------
    track_ids : ndarray of int64, shape (N,)
        Track of each detection, from 1; 0 where a detection is too weak to begin a track
        (`LinkConfig.birth_score`).
    track_labels : ndarray of int64, shape (N,)
        Class of that track by the sum of scores up to now; the detection's own label where sums tie.
    coasting : Coasting
        Confirmed tracks that are alive in a gap.
    shift_px : tuple of float
        How far the specimen has moved on the picture since the first frame: as given, or as told by the
        defects themselves.
    events : tuple of Event
        What became known with this frame. Every track begins with one `birth` or `split` and ends with one
        `death` or `merge`.
    finished : tuple of TrackSummary
        Tracks given up with this frame.
    births_by_class, deaths_by_class : dict of str to int
        Tracks begun and tracks given up with this frame, by class name; only classes that occur.
    """

    track_ids: Ints
    track_labels: Ints
    coasting: Coasting
    shift_px: tuple[float, float] = (0.0, 0.0)
    events: tuple[Event, ...] = ()
    finished: tuple[TrackSummary, ...] = ()
    births_by_class: dict[str, int] = field(default_factory=dict)
    deaths_by_class: dict[str, int] = field(default_factory=dict)


class Linker:
    """Gives every detection the id of its track, frame by frame; memory grows with the defects in view only.

    Parameters
    ----------
    config : LinkConfig, optional
        What counts as the same defect.

    Examples
    --------
    A dot that moves by 2 px, seen in two frames:

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
        self._config = config or LinkConfig()
        self._tracks: Tracks = np.zeros(0, track_type(0))
        self._sights: LastObservations | None = None
        self._next_id = 1
        self._t_s = -math.inf
        self._intervals: deque[float] = deque(maxlen=101)
        self._nm_per_px = math.nan
        self._class_names: tuple[str, ...] = ()
        self._shape = (0, 0)
        self._shift = (0.0, 0.0)
        self._noise_px = math.nan
        self._errors: deque[float] = deque(maxlen=25)

    def update(
        self, detections: Detections, measures: Measures, shift_px: tuple[float, float] | None = (0.0, 0.0)
    ) -> Linked:
        """Take the next frame.

        Frames without a picture are simply left out: patience runs in seconds, and a track can only be given
        up in a frame in which it was looked for.

        Parameters
        ----------
        detections : Detections
            What was found, N rows.
        measures : Measures
            What was measured, N rows.
        shift_px : tuple of float or None
            How far the specimen has moved on the picture since the first frame, (x, y), px; None: the defects
            themselves tell.

        Returns
        -------
        Linked
            Ids row by row, and what became of the other tracks.

        Raises
        ------
        ValueError
            If the rows do not fit together, time runs backwards, the shift is not finite, or the classes
            change.
        """
        now = LastObservations(detections, measures)
        if shift_px is None:
            shift_px = self._stage(Observations.of(now, (0.0, 0.0)))
        first_frame = self._open(now, shift_px)
        seen, tracks = Observations.of(now, shift_px), self._tracks
        which, at = self._match(seen)
        found, taken = np.zeros(len(tracks), bool), np.zeros(len(seen), bool)
        found[which], taken[at] = True, True
        newborn = np.flatnonzero(~taken & (seen.score >= self._config.birth_score))
        origins = self._encounters(seen, detections.masks, which, at, newborn)
        returned = which[tracks["missed"][which]]
        self._learn(
            track_filter.advance(tracks, which, seen.extent(at), seen.t_s, self._noise_px),
            tracks["n_fit"][which],
        )
        observe(tracks, which, seen, at)
        tracks["missed"] = ~found
        born = begin(seen, newborn, self._next_id, len(self._class_names), first_frame=first_frame)
        self._next_id += len(born)
        track_ids, track_labels = np.zeros(len(seen), np.int64), detections.labels.copy()
        for name, values in (("id", track_ids), ("label", track_labels)):
            values[seen.row[at]], values[seen.row[newborn]] = tracks[name][which], born[name]
        over = ~found & (seen.t_s - tracks["last_t_s"] > self._patience_s() * self._factor(tracks))
        ended, events = tracks[over], _events(seen, tracks["id"][returned], born, origins, tracks[over])
        self._remember(np.concatenate([tracks[~over], born]), now, shift_px)
        return Linked(
            track_ids,
            track_labels,
            self._coasting(),
            shift_px,
            events,
            self._summaries(ended, ended["on_edge"] | self._outside(ended) | (ended["absorber"] >= 0)),
            self._count(born),
            self._count(ended),
        )

    def live(self) -> LiveTracks:
        """Show every confirmed track as it is known after the last frame, without the noise."""
        tracks = self._tracks[(self._tracks["n"] >= self._config.confirm_hits) & self._there(self._tracks)]
        tracks = tracks[~self._outside(tracks)]
        place = np.where(
            tracks["missed"][:, None], track_filter.expected(tracks, self._t_s), track_filter.estimate(tracks)
        )
        middle, half = place[:, :2] + np.array(self._shift), place[:, 2:] / 2
        return LiveTracks(tracks["id"].copy(), np.concatenate([middle - half, middle + half], axis=1))

    def snapshot(self) -> LinkerSnapshot:
        """Return everything that is remembered after the last frame."""
        return LinkerSnapshot(
            tracks=self._tracks,
            last=self._sights,
            next_id=self._next_id,
            t_s=self._t_s,
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
        self._tracks, self._sights, self._next_id = snapshot.tracks.copy(), snapshot.last, snapshot.next_id
        self._t_s, self._shape, self._shift = snapshot.t_s, snapshot.shape, snapshot.shift_px
        self._intervals.extend(snapshot.intervals_s)
        self._errors.extend(snapshot.errors_px)
        self._nm_per_px, self._noise_px = snapshot.nm_per_px, snapshot.noise_px
        self._class_names = snapshot.class_names

    def finish(self) -> tuple[TrackSummary, ...]:
        """End the run: sum up the tracks that are still alive, whose end was not seen.

        The linker is then empty.
        """
        tracks, self._tracks = self._tracks, self._tracks[:0]
        return self._summaries(tracks, np.ones(len(tracks), bool))

    def _open(self, now: LastObservations, shift_px: tuple[float, float]) -> bool:
        """Check a frame against the run and take its time and scale; tell whether it is the first one."""
        found, measured = now.detections, now.measures
        first = self._sights is None
        if len(found) != len(measured):
            raise ValueError(
                f"frame {found.frame_index}: expected one measure per detection, got {len(measured)} for"
                f" {len(found)}"
            )
        if not (math.isfinite(found.t_s) and found.t_s >= self._t_s):
            raise ValueError(
                f"frame {found.frame_index}: expected a time of at least {self._t_s} s, got {found.t_s} s"
            )
        if not (math.isfinite(shift_px[0]) and math.isfinite(shift_px[1])):
            raise ValueError(f"frame {found.frame_index}: expected a finite shift, got {shift_px} px")
        if first:
            self._class_names, self._tracks, self._shift = (
                found.class_names,
                np.zeros(0, track_type(len(found.class_names))),
                shift_px,
            )
        elif found.class_names != self._class_names:
            raise ValueError(
                f"frame {found.frame_index}: expected the classes {self._class_names}, got"
                f" {found.class_names}"
            )
        elif found.t_s > self._t_s:
            self._intervals.append(found.t_s - self._t_s)
        self._t_s, self._shape = found.t_s, found.shape
        if math.isnan(self._nm_per_px):
            scaled = (measured.area_px > 0) & (measured.area_nm2 > 0)
            if scaled.any():
                self._nm_per_px = float(
                    np.sqrt(np.median(measured.area_nm2[scaled] / measured.area_px[scaled]))
                )
        return first

    def _patience_s(self) -> float:
        """How long a track may go unseen, s; half an interval more where derived, for timestamps jitter."""
        if self._config.patience_s is not None:
            return self._config.patience_s
        return (
            (self._config.patience_frames + 0.5) * float(np.median(self._intervals))
            if self._intervals
            else 0.0
        )

    def _match(self, seen: Observations) -> tuple[Ints, Ints]:
        """Pair live tracks with observations: places in both."""
        config, tracks = self._config, self._tracks
        diameter = np.maximum(1.0, track_filter.estimate(tracks)[:, 2:].mean(axis=1))
        gate = np.maximum(config.min_gate_px, config.max_distance_diameters * diameter)
        if math.isfinite(self._nm_per_px):
            gate = gate + np.minimum(
                gate, config.widening_nm_per_s / self._nm_per_px * (seen.t_s - tracks["last_t_s"])
            )
        at = track_filter.expected(tracks, seen.t_s)
        pairs = gated_pairs(at[:, :2], gate, np.column_stack([seen.x, seen.y]))
        i, j = pairs.rows, pairs.cols
        extent = seen.extent(slice(None))
        change = np.abs(np.log(np.maximum(1.0, extent[j, 2:].mean(axis=1)) / diameter[i])) / math.log(
            config.max_size_ratio
        )
        half = at[:, 2:] / 2
        box = np.concatenate([at[:, :2] - half, at[:, :2] + half], axis=1)
        cost = (
            (pairs.distance / gate[i]) ** 2
            + _SIZE_WEIGHT * change**2
            + _IOU_WEIGHT * (1.0 - paired_box_iou(box[i], seen.box[j]))
            + config.class_cost * (tracks["label"][i] != seen.label[j])
            + _SCORE_WEIGHT * (1.0 - seen.score[j])
        )
        kept = change <= 1.0
        return assign(i[kept], j[kept], cost[kept], _MISS_COST)

    def _stage(self, seen: Observations) -> tuple[float, float]:
        """Find the drift from the defects that are known and those that are seen."""
        tracks = self._tracks
        known = tracks[tracks["n"] > 1] if np.count_nonzero(tracks["n"] > 1) >= len(tracks) // 2 else tracks
        places = track_filter.expected(known, seen.t_s)[:, :2]
        return drift_of_points(places, np.column_stack([seen.x, seen.y]), self._shift)[0]

    def _there(self, tracks: Tracks) -> Bools:
        """Tell which tracks were seen lately enough to count as there."""
        return np.asarray(
            self._t_s - tracks["last_t_s"]
            <= self._config.shown_share * self._patience_s() * self._factor(tracks)
        )

    def _factor(self, tracks: Tracks) -> Floats | float:
        """Patience of each track's class, as a factor."""
        if not self._config.patience_by_class:
            return 1.0
        factors = np.array([self._config.patience_by_class.get(name, 1.0) for name in self._class_names])
        return np.asarray(factors[tracks["label"] - 1], np.float64)

    def _learn(self, error_px: Floats, n: Ints) -> None:
        """Learn how far sights lie from where they were expected.

        The noise of a position, and what motion adds.
        """
        settled = np.abs(error_px[n >= 4])
        if len(settled) >= 3:
            self._errors.append(float(np.median(settled)) / 0.6745)
            self._noise_px = float(np.median(self._errors))

    def _encounters(self, seen: Observations, masks: Masks, which: Ints, at: Ints, newborn: Ints) -> Ints:
        """Note which track covers each one lost now.

        And return the track that each newborn one came out of, -1 for none.
        """
        tracks, before = self._tracks, self._sights
        found = np.zeros(len(tracks), bool)
        found[which] = True
        lost = np.flatnonzero(~found & ~tracks["missed"])
        both = ~tracks["missed"][which]
        names, row_before, row_now = (
            tracks["id"][which[both]],
            tracks["sight"][which[both]],
            seen.row[at[both]],
        )
        if before is None or not len(names):
            return np.full(len(newborn), -1, np.int64)
        dx, dy = (round(b - a) for a, b in zip(self._shift, seen.shift, strict=True))
        past = before.detections.masks
        into = engulfing(past, tracks["sight"][lost], masks, row_now, row_before, (-dy, -dx))
        tracks["absorber"][lost] = np.where(into >= 0, names[into], -1)
        out_of = engulfing(masks, seen.row[newborn], past, row_before, row_now, (dy, dx))
        return np.where(out_of >= 0, names[out_of], -1)

    def _remember(self, tracks: Tracks, now: LastObservations, shift_px: tuple[float, float]) -> None:
        """Keep the live tracks and the last sight of each."""
        missed = tracks["missed"]
        n_missed = int(np.count_nonzero(missed))
        if self._sights is not None and n_missed:
            now = self._sights.take(tracks["sight"][missed]).then(now)
            tracks["sight"][~missed] += n_missed
            tracks["sight"][missed] = np.arange(n_missed)
        self._tracks, self._sights, self._shift = tracks, now, shift_px

    def _outside(self, tracks: Tracks) -> Bools:
        """Tell which tracks are expected outside the frame."""
        x, y = tracks["x"] + self._shift[0], tracks["y"] + self._shift[1]
        height, width = self._shape
        return np.asarray((x < 0) | (y < 0) | (x >= width) | (y >= height))

    def _coasting(self) -> Coasting:
        """Show confirmed tracks that were not seen, where they are expected."""
        tracks, sights = self._tracks, self._sights
        assert sights is not None  # a frame was remembered just before
        shown = tracks[
            tracks["missed"]
            & (tracks["n"] >= self._config.confirm_hits)
            & self._there(tracks)
            & ~self._outside(tracks)
        ]
        moved = sights.take(shown["sight"]).moved(
            self._shift[0] - shown["shift_x"], self._shift[1] - shown["shift_y"]
        )
        return Coasting(
            shown["id"].copy(), replace(moved.detections, labels=shown["label"].copy()), moved.measures
        )

    def _summaries(self, tracks: Tracks, right_censored: Bools) -> tuple[TrackSummary, ...]:
        return summaries(tracks, right_censored, self._class_names, self._nm_per_px)

    def _count(self, tracks: Tracks) -> dict[str, int]:
        """Tracks of each class, by name."""
        labels, counts = np.unique(tracks["label"], return_counts=True)
        return {
            self._class_names[label - 1]: int(count)
            for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
        }


def _events(
    seen: Observations, returned: Ints, born: Tracks, origins: Ints, ended: Tracks
) -> tuple[Event, ...]:
    """List what became known with a frame, by track."""
    events = [Event(seen.frame, seen.t_s, "gap", name) for name in returned.tolist()]
    for name, other in zip(born["id"].tolist(), origins.tolist(), strict=True):
        events.append(Event(seen.frame, seen.t_s, "birth" if other < 0 else "split", name, other))
    fields = (ended[name].tolist() for name in ("last_frame", "last_t_s", "id", "absorber"))
    for frame, t_s, name, other in zip(*fields, strict=True):
        events.append(Event(frame, t_s, "death" if other < 0 else "merge", name, other))
    return tuple(sorted(events, key=lambda event: event.track_id))
