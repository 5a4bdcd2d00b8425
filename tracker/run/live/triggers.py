"""Triggers of a live run: what they look at, and what happens when one fires."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from insitrack.io.frames import Frame
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.status import LiveStatus
from insitrack.io.live.triggers import OF_STATE, Watch, parse_trigger
from insitrack.io.results import TrackedFrame, TrackSummary

_TICK_S = 0.5
_SPEED_S = 5.0
"""Over how long the speed of the drift is taken, s."""
Fired = dict[str, Any]
"""What is told of a trigger that fired: trigger, value, frame, t_s, dose_dpa."""


class LiveTriggers:
    """A sink behind the tables: looks at every frame, and twice a second at what changes without one.

    Parameters
    ----------
    given : sequence of str
        The conditions, see `insitrack.io.live.triggers.parse_trigger`.
    source, status : LiveSource, LiveStatus
        The run.
    mark : callable
        Gets what fired in words, and marks it.
    call : callable, optional
        Gets what fired; must not wait.
    """

    def __init__(
        self,
        given: Sequence[str],
        source: LiveSource,
        status: LiveStatus,
        mark: Callable[[str], None],
        call: Callable[[Fired], None] | None = None,
    ) -> None:
        watches = [Watch(parse_trigger(text)) for text in given]
        self._of_state = [one for one in watches if one.trigger.what in OF_STATE]
        self._of_frames = [one for one in watches if one.trigger.what not in OF_STATE]
        self._source, self._status, self._mark, self._call = source, status, mark, call
        self._shifts: deque[tuple[float, float, float]] = deque()
        self._place: tuple[int, float, float] = (-1, math.nan, math.nan)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch_state, name="insitrack-triggers", daemon=True)

    def __enter__(self) -> Self:
        if self._of_state:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(2 * _TICK_S)

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is watched of finished tracks."""

    def write(self, tracked: TrackedFrame) -> None:
        """Look at a frame; one that was not processed says nothing."""
        if not isinstance(tracked.frame, Frame) or not tracked.series:
            return
        total = tracked.series[-1]
        self._place = (tracked.frame.index, total.t_s, total.dose_dpa)
        drift = self._drift(total.t_s, *tracked.shift_px)
        for watch in self._of_frames:
            what = watch.trigger.what
            value = (
                drift[what] if what in drift else tracked.trust if what == "trust" else getattr(total, what)
            )
            if watch.fires(total.t_s, value):
                self._fire(watch, value)

    def _drift(self, t_s: float, x_px: float, y_px: float) -> dict[str, float]:
        """Length of the drift, px, and its speed over the last seconds, px/s."""
        if not (math.isfinite(x_px) and math.isfinite(y_px)):
            return {"drift_px": math.nan, "drift_px_per_s": math.nan}
        shifts = self._shifts
        shifts.append((t_s, x_px, y_px))
        while len(shifts) > 2 and t_s - shifts[1][0] >= _SPEED_S:
            shifts.popleft()
        then_s, then_x, then_y = shifts[0]
        known = t_s - then_s >= _SPEED_S / 2
        speed = math.hypot(x_px - then_x, y_px - then_y) / (t_s - then_s) if known else math.nan
        return {"drift_px": math.hypot(x_px, y_px), "drift_px_per_s": speed}

    def _watch_state(self) -> None:
        """Look at source, queue and disk until the run is over."""
        while not self._over.wait(_TICK_S):
            now, state = time.monotonic(), self._status.now()
            free_gb, left_h = self._status.disk()
            latency_ms = state["latency_ms"]
            values = {
                "silent_s": self._source.silent_s,
                "delay_s": math.nan if latency_ms is None else latency_ms / 1e3,
                "queue": float(state["queue"]),
                "disk_gb": free_gb,
                "disk_h": left_h if math.isfinite(left_h) else math.nan,
            }
            for watch in self._of_state:
                value = values[watch.trigger.what]
                if watch.fires(now, value):
                    self._fire(watch, value)

    def _fire(self, watch: Watch, value: float) -> None:
        """Mark it, raise an alarm, and hand it on."""
        words = f"{watch.trigger.text}: {watch.trigger.what} is {value:.4g}"
        self._mark(words)
        self._source.tell(f"trigger {words}")
        frame, t_s, dose_dpa = self._place
        if self._call is not None:
            known = {"frame": frame, "t_s": t_s, "dose_dpa": dose_dpa}
            plain = {name: None if math.isnan(number) else number for name, number in known.items()}
            self._call({"trigger": watch.trigger.text, "value": value, **plain})
