"""What the linker says of a frame: ids, tracks that are alive in a gap, events, tracks that have ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import Detections
from insitrack.io.results import Event, Measures, TrackSummary


@dataclass(frozen=True, slots=True)
class Coasting:
    """Confirmed tracks that are alive in a gap: not seen in this frame, shown where they are expected.

    Rows are copies of the last observation, moved with the specimen: positions and boxes exactly, masks by whole
    pixels and cut at the border of the frame. Labels are the tracks', scores those of the last observation.
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
        x1, y1, x2, y2 in the frame, px.
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
        How far the specimen has moved in the frame since the first frame: as given, or as estimated from
        the defects themselves.
    events : tuple of Event
        What became known with this frame. Every track begins with one `birth` or `split`, unless it was there
        when a view after the first began, and ends with one `death` or `merge`, unless the view or the run
        ends.
    finished : tuple of TrackSummary
        Tracks given up with this frame.
    births_by_class, deaths_by_class : dict of str to int
        Tracks begun and tracks given up with this frame, by class name; only classes that occur.
    from_start : ndarray of int64, shape (M,)
        Live tracks that were there when a view after the first began.
    size_nm : ndarray of float64, shape (N,), or None
        Size of each detection by the definition of its track's class, nm; None: as measured.
    """

    track_ids: Ints
    track_labels: Ints
    coasting: Coasting
    shift_px: tuple[float, float] = (0.0, 0.0)
    events: tuple[Event, ...] = ()
    finished: tuple[TrackSummary, ...] = ()
    births_by_class: dict[str, int] = field(default_factory=dict)
    deaths_by_class: dict[str, int] = field(default_factory=dict)
    from_start: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    size_nm: Floats | None = None
