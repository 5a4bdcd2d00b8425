"""How a live run is doing: delay from capture to row on disk, queue, losses, disk.

A sink that keeps numbers only.
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from insitrack.io.frames import Frame
from insitrack.io.live.camera import LiveSource
from insitrack.io.results import TrackedFrame, TrackSummary

_KEPT = 20_000
_BEHIND_S = 2.0


class LiveStatus:
    """Stands behind the sink that writes the tables: what it sees is on disk.

    Parameters
    ----------
    source : LiveSource
        Where the frames come from.
    folder : Path
        Output folder, whose disk is watched.
    least_trust : float
        An alarm is raised when the trust in the frames falls below this.
    """

    def __init__(self, source: LiveSource, folder: Path, least_trust: float = 0.0) -> None:
        self._source, self._folder = source, folder
        self._delays: deque[float] = deque(maxlen=_KEPT)
        self._times: deque[float] = deque(maxlen=200)
        self._lock = threading.Lock()
        self._not_taken, self._not_taken_s = 0, -math.inf
        self._least_trust, self._trust, self._trusted = least_trust, math.nan, True
        self.counts = dict.fromkeys(("processed", "dropped", "damaged", "gap", "skipped"), 0)

    def __enter__(self) -> Self:
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Take one source frame into account."""
        now = time.monotonic()
        arrived = self._source.captured_at(tracked.frame.index)
        processed = isinstance(tracked.frame, Frame)
        with self._lock:
            self.counts["processed" if isinstance(tracked.frame, Frame) else tracked.frame.status] += 1
            if processed:
                self._times.append(now)
                if arrived is not None:
                    self._delays.append(now - arrived)
        if processed:
            self._watch_trust(tracked)

    def _watch_trust(self, tracked: TrackedFrame) -> None:
        """Tell once that the movie has left what the model knows, and that it is back."""
        self._trust = tracked.trust
        trusted = not tracked.trust < self._least_trust
        if trusted != self._trusted:
            why = f" ({', '.join(tracked.distrust)})" if tracked.distrust else ""
            self._source.tell(
                "the frames are again of a kind that the model knows"
                if trusted
                else f"trust {tracked.trust:.2f}{why}: the model has not learnt to see such frames; check focus,"
                " tilt and beam"
            )
        self._trusted = trusted

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is kept of tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def results(self) -> dict[str, Any]:
        """Return counts and delays, for the manifest."""
        with self._lock:
            delays = np.array(self._delays) * 1e3
        facts: dict[str, Any] = {
            "captured": self._source.n_captured,
            "reconnects": self._source.n_reconnects,
            **self.counts,
        }
        if len(delays):
            median, late = np.percentile(delays, [50, 99]).round(1).tolist()
            facts |= {
                "latency_median_ms": median,
                "latency_p99_ms": late,
                "latency_max_ms": float(delays.max().round(1)),
            }
        return facts

    @property
    def behind(self) -> bool:
        """Whether frames came faster than they could be processed within the last two seconds."""
        not_taken, now = self._source.waiting.n_dropped + self._source.waiting.n_spooled, time.monotonic()
        if not_taken != self._not_taken:
            self._not_taken, self._not_taken_s = not_taken, now
        return now - self._not_taken_s < _BEHIND_S

    def now(self) -> dict[str, Any]:
        """State for a viewer."""
        source = self._source
        with self._lock:
            recent, times = list(self._delays)[-100:], list(self._times)
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
        return {
            **self.counts,
            "captured": source.n_captured,
            "waiting": len(source.waiting),
            "queue": round(source.waiting.filled, 2),
            "reconnects": source.n_reconnects,
            "silent_s": round(source.silent_s, 1),
            "paused": source.paused,
            "latency_ms": round(1e3 * float(np.median(recent)), 1) if recent else None,
            "frames_per_s": round(rate, 1),
            "trust": None if math.isnan(self._trust) else round(self._trust, 2),
            "disk_free_gb": round(shutil.disk_usage(self._folder).free / 1e9, 1),
            "alarms": source.alarms[-5:],
        }
