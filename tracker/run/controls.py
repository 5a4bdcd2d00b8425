"""What a viewer may do to a live run: pause, mark, set dose rate and thickness, stop; all of it is recorded."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from insitrack.io.errors import SettingsError
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.page.request import ViewerRequest
from insitrack.io.results import TrackedFrame, TrackSummary
from insitrack.io.tables.run_folder import MARKS
from insitrack.tracker.series.meter import SeriesMeter


class LiveControls:
    """Carries out what viewers ask for; a sink, because things happen at the time of a frame.

    Parameters
    ----------
    source : LiveSource
        What is paused.
    meter : SeriesMeter
        What dose rate and thickness are set of, from the next frame on.
    folder : Path
        Where ``marks.csv`` is written: time, dose, what was done.
    stop : threading.Event
        Set to end the run.

    Attributes
    ----------
    changes : list of dict
        Everything that was done, for the manifest.
    """

    def __init__(self, source: LiveSource, meter: SeriesMeter, folder: Path, stop: threading.Event) -> None:
        self._source, self._meter, self._stop = source, meter, stop
        self._path = folder / MARKS
        self._t_s = 0.0
        self.changes: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Keep the time of the newest frame: that is when things happen."""
        self._t_s = tracked.frame.t_s

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is done to finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, wish: ViewerRequest) -> tuple[float, float] | None:
        """Do it; return time and dose of what a curve should show."""
        try:
            self._do(wish)
        except SettingsError as error:  # what cannot be must not end the run
            self._source.tell(str(error))
            return None
        dose = float(self._meter.exposure.dose_dpa(self._t_s))
        words = {
            "mark": wish.text,
            "dose_rate": f"dose rate {wish.value:g} dpa/s",
            "thickness": f"thickness {wish.value:g} nm",
        }.get(wish.action, wish.action)
        try:
            self._write(words, dose)
        except OSError as error:  # it holds all the same, and is in the manifest
            self._source.tell(f"{self._path.name}: cannot be written ({error.strerror}); not in it: {words}")
        return None if wish.action in ("pause", "resume", "stop") else (self._t_s, dose)

    def _do(self, wish: ViewerRequest) -> None:
        if wish.action in ("pause", "resume"):
            self._source.paused = wish.action == "pause"
        elif wish.action == "stop":
            self._stop.set()
        elif wish.action == "dose_rate":
            self._meter.exposure = self._meter.exposure.stepped(self._t_s, wish.value)
        elif wish.action == "thickness":
            self._meter.set_thickness(wish.value)

    def _write(self, words: str, dose: float) -> None:
        """Append a line to the table, and keep it for the manifest."""
        self.changes.append({"t_s": self._t_s, "what": words})
        fresh = not self._path.exists()
        with self._path.open("a", encoding="utf-8", newline="\n") as stream:
            quoted = '"' + words.replace('"', '""') + '"'
            stream.write(
                ("t_s,dose_dpa,mark\n" if fresh else "")
                + f"{self._t_s:.6f},{'' if dose != dose else f'{dose:.6g}'},{quoted}\n"
            )
