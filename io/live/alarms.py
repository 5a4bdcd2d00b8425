"""Alarms of a live source: one line each, kept with the time of the run, and handed on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from insitrack.io.live.waiting import Policy

_QUEUE_LEVELS = (0.75, 1.0)
_SAME_ALARM_S = 30.0
_MOST_KEPT = 10_000


class Alarms:
    """Keeps and hands on the alarms of a source; may be called from any thread.

    Parameters
    ----------
    uri : str
        The source.
    alarm : callable, optional
        Gets every alarm, one line each.

    Attributes
    ----------
    lines : list of str
        Alarms so far, each with the time of the run.
    """

    def __init__(self, uri: str, alarm: Callable[[str], None] | None) -> None:
        self.lines: list[str] = []
        self._uri, self._alarm = uri, alarm
        self._level, self._was_silent = 0.0, False
        self._queue_told_s: dict[float, float] = {}

    def tell(self, text: str, t_s: float) -> None:
        """Raise an alarm at a time of the run, s."""
        if len(self.lines) < _MOST_KEPT:
            self.lines.append(f"{t_s:.1f} s: {text}")
        if self._alarm is not None:
            self._alarm(f"{self._uri}: {text}")

    def watch_silence(self, silent: bool, silent_s: float, t_s: float) -> None:
        """Report once that nothing has come for long, even if the connection itself does not notice."""
        if silent and not self._was_silent:
            self.tell(f"no frames since {silent_s:.1f} s", t_s)
        self._was_silent = silent

    def watch_queue(self, filled: float, policy: Policy, t_s: float) -> None:
        """Report when the queue passes three quarters, and when it is full.

        Again only after it was half empty, and after a while.
        """
        now = time.monotonic()
        for level in _QUEUE_LEVELS:
            if filled >= level > self._level:
                self._level = level
                if now - self._queue_told_s.get(level, -math.inf) < _SAME_ALARM_S:
                    continue
                self._queue_told_s[level] = now
                what = "oldest frames are dropped" if policy == "newest" else "frames are stored on disk"
                self.tell(
                    f"the queue is {level:.0%} full: frames come faster than they can be processed"
                    + (f"; {what}" if level >= 1 else ""),
                    t_s,
                )
        if filled < 0.5:
            self._level = 0.0
