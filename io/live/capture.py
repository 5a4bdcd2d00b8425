"""The capture of a live source: a thread that takes what comes and never waits for the analysis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from insitrack.io.errors import SourceError
from insitrack.io.frames import Calibration, Frame, MissingFrame, MissingStatus
from insitrack.io.live.alarms import Alarms
from insitrack.io.live.feed import Captured, Depth, Feed
from insitrack.io.live.feeds import open_feed
from insitrack.io.live.settings import LeftOff, LiveConfig
from insitrack.io.live.times import RunTimes
from insitrack.io.live.waiting import WaitingFrames
from insitrack.io.manifest import without_password

_FIRST_BACK_OFF_S, _CLOSE_S = 0.1, 0.5


class Capture:
    """Takes frames from a feed across lost connections, gives them times, and lets them wait.

    Every captured frame waits, as a frame or as what became of it; an interruption is a frame with status
    `gap` of its own. Times are those of the stream, else of the clock, and start with the first frame.
    Parameters, attributes and errors are those of `LiveSource`.
    """

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
        self.name, self.uri, self.config = without_password(uri), uri, config or LiveConfig()
        self.calibration = Calibration(
            nm_per_px=nm_per_px, origin="unknown" if nm_per_px is None else "command line"
        )
        self.warnings: list[str] = []
        self.n_captured = self.n_damaged = self.n_gaps = self.n_reconnects = 0
        self.paused = False
        self.waiting = WaitingFrames(
            self.config.policy,
            self.config.queue_frames,
            Path(self.config.spool) if self.config.spool else None,
        )
        self.shape: tuple[int, int] | None = None
        self._index, start_s = (0, 0.0) if left_off is None else (left_off.next_index, left_off.t_s)
        self._times = RunTimes(start_s, usual_s or 0.0)
        self._depth = Depth(None if left_off is None else left_off.levels)
        self._captured_at: dict[int, float] = {}
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self._alarms = Alarms(self.name, alarm)
        self._feed = self._open()  # the first time a wrong address is an error, not a gap
        self._facts = dict(self._feed.facts)
        if nm_per_px is None and self._feed.nm_per_px is not None:
            self.calibration = Calibration(nm_per_px=self._feed.nm_per_px, origin=self._feed.told_by)
        if left_off is not None:
            self.n_gaps += 1
            self._put_missing(start_s, "gap", "the program was not running")
        self._thread = threading.Thread(target=self._work, name="insitrack-capture", daemon=True)
        self._thread.start()

    @property
    def silent_s(self) -> float:
        """Time since the last frame, s."""
        return self._times.silent_s

    @property
    def alarms(self) -> list[str]:
        """Alarms so far, each with the time of the run."""
        return self._alarms.lines

    def tell(self, text: str) -> None:
        """Raise an alarm: one line, kept with the time of the run, and handed on."""
        self._alarms.tell(text, self._times.now_s())

    def close(self) -> None:
        """Stop capturing, and remove what is stored.

        Waiting frames can then be taken only from memory. A driver that is still waiting for its next
        frame is not waited for: its thread releases it when that wait ends.
        """
        self._closing.set()
        self._feed.stop()
        self.waiting.close()
        self._thread.join(timeout=_CLOSE_S)
        self.waiting.discard()

    def _open(self) -> Feed:
        """Connect; a slow camera is given three of its usual intervals before it counts as stalled."""
        return open_feed(
            self.uri,
            stall_s=max(self.config.stall_s, 3 * self._times.usual_s, self._times.patience_s),
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
        """Take frames until the connection is lost; return why."""
        first = True
        try:
            for captured in feed.pictures:
                if self._closing.is_set():
                    return "closed"
                if first:
                    self._times.begin(self._index, feed.nominal_s)
                    first = False
                self._take(captured)
        except OSError as error:
            return str(error) or type(error).__name__
        finally:
            feed.pictures.close()
            feed.close()
        return "the connection ended"

    def _take(self, captured: Captured) -> None:
        t_s = self._times.arrived(self._index, captured.stamp_s)
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
            if not self.alarms or "px in a run of" not in self.alarms[-1]:
                self.tell(
                    f"the frame size changed: {sizes}; its scale is not known: set it back, or begin a"
                    " new run"
                )
            self._put_missing(t_s, "damaged", f"frame of {sizes}")
        else:
            self.shape = self.shape or captured.image.shape
            self._captured_at[self._index] = self._times.last_arrival_s
            self.waiting.put(Frame(self._index, t_s, captured.image))
            self._index += 1
            self._alarms.watch_queue(self.waiting.filled, self.config.policy, self._times.now_s())

    def _put_missing(self, t_s: float, status: MissingStatus, reason: str) -> None:
        self.waiting.put(MissingFrame(self._index, t_s, status, reason))
        self._index += 1

    def _gap(self, why: str) -> None:
        """Record that frames were not delivered: a frame of its own, at the time when they stopped."""
        self.n_gaps += 1
        self._put_missing(self._times.stopped(self._index), "gap", f"no frames: {why}")

    def _reconnected(self, why: str) -> bool:
        """Try until there is a connection again; False where the run is over.

        A source that has ended, and not only paused, leaves no gap: that is known once it comes back, or
        stays away for long.
        """
        self.tell(f"no frames since {self.silent_s:.1f} s ({why}); reconnecting")
        times = self._times
        times.patience_s = 0.0 if times.usual_s else 2 * max(times.patience_s, self.config.stall_s)
        pause, since, recorded = _FIRST_BACK_OFF_S, time.monotonic(), not times.begun
        while not self._closing.wait(pause):
            away_s = time.monotonic() - since
            if not recorded and away_s > self.config.stall_s:
                self._gap(why)
                recorded = True
            try:
                self._feed = self._open()
            except SourceError:
                if self.config.give_up_s and away_s > self.config.give_up_s:
                    self.tell(f"no connection for {self.config.give_up_s:g} s (live.give_up_s): the run ends")
                    return False
                pause = min(self.config.most_back_off_s, 2 * pause)
                continue
            self.n_reconnects += 1
            if not recorded:
                self._gap(why)
            return True
        return False
