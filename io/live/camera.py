"""A live source: it captures in its own thread, never waits for the analysis, accounts for every frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.levels import Levels
from insitrack.io.live.capture import Capture

_TICK_S = 0.1


class LiveSource(Capture):
    """Frames of a camera, a network stream, a folder that fills up or a part of the screen, as they come.

    Every captured frame is handed on, as a frame or as what became of it; an interruption is a frame with
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
        Time between frames, s, as far as it is known beforehand: a slow camera is not taken for a stalled
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
    refused = ""
    time_origin = "timestamps of the stream, else the clock, from the first frame"

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        while True:
            item = self.waiting.get(_TICK_S)
            silent = self._thread.is_alive() and self.silent_s > max(
                self.config.stall_s, 3 * self._times.usual_s
            )
            self._alarms.watch_silence(silent, self.silent_s, self._times.now_s())
            if item is not None:
                yield item
            elif not self._thread.is_alive() and not len(self.waiting):
                if self._failure is not None:
                    raise self._failure
                return

    def captured_at(self, index: int) -> float | None:
        """Return when a frame arrived, on the monotonic clock, s; known once only."""
        return self._captured_at.pop(index, None)

    @property
    def levels(self) -> Levels | None:
        """How the values of a watched folder become grey levels.

        It is None before the first frame, and for other sources.
        """
        return self._depth.levels

    def samples(self) -> Iterator[Frame]:
        """Give none: what a camera will show is not known beforehand."""
        return iter(())

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
            "uri": self.name,
            **self._facts,
            **size,
            **counts,
            "time_origin": self.time_origin,
        }
        return {**facts, "alarms": self.alarms[:200]}
