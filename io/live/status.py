"""How a live run is doing: delay from capture to row on disk, queue, losses, disk.

A sink that keeps numbers only.
"""

from __future__ import annotations

import contextlib
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
_BEHIND_S, _RATE_S = 2.0, 10.0
_DISK_EVERY_S, _DISK_LEAST_S, _DISK_KEPT = 2.0, 20.0, 300
"""How often the disk is looked at, after how long its rate is told, and how many looks back it reaches."""


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
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=200)
        self._disk: deque[tuple[float, int]] = deque(maxlen=_DISK_KEPT)
        self._lost_s: dict[str, float] = {}
        self._not_taken, self._not_taken_s = 0, -math.inf
        self._least_trust, self._trust, self._trusted = least_trust, math.nan, True
        self._distrust: tuple[str, ...] = ()
        self.counts = dict.fromkeys(("processed", "dropped", "damaged", "gap", "skipped"), 0)

    def __enter__(self) -> Self:
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Take one source frame into account."""
        now = time.monotonic()
        arrived = self._source.captured_at(tracked.frame.index)
        processed = isinstance(tracked.frame, Frame)
        with self._lock:
            self._arrivals.append((now, self._source.n_captured))
            status = "processed" if isinstance(tracked.frame, Frame) else tracked.frame.status
            self.counts[status] += 1
            if not processed:
                self._lost_s[status] = now
            if processed:
                self._times.append(now)
                if arrived is not None:
                    self._delays.append(now - arrived)
        self._look_at_disk(now)
        if processed:
            self._watch_trust(tracked)

    def _look_at_disk(self, now: float) -> None:
        """Note now and then how much is free, bytes."""
        if self._disk and now - self._disk[-1][0] < _DISK_EVERY_S:
            return
        with contextlib.suppress(OSError):  # the folder may be gone; what writes there says so
            self._disk.append((now, shutil.disk_usage(self._folder).free))

    def disk(self) -> tuple[float, float]:
        """Free space, GB, and how long it lasts at the rate of the last minutes, h.

        Both are NaN where they are not known; the second is infinite where nothing is used up.
        """
        self._look_at_disk(time.monotonic())
        looks = list(self._disk)
        if not looks:
            return math.nan, math.nan
        (since, before), (last, free) = looks[0], looks[-1]
        if last - since < _DISK_LEAST_S:
            return free / 1e9, math.nan
        used_per_s = (before - free) / (last - since)
        return free / 1e9, free / used_per_s / 3600 if used_per_s > 0 else math.inf

    def _watch_trust(self, tracked: TrackedFrame) -> None:
        """Tell once that the movie has left what the model knows, and that it is back."""
        self._trust, self._distrust = tracked.trust, tracked.distrust
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
            arrivals, lost = list(self._arrivals), dict(self._lost_s)
        free_gb, left_h = self.disk()
        now = time.monotonic()
        rate, arriving = _per_s([(t, i) for i, t in enumerate(times)], now), _per_s(arrivals, now)
        return {
            **self.counts,
            "captured": source.n_captured,
            "waiting": len(source.waiting),
            "queue": round(source.waiting.filled, 2),
            "reconnects": source.n_reconnects,
            "silent_s": round(source.silent_s, 1),
            "paused": source.paused,
            "latency_ms": round(1e3 * float(np.median(recent)), 1) if recent else None,
            "frames_per_s": float(f"{rate:.2g}") if rate < 10 else round(rate, 1),
            "arriving_per_s": float(f"{arriving:.2g}") if arriving < 10 else round(arriving, 1),
            "policy": source.config.policy,
            "lost_ago_s": {status: round(now - then, 1) for status, then in lost.items()},
            "trust": None if math.isnan(self._trust) else round(self._trust, 2),
            "distrust": list(self._distrust),
            "least_trust": self._least_trust,
            "disk_free_gb": None if math.isnan(free_gb) else round(free_gb, 1),
            "disk_left_h": round(left_h, 1) if math.isfinite(left_h) else None,
            "disk_used": math.isfinite(left_h),
            "alarms": source.alarms[-5:],
        }


def _per_s(counted: list[tuple[float, int]], now: float) -> float:
    """Rate of a count now, of times, s, and counts: over the last 10 s, or since the one before last.

    Examples
    --------
    >>> _per_s([(0.0, 0), (1.0, 2), (2.0, 4), (3.0, 6)], 3.0), _per_s([(0.0, 0), (1.0, 1)], 51.0)
    (2.0, 0.02)
    """
    recent = [one for one in counted if now - one[0] < _RATE_S]
    if len(recent) > 2:
        return (recent[-1][1] - recent[0][1]) / max(recent[-1][0] - recent[0][0], 1e-9)
    if len(counted) < 2:
        return 0.0
    (before_s, before), (last_s, last) = counted[-2:]
    return (last - before) / max(last_s - before_s, now - last_s, 1e-9)
