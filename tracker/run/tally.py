"""Counts of a run while it goes on: frames by what became of them, defects, and changes of the view."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from insitrack.io.frames import Frame
from insitrack.io.results import TrackedFrame

_LOST_FRAMES = 3  # fewer are a shaken or blurred moment


@dataclass(slots=True)
class Tally:
    """Running counts of a run, for the progress bar and the manifest.

    `lost_frames` counts frames in a row, from `lost_since_s` on, that could not be registered with those
    before; when the view can be registered again after `_LOST_FRAMES` of them it has changed, the first time
    at `view_changed_s`, s. `unregistered` counts all frames that did not fit those before. `read_sha256`
    is the hash of the pixels of all frames.
    """

    frames: int = 0
    processed: int = 0
    damaged: int = 0
    dropped: int = 0
    skipped: int = 0
    gap: int = 0
    blank: int = 0
    detections: int = 0
    over_cap: int = 0
    tracks: int = 0
    view_changes: int = 0
    view_changed_s: float = math.nan
    lost_frames: int = 0
    lost_since_s: float = math.nan
    unregistered: int = 0
    registered: bool = False
    last_s: float = 0.0
    read_sha256: str = ""
    started: float = field(default_factory=time.perf_counter)

    def count(self, tracked: TrackedFrame, n_over_cap: int) -> None:
        """Take one source frame into account."""
        self.frames += 1
        self.last_s = tracked.frame.t_s if math.isfinite(tracked.frame.t_s) else self.last_s
        status = "processed" if isinstance(tracked.frame, Frame) else tracked.frame.status
        setattr(self, status, getattr(self, status) + 1)
        self.detections += int(np.count_nonzero(tracked.observed))
        self.over_cap += n_over_cap
        blank = status == "processed" and any(math.isnan(row.n) for row in tracked.series)
        self.blank += blank
        if status == "processed" and not blank:
            self._follow_the_view(tracked.drift_quality)
        self.tracks += sum(event.kind in ("birth", "split") for event in tracked.events)

    def _follow_the_view(self, quality: float) -> None:
        """Count frames whose shift could not be measured; the first frames of all are none of them."""
        if quality > 0:
            if self.lost_frames >= _LOST_FRAMES:
                self.view_changes += 1
                first = self.view_changes == 1
                self.view_changed_s = self.lost_since_s if first else self.view_changed_s
            self.lost_frames, self.registered = 0, True
        elif quality == 0 and self.registered:
            self.lost_since_s = self.last_s if self.lost_frames == 0 else self.lost_since_s
            self.lost_frames += 1
            self.unregistered += 1

    @property
    def elapsed_s(self) -> float:
        """Wall time since the start, s."""
        return max(1e-9, time.perf_counter() - self.started)

    @property
    def frames_per_s(self) -> float:
        """Frames processed per second of wall time so far."""
        return self.processed / self.elapsed_s
