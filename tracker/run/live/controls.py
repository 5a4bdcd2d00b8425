"""What a viewer may do to a live run: pause, mark, stop, and set what is known of specimen and beam; all is recorded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from insitrack.io.errors import SettingsError
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.page.curves import known
from insitrack.io.live.page.request import OF_MARKS, ViewerRequest
from insitrack.io.live.page.requests import Done
from insitrack.io.results import TrackedFrame, TrackSummary
from insitrack.io.tables.records import MARKS, SETTINGS
from insitrack.tracker.hardening.materials import material_names
from insitrack.tracker.run.live.marks import Marks
from insitrack.tracker.series.conditions import (
    DOSE_RATE,
    MATERIAL,
    THICKNESS,
    THICKNESS_SD,
    Change,
    exact,
    write_changes,
)
from insitrack.tracker.series.meter import SeriesMeter

_SETTINGS = {"thickness": THICKNESS, "dose_rate": DOSE_RATE, "material": MATERIAL}
_MOST_NOTED, _MOST_MARKS, _MOST_LOG = 10_000, 1000, 60
_WORDS = {
    THICKNESS: ("thickness", " nm"),
    THICKNESS_SD: ("error of the thickness", " nm"),
    DOSE_RATE: ("dose rate", " dpa/s"),
    MATERIAL: ("material", ""),
}


class LiveControls:
    """Carries out what viewers ask for; a sink, because things happen at the time of a frame.

    Parameters
    ----------
    source : LiveSource
        What is paused.
    meter : SeriesMeter
        Whose thickness, dose rate and material change, from the next frame on.
    folder : Path
        Where ``settings.csv`` and ``marks.csv`` are written.
    stop : threading.Event
        Set to end the run.
    triggers : sequence of str
        Conditions that are told, for the page.

    Attributes
    ----------
    changes : list of dict
        Everything that was done, for the manifest.
    """

    def __init__(
        self,
        source: LiveSource,
        meter: SeriesMeter,
        folder: Path,
        stop: threading.Event,
        triggers: Sequence[str] = (),
    ) -> None:
        self._triggers = list(triggers)
        self._source, self._meter, self._stop = source, meter, stop
        self._folder = folder
        self._frame, self._t_s, self._n_changes = -1, 0.0, 0
        self._writing = threading.Lock()
        began_with = [one.to for one in meter.conditions.of(MATERIAL) if one.to]
        self._materials = list(dict.fromkeys([*material_names(), *began_with]))
        self.changes: list[dict[str, Any]] = []
        self.marks = Marks(folder / MARKS.file, self._dose, source.tell)

    def __enter__(self) -> Self:
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Keep number and time of the newest frame: that is when things happen."""
        self._frame, self._t_s = tracked.frame.index, tracked.frame.t_s

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is done to finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, wish: ViewerRequest) -> Done:
        """Do it; return what was done.

        Raises
        ------
        SettingsError
            If it cannot be; nothing is changed then.
        """
        if wish.action in (*_SETTINGS, "undo"):
            return Done(self._change(self._undone() if wish.action == "undo" else self._asked(wish)))
        if wish.action in OF_MARKS:
            return Done(self._change_mark(wish))
        if wish.action in ("pause", "resume"):
            self._source.paused = wish.action == "pause"
        elif wish.action == "stop":
            self._stop.set()
        words = wish.text or wish.action
        self._note(words)
        self.marks.add(self._t_s, words, "page" if wish.action == "mark" else "run")
        return Done(words)

    def fired(self, words: str) -> None:
        """Mark that a trigger fired."""
        self._note(words)
        self.marks.add(self._t_s, words, "trigger")

    def _change_mark(self, wish: ViewerRequest) -> str:
        """Rename, move or delete a mark; it is noted what was done."""
        if wish.action == "rename":
            words = f"mark renamed: {self.marks.rename(wish.number, wish.text).text}"
        elif wish.action == "move":
            moved = self.marks.move(wish.number, wish.value)
            words = f"mark moved to {moved.t_s:.1f} s: {moved.text}"
        else:
            words = f"mark deleted: {self.marks.remove(wish.number).text}"
        self._note(words)
        return words

    def _note(self, words: str) -> None:
        """Keep for the manifest and the page what was done; of a long night, the last of it."""
        self.changes.append({"t_s": self._t_s, "what": words})
        del self.changes[:-_MOST_NOTED]

    def notes(self) -> dict[str, Any]:
        """Return the marks, and what was done last, for the page."""
        shown = self.marks.all()[-_MOST_MARKS:]
        return {
            "marks": [
                {"id": one.number, "t": one.t_s, "dose": known(one.dose_dpa), "text": one.text, "by": one.by}
                for one in shown
            ],
            "log": self.changes[-_MOST_LOG:],
            "triggers": self._triggers,
        }

    @property
    def notes_version(self) -> int:
        """Changes whenever there are other notes."""
        return self.marks.version + self._n_changes

    def held(self) -> dict[str, Any]:
        """Return what holds now, for the page: values, materials to choose from, and what undo would do."""
        conditions, frame = self._meter.conditions, self._frame + 1
        last = self._last_of_page()
        return {
            "thickness_nm": conditions.at(THICKNESS, frame),
            "dose_rate": "as logged" if self._logged else conditions.at(DOSE_RATE, frame),
            "material": conditions.at(MATERIAL, frame),
            "materials": self._materials,
            "undo": ""
            if last is None
            else f"{_in_words(last.what, last.to)}, before {last.before or 'none'}",
        }

    @property
    def _logged(self) -> bool:
        return "dose_dpa" in self._meter.exposure.log

    def _dose(self, t_s: float) -> float:
        return float(self._meter.exposure.dose_dpa(t_s))

    def _asked(self, wish: ViewerRequest) -> list[Change]:
        """Return the change that a viewer asks for."""
        what = _SETTINGS[wish.action]
        if what == DOSE_RATE and self._logged:
            raise SettingsError("the dose comes from the log; a dose rate would change nothing")
        if what == MATERIAL and wish.text not in self._materials:
            raise SettingsError(f"material {wish.text!r}: expected {', '.join(self._materials)}")
        to = wish.text if what == MATERIAL else exact(wish.value)
        before = self._meter.conditions.at(what, self._frame + 1)
        if to == before:
            raise SettingsError(f"{_in_words(what, to)}: holds already")
        return [Change(self._frame + 1, self._t_s, what, to, "page", before)]

    def _undone(self) -> list[Change]:
        """Return what takes back the last change of the page: from now on its setting is as it was before."""
        last = self._last_of_page()
        if last is None:
            raise SettingsError("nothing to undo: no setting was changed on the page")
        conditions, frame = self._meter.conditions, self._frame + 1
        now = Change(frame, self._t_s, last.what, last.before, "undo", conditions.at(last.what, frame))
        if last.what != THICKNESS or not (spread := conditions.at(THICKNESS_SD, last.frame - 1)):
            return [now]
        return [now, Change(frame, self._t_s, THICKNESS_SD, spread, "undo")]

    def _last_of_page(self) -> Change | None:
        """Return the last change on the page that was not taken back."""
        stack: list[Change] = []
        for one in self._meter.conditions.changes:
            if one.by == "page":
                stack.append(one)
            elif one.by == "undo" and one.what != THICKNESS_SD and stack:
                stack.pop()
        return stack[-1] if stack else None

    def _change(self, changes: list[Change]) -> str:
        """Let a change hold from the next frame on, once it is on disk."""
        before, words = self._meter.conditions, _in_words(changes[0].what, changes[0].to)
        self._meter.follow(before.then(*changes))
        try:
            with self._writing:
                write_changes(self._folder / SETTINGS.file, changes)
        except OSError as error:
            self._meter.follow(before)
            raise SettingsError(
                f"{SETTINGS.file}: cannot be written ({error.strerror}), so that {words} does not hold; make room"
            ) from error
        self._n_changes += 1
        self._note(words)
        return words


def _in_words(what: str, value: str) -> str:
    name, unit = _WORDS[what]
    return f"{name} {value}{unit}" if value else f"{name} not known"
