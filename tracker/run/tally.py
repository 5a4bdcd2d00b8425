"""Counts of a run while it goes on: frames by what became of them, defects, and changes of the view."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from insitrack.io.frames import Frame
from insitrack.io.results import TrackedFrame


@dataclass(slots=True)
class Tally:
    """Running counts of a run, for the progress bar and the manifest.

    `view_changes` counts the views after the first, the first of which begins at `view_changed_s`, s;
    `unregistered` the frames that did not fit those before: the first of each view, and those that fit none.
    `read_sha256` is the hash of the pixels of all frames; `drawn` the frames of the movie, which is drawn last.
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
    unregistered: int = 0
    registered: bool = False
    last_s: float = 0.0
    read_sha256: str = ""
    drawn: int = 0
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
            self._note_view(tracked)
        self.tracks += sum(event.kind in ("birth", "split") for event in tracked.events)

    def _note_view(self, tracked: TrackedFrame) -> None:
        """Count views, and frames whose shift could not be measured; the first frames of all are none of them."""
        new = tracked.view > self.view_changes
        if new and self.view_changes == 0:
            self.view_changed_s = self.last_s
        self.view_changes = max(self.view_changes, tracked.view)
        lost = tracked.drift_quality == 0
        self.unregistered += new or (lost and self.registered)
        self.registered |= tracked.drift_quality > 0

    @property
    def elapsed_s(self) -> float:
        """Wall time since the start, s."""
        return max(1e-9, time.perf_counter() - self.started)

    @property
    def frames_per_s(self) -> float:
        """Frames processed per second of wall time so far."""
        return self.processed / self.elapsed_s
