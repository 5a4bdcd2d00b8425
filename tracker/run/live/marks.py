"""The marks of a live run: `marks.csv`, and what may still be done to them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from insitrack.io.errors import InsitrackError, SettingsError
from insitrack.io.tables.records import MARKS, append_rows, harmless, lines_of, read_rows
from insitrack.io.write import write_text

By = Literal["page", "run", "trigger"]
"""Who set a mark: somebody on the page, what was done to the run (pause, stop), or a trigger."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark.

    Parameters
    ----------
    number : int
        By which it is asked for; never used again for another.
    t_s, dose_dpa : float
        Its time, s, and dose, dpa; NaN where not known.
    text : str
        What was marked or done.
    by : {"page", "run", "trigger"}
        Who set it.
    """

    number: int
    t_s: float
    dose_dpa: float
    text: str
    by: By

    def cells(self) -> dict[str, str]:
        """Texts of its line."""
        dose = "" if math.isnan(self.dose_dpa) else f"{self.dose_dpa:.6g}"
        return {"t_s": f"{self.t_s:.6f}", "dose_dpa": dose, "mark": harmless(self.text), "by": self.by}


class Marks:
    """The marks of one run, on disk before they count; may be asked from any thread.

    Parameters
    ----------
    path : Path
        ``marks.csv``; what a run that was cut off left there is kept.
    dose_dpa : callable
        Dose at a time of the run.
    tell : callable
        Gets one line where the table cannot be read or written; the run goes on, and keeps its marks in mind.
    """

    def __init__(self, path: Path, dose_dpa: Callable[[float], float], tell: Callable[[str], None]) -> None:
        self._path, self._dose, self._tell = path, dose_dpa, tell
        self._lock = threading.Lock()
        self._marks: list[Mark] = []
        self._readable = True
        try:
            rows = read_rows(path, MARKS) if path.exists() else []
            for row in rows:
                by: Any = row["by"]
                dose = float(row["dose_dpa"] or "nan")
                self._marks.append(Mark(len(self._marks), float(row["t_s"]), dose, row["mark"], by))
        except (InsitrackError, ValueError) as error:
            self._readable = False
            tell(
                f"{path.name}: not as a run writes it ({error}); it is left as it is, marks are in run.json only"
            )
        self._next = len(self._marks)
        self.version = 0

    def all(self) -> tuple[Mark, ...]:
        """Return them by their times."""
        with self._lock:
            return tuple(sorted(self._marks, key=lambda mark: (mark.t_s, mark.number)))

    def add(self, t_s: float, text: str, by: By) -> Mark:
        """Set a mark; one that cannot be written is told, and kept in mind."""
        with self._lock:
            mark = Mark(self._next, t_s, self._dose(t_s), text, by)
            self._next += 1
            self._marks.append(mark)
            self.version += 1
            if self._readable:
                try:
                    append_rows(self._path, MARKS, [mark.cells()])
                except OSError as error:
                    self._tell(f"{self._path.name}: cannot be written ({error.strerror}); not in it: {text}")
        return mark

    def rename(self, number: int, text: str) -> Mark:
        """Give a mark of the page another text; errors as `_changed`."""
        return self._changed(number, lambda mark: replace(mark, text=text))

    def move(self, number: int, t_s: float) -> Mark:
        """Put a mark of the page at another time of the run, s; errors as `_changed`."""
        return self._changed(number, lambda mark: replace(mark, t_s=t_s, dose_dpa=self._dose(t_s)))

    def remove(self, number: int) -> Mark:
        """Take a mark of the page away; return it. Errors as `_changed`."""
        return self._changed(number, lambda mark: None)

    def _changed(self, number: int, change: Callable[[Mark], Mark | None]) -> Mark:
        """Change one mark, once the table is written anew.

        Raises
        ------
        SettingsError
            If there is no such mark, it is a record of what happened, or the table cannot be written.
        """
        with self._lock:
            place = next((i for i, mark in enumerate(self._marks) if mark.number == number), None)
            if place is None:
                raise SettingsError(f"mark {number}: there is none, or no more; expected one of the list")
            before = self._marks[place]
            if before.by != "page":
                raise SettingsError(
                    f"mark {before.text!r}: says what happened; only marks set on the page can be changed"
                )
            after = change(before)
            marks = [*self._marks[:place], *([] if after is None else [after]), *self._marks[place + 1 :]]
            if self._readable:
                try:
                    text = MARKS.header() + lines_of(MARKS, [mark.cells() for mark in marks])
                    write_text(self._path, text, advice="make room; the mark is as it was")
                except InsitrackError as error:
                    raise SettingsError(str(error)) from error
            self._marks = marks
            self.version += 1
            return before if after is None else after
