"""The times of a live run: those of the stream, else of the clock, across lost connections."""

from __future__ import annotations

import time

from insitrack.io.timeline import Clock

_USUAL_S, _SOON_S = 0.04, 1e-3


class RunTimes:
    """Gives every frame that arrives its time, and knows how long nothing has come.

    Parameters
    ----------
    start_s : float
        Time of the run at which it begins, s: 0, or where it was cut off.
    usual_s : float
        Time between frames, s, as far as it is known beforehand; else 0.

    Attributes
    ----------
    usual_s : float
        Time between frames so far, s; 0 before the second.
    patience_s : float
        How long to wait for a camera whose usual interval is not known, s.
    last_arrival_s : float
        When the last frame arrived, on the monotonic clock, s.
    """

    def __init__(self, start_s: float, usual_s: float) -> None:
        self.start_s, self.usual_s, self.patience_s = start_s, usual_s, 0.0
        self.last_arrival_s = time.monotonic()
        self._first_arrival_s: float | None = None
        self._offset_s = 0.0  # time of the run at which this connection began
        self._clock: Clock | None = None
        self._n, self._fresh = 0, True

    @property
    def begun(self) -> bool:
        """Whether there was ever a frame."""
        return self._clock is not None

    @property
    def silent_s(self) -> float:
        """Time since the last frame, s."""
        return time.monotonic() - self.last_arrival_s

    def now_s(self) -> float:
        """Return the time of the run, s; 0 before the first frame."""
        first = self._first_arrival_s
        return 0.0 if first is None else self.start_s + time.monotonic() - first

    def begin(self, index: int, nominal_s: float | None) -> None:
        """Fix the times of a connection: its first frame came now."""
        now = time.monotonic()
        if self._first_arrival_s is None:
            self._first_arrival_s = now
        self._offset_s = self.start_s + now - self._first_arrival_s
        self._fresh = True
        if self._clock is None:
            self._clock = Clock(nominal_s or _USUAL_S)
            if self.start_s:
                self._clock.time(index, self.start_s)  # the gap
                self._offset_s += _SOON_S

    def arrived(self, index: int, stamp_s: float | None) -> float:
        """Return the time of a frame that arrived now, s; its stamp counts from the beginning of the connection."""
        now = time.monotonic()
        assert self._first_arrival_s is not None
        assert self._clock is not None
        if self._n and not self._fresh:
            since = now - self.last_arrival_s
            self.usual_s = since if not self.usual_s else 0.9 * self.usual_s + 0.1 * since
            self.patience_s = 0.0
        self._fresh = False
        stamp_s = self.start_s + now - self._first_arrival_s if stamp_s is None else self._offset_s + stamp_s
        self.last_arrival_s = now
        self._n += 1
        return self._clock.time(index, stamp_s)

    def stopped(self, index: int) -> float:
        """Return the time of the gap that begins when frames stopped coming, s."""
        assert self._first_arrival_s is not None
        assert self._clock is not None
        expected_s = self.start_s + self.last_arrival_s + self.usual_s - self._first_arrival_s
        return self._clock.time(index, max(self._clock.last_s + 1e-6, expected_s))
