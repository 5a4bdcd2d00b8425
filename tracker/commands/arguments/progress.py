"""Progress of a run on stderr, and a clean stop on Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from insitrack.tracker.run.tally import Tally

_LINE_EVERY_S = 10.0
_NARROW = 70
_ASKS_TO_STOP = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class ProgressBar:
    """Shows how far a run is and the time left; a line now and then where stderr is not a terminal.

    Parameters
    ----------
    start_s, end_s : float, float or None
        Part of the movie that is processed, s: with an end the bar counts seconds of the movie up to it,
        else frames.
    """

    def __init__(self, start_s: float = 0.0, end_s: float | None = None) -> None:
        self._start_s, self._end_s = start_s, end_s
        self._bar: Any = None
        self._task: Any = None
        self._last_line_s = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            console = Console(stderr=True)
            self._bar = Progress(*progress_columns(console.width), console=console)
            self._task = self._bar.add_task("", total=None, rate="", count="")
            self._bar.start()
        return self

    def update(self, tally: Tally, n_frames: int | None) -> None:
        """Show the counts so far."""
        done, total, count = self._counted(tally, n_frames)
        rate = "" if tally.drawn else f"{tally.frames_per_s:.1f} frames/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, rate=rate, count=count)
        elif time.monotonic() - self._last_line_s >= _LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            if tally.drawn:
                print(count, file=sys.stderr)
                return
            left = (
                ""
                if total is None or done <= 0  # at 0 s of the movie there is nothing to reckon from
                else f", {max(0.0, total - done) * tally.elapsed_s / done:.0f} s left"
            )
            print(f"{count}, {rate}{left}", file=sys.stderr)

    def _counted(self, tally: Tally, n_frames: int | None) -> tuple[float, float | None, str]:
        """Return what is done, of how much, and both in words."""
        if tally.drawn:
            return tally.drawn, tally.frames, f"movie {tally.drawn}/{tally.frames}"
        if self._end_s is None:
            return tally.frames, n_frames, f"{tally.frames}/{n_frames or '?'} frames"
        length = max(0.0, self._end_s - self._start_s)
        done = min(max(0.0, tally.last_s - self._start_s), length)
        return done, length, f"{done:.3g}/{length:.3g} s"

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def progress_columns(width: int) -> tuple[Any, ...]:
    """Choose what fits into a terminal: the count and the time left before bar and rate.

    Parameters
    ----------
    width : int
        Columns of the terminal.
    """
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    count, left = TextColumn("{task.fields[count]}"), (TimeRemainingColumn(), TextColumn("left"))
    if width < _NARROW:
        return (count, *left)
    return (BarColumn(bar_width=min(40, width - 48)), count, TextColumn("{task.fields[rate]}"), *left)


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request to stop; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("\nstopping after this frame; press Ctrl-C again to stop at once", file=sys.stderr)

    previous = {number: signal.signal(number, handle) for number in _ASKS_TO_STOP}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
