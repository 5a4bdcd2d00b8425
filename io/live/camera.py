"""A live source: captures in a thread of its own, never waits for the analysis, reconnects.

And accounts for every frame.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insitrack.io.errors import SettingsError, SourceError
from insitrack.io.frames import Calibration, Frame, MissingFrame, MissingStatus
from insitrack.io.levels import Levels
from insitrack.io.live.feeds import Captured, Depth, Feed, open_feed
from insitrack.io.live.waiting import Policy, WaitingFrames
from insitrack.io.timeline import Clock

_FIRST_BACK_OFF_S, _TICK_S = 0.1, 0.1
_ALARMS = (0.75, 1.0)
_SAME_ALARM_S = 30.0
_USUAL_S, _SOON_S = 0.04, 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveConfig:
    """How a live source is read.

    Parameters
    ----------
    policy : {"newest", "all"}
        When frames come faster than they can be processed: `newest` drops the oldest that wait and counts
        them; `all` stores them on disk and catches up.
    queue_frames : int
        Frames that may wait in memory.
    stall_s : float
        Without a picture for so long, s, and for three usual intervals, a source counts as stalled: that is
        told, and it is reconnected.
    most_back_off_s : float
        Longest pause between two attempts to reconnect, s.
    give_up_s : float
        How long to try before the run ends, s; 0: for ever.
    spool : str
        Folder for what waits on disk with `all`; empty: the system's folder for temporary files.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    policy: Policy = "newest"
    queue_frames: int = 4
    stall_s: float = 4.0
    most_back_off_s: float = 2.0
    give_up_s: float = 0.0
    spool: str = ""

    def __post_init__(self) -> None:
        if self.policy not in ("newest", "all"):
            raise SettingsError(
                f"live.policy {self.policy!r}: expected newest (drops and counts) or all (stores and"
                " catches up)"
            )
        if self.queue_frames < 1:
            raise SettingsError(f"live.queue_frames {self.queue_frames}: expected at least 1")
        for name in ("stall_s", "most_back_off_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise SettingsError(f"live.{name} {getattr(self, name)}: expected a positive number of s")
        if not (math.isfinite(self.give_up_s) and self.give_up_s >= 0):
            raise SettingsError(
                f"live.give_up_s {self.give_up_s}: expected 0 (never) or a positive number of s"
            )
        if self.spool and not Path(self.spool).is_dir():
            raise SettingsError(
                f"live.spool {self.spool!r}: no such folder; make it, or leave it out for the system's"
                " temporary one"
            )


@dataclass(frozen=True, slots=True)
class LeftOff:
    """Where a run that was cut off goes on; what was missed is a gap.

    Parameters
    ----------
    next_index : int
        Number of the next frame.
    t_s : float
        Its time, s.
    levels : Levels, optional
        How values become grey levels in this run.
    """

    next_index: int
    t_s: float
    levels: Levels | None = None


class LiveSource:
    """Frames of a camera, a network stream, a folder that fills up or a part of the screen, as they come.

    Every captured frame is handed on, as a picture or as what became of it; an interruption is a frame with
    status `gap` of its own. Times are those of the stream, else of the clock, and start with the first frame.

    Parameters
    ----------
    uri : str
        Address, see `insitrack.io.live.feeds.open_feed`.
    config : LiveConfig
        How it is read.
    nm_per_px : float, optional
        Width of a pixel, nm.
    usual_s : float, optional
        Time between pictures, s, as far as it is known beforehand: a slow camera is not taken for a stalled
        one.
    alarm : callable, optional
        Gets every alarm, one line each: stalls, lost connections, a full queue. From another thread.
    left_off : LeftOff, optional
        For a run that was cut off.

    Attributes
    ----------
    n_captured, n_damaged, n_gaps, n_reconnects : int
        Counts so far.
    paused : bool
        Frames that come meanwhile are `skipped`.

    Raises
    ------
    SourceError
        If there is nothing at that address.
    """

    n_frames: int | None = None

    def __init__(
        self,
        uri: str,
        config: LiveConfig | None = None,
        *,
        nm_per_px: float | None = None,
        usual_s: float | None = None,
        alarm: Callable[[str], None] | None = None,
        left_off: LeftOff | None = None,
    ) -> None:
        self.name, self.uri, self.config = uri, uri, config or LiveConfig()
        self.calibration = Calibration(
            nm_per_px=nm_per_px, origin="unknown" if nm_per_px is None else "command line"
        )
        self.time_origin = "timestamps of the stream, else the clock, from the first frame"
        self.warnings: list[str] = []
        self.refused = ""
        self.alarms: list[str] = []
        self.n_captured = self.n_damaged = self.n_gaps = self.n_reconnects = 0
        self.paused = False
        self.waiting = WaitingFrames(
            self.config.policy,
            self.config.queue_frames,
            Path(self.config.spool) if self.config.spool else None,
        )
        self.shape: tuple[int, int] | None = None
        self._alarm = alarm
        self._index, self._start_s = (0, 0.0) if left_off is None else (left_off.next_index, left_off.t_s)
        self._depth = Depth(None if left_off is None else left_off.levels)
        self._clock: Clock | None = None
        self._offset_s = 0.0  # time of the run at which this connection began
        self._first_arrival: float | None = None
        self._captured_at: dict[int, float] = {}
        self._last_arrival = time.monotonic()
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self._fresh, self._silence_told = True, False
        self._level = self._patience_s = 0.0
        self._queue_told_s: dict[float, float] = {}
        self._usual_s = usual_s or 0.0
        self._feed = self._open()  # the first time a wrong address is an error, not a gap
        self._facts = dict(self._feed.facts)
        if nm_per_px is None and self._feed.nm_per_px is not None:
            self.calibration = Calibration(nm_per_px=self._feed.nm_per_px, origin=self._feed.told_by)
        if left_off is not None:
            self.n_gaps += 1
            self._put_missing(self._start_s, "gap", "the program was not running")
        self._thread = threading.Thread(target=self._work, name="insitrack-capture", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        while True:
            item = self.waiting.get(_TICK_S)
            self._watch_silence()
            if item is not None:
                yield item
            elif not self._thread.is_alive() and not len(self.waiting):
                if self._failure is not None:
                    raise self._failure
                return

    def captured_at(self, index: int) -> float | None:
        """Return when a frame arrived, on the monotonic clock, s; told once."""
        return self._captured_at.pop(index, None)

    @property
    def levels(self) -> Levels | None:
        """How the values of a watched folder become grey levels.

        None before its first picture, and for other sources.
        """
        return self._depth.levels

    def samples(self) -> Iterator[Frame]:
        """Give none: what a camera will show is not known beforehand."""
        return iter(())

    @property
    def silent_s(self) -> float:
        """Time since the last picture, s."""
        return time.monotonic() - self._last_arrival

    def describe(self) -> dict[str, Any]:
        """Address, codec, counts and time origin."""
        counts = {name: getattr(self, f"n_{name}") for name in ("captured", "damaged", "gaps", "reconnects")}
        counts |= {"dropped": self.waiting.n_dropped, "spooled": self.waiting.n_spooled}
        size: dict[str, Any] = (
            {} if self.shape is None else {"width_px": self.shape[1], "height_px": self.shape[0]}
        )
        if self.levels is not None:
            size["levels"] = str(self.levels)
        facts = {
            "kind": "live",
            "uri": self.uri,
            **self._facts,
            **size,
            **counts,
            "time_origin": self.time_origin,
        }
        return {**facts, "alarms": self.alarms[:200]}

    def close(self) -> None:
        """Stop capturing, and remove what is stored.

        Of frames that wait only those in memory can still be taken.
        """
        self._closing.set()
        self._feed.stop()
        self.waiting.close()
        self._thread.join(timeout=self.config.stall_s + 2)
        self.waiting.discard()

    def _open(self) -> Feed:
        """Connect; a slow camera is given three of its usual intervals before it counts as stalled."""
        return open_feed(
            self.uri,
            stall_s=max(self.config.stall_s, 3 * self._usual_s, self._patience_s),
            closing=self._closing.is_set,
            depth=self._depth,
        )

    def _work(self) -> None:
        """Capture until the end, across lost connections."""
        try:
            while not self._closing.is_set():
                lost = self._capture(self._feed)
                if self._closing.is_set() or not self._reconnected(lost):
                    break
        except BaseException as error:  # handed to the thread that waits for frames, which raises it
            self._failure = error
        finally:
            self._feed.close()
            self.waiting.close()

    def _capture(self, feed: Feed) -> str:
        """Take pictures until the connection is lost; return why."""
        first = True
        try:
            for captured in feed.pictures:
                if self._closing.is_set():
                    return "closed"
                if first:
                    self._begin(feed)
                    first = False
                self._take(captured)
        except OSError as error:
            return str(error) or type(error).__name__
        finally:
            feed.pictures.close()
            feed.close()
        return "the connection ended"

    def _begin(self, feed: Feed) -> None:
        """Fix the times of a connection: its first frame came now."""
        now = time.monotonic()
        if self._first_arrival is None:
            self._first_arrival = now
        self._offset_s = self._start_s + now - self._first_arrival
        self._fresh = True
        if self._clock is None:
            self._clock = Clock(feed.nominal_s or _USUAL_S)
            if self._start_s:
                self._clock.time(self._index, self._start_s)  # the gap
                self._offset_s += _SOON_S

    def _take(self, captured: Captured) -> None:
        now = time.monotonic()
        assert self._first_arrival is not None
        assert self._clock is not None
        if self.n_captured and not self._fresh:
            since = now - self._last_arrival
            self._usual_s = since if not self._usual_s else 0.9 * self._usual_s + 0.1 * since
            self._patience_s = 0.0
        self._fresh = False
        stamp = (
            self._start_s + now - self._first_arrival
            if captured.stamp_s is None
            else self._offset_s + captured.stamp_s
        )
        t_s = self._clock.time(self._index, stamp)
        self._last_arrival = now
        self.n_captured += 1
        if captured.image is None:
            self.n_damaged += 1
            self._put_missing(t_s, "damaged", captured.reason)
        elif self.paused:
            self._put_missing(t_s, "skipped", "paused")
        elif self.shape is not None and captured.image.shape != self.shape:
            self.n_damaged += 1
            sizes = (
                f"{captured.image.shape[1]} x {captured.image.shape[0]} px in a run of {self.shape[1]} x"
                f" {self.shape[0]} px"
            )
            if len(self.alarms) == 0 or "px in a run of" not in self.alarms[-1]:
                self.tell(
                    f"the picture size changed: {sizes}; its scale is not known: set it back, or begin a"
                    " new run"
                )
            self._put_missing(t_s, "damaged", f"picture of {sizes}")
        else:
            self.shape = self.shape or captured.image.shape
            self._captured_at[self._index] = now
            self.waiting.put(Frame(self._index, t_s, captured.image))
            self._index += 1
            self._watch_queue()

    def _put_missing(self, t_s: float, status: MissingStatus, reason: str) -> None:
        self.waiting.put(MissingFrame(self._index, t_s, status, reason))
        self._index += 1

    def _gap(self, why: str) -> None:
        """Record that frames were not delivered: a frame of its own, at the time when they stopped."""
        assert self._first_arrival is not None
        assert self._clock is not None
        self.n_gaps += 1
        stopped = max(
            self._clock.last_s + 1e-6,
            self._start_s + self._last_arrival + self._usual_s - self._first_arrival,
        )
        self._put_missing(self._clock.time(self._index, stopped), "gap", f"no pictures: {why}")

    def _reconnected(self, why: str) -> bool:
        """Try until there is a connection again; False where the run is over.

        A source that has ended, and not only paused, leaves no gap: that is known once it comes back, or
        stays away for long.
        """
        self.tell(f"no pictures since {self.silent_s:.1f} s ({why}); reconnecting")
        self._patience_s = 2 * max(self._patience_s, self.config.stall_s) if not self._usual_s else 0.0
        pause, since, told = _FIRST_BACK_OFF_S, time.monotonic(), self._clock is None
        while not self._closing.wait(pause):
            away_s = time.monotonic() - since
            if not told and away_s > self.config.stall_s:
                self._gap(why)
                told = True
            try:
                self._feed = self._open()
            except SourceError:
                if self.config.give_up_s and away_s > self.config.give_up_s:
                    self.tell(f"no connection for {self.config.give_up_s:g} s (live.give_up_s): the run ends")
                    return False
                pause = min(self.config.most_back_off_s, 2 * pause)
                continue
            self.n_reconnects += 1
            if not told:
                self._gap(why)
            return True
        return False

    def _watch_silence(self) -> None:
        """Tell once that nothing has come for long, also where the connection itself does not notice."""
        silent = self._thread.is_alive() and self.silent_s > max(self.config.stall_s, 3 * self._usual_s)
        if silent and not self._silence_told:
            self.tell(f"no pictures since {self.silent_s:.1f} s")
        self._silence_told = silent

    def _watch_queue(self) -> None:
        """Tell when the queue passes three quarters, and when it is full.

        Again only after it was half empty, and after a while.
        """
        filled, now = self.waiting.filled, time.monotonic()
        for level in _ALARMS:
            if filled >= level > self._level:
                self._level = level
                if now - self._queue_told_s.get(level, -math.inf) < _SAME_ALARM_S:
                    continue
                self._queue_told_s[level] = now
                what = (
                    "oldest frames are dropped"
                    if self.config.policy == "newest"
                    else "frames are stored on disk"
                )
                self.tell(
                    f"the queue is {level:.0%} full: frames come faster than they can be processed"
                    + (f"; {what}" if level >= 1 else "")
                )
        if filled < 0.5:
            self._level = 0.0

    def tell(self, text: str) -> None:
        """Raise an alarm: one line, kept with the time of the run, and handed on."""
        t_s = 0.0 if self._first_arrival is None else self._start_s + time.monotonic() - self._first_arrival
        if len(self.alarms) < 10_000:
            self.alarms.append(f"{t_s:.1f} s: {text}")
        if self._alarm is not None:
            self._alarm(f"{self.uri}: {text}")
