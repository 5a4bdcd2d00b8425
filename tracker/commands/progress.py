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

from insitrack.tracker.run.loop import Tally

_LINE_EVERY_S = 10.0


class ProgressBar:
    """Frames done, frames per second and time left; a line now and then where stderr is not a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._last_line_s = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("frames  {task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=None, rate="")
            self._bar.start()
        return self

    def update(self, tally: Tally, n_frames: int | None) -> None:
        """Show the counts so far."""
        rate = f"{tally.frames_per_s:.1f} frames/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=tally.frames, total=n_frames, rate=rate)
        elif time.monotonic() - self._last_line_s >= _LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            left = (
                ""
                if n_frames is None
                else f", {(n_frames - tally.frames) * tally.elapsed_s / max(tally.frames, 1):.0f} s left"
            )
            print(f"{tally.frames} of {n_frames or 'unknown'} frames, {rate}{left}", file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C, or the end of the session (SIGTERM).

    Into a request to stop after the frame in hand; a second one stops at once.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("\nstopping after this frame; press Ctrl-C again to stop at once", file=sys.stderr)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
