"""A small table of manual edits to tracks: how it is read, and written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import TableError
from insitrack.io.tables.engine import read_text
from insitrack.io.tables.records import EDITS
from insitrack.io.write import replacing

ACTIONS = ("merge", "split", "delete", "class", "restore", "add", "outline")
_WANTS = {
    "merge": ("track_id", "other_id"),
    "split": ("track_id", "frame"),
    "delete": ("track_id",),
    "class": ("track_id", "defect_class"),
    "restore": ("track_id",),
    "add": ("frame", "defect_class", "outline"),
    "outline": ("track_id", "frame", "outline"),
}
_TAKES = {
    "delete": ("frame", "last_frame"),
    "class": ("frame", "last_frame"),
    "restore": ("other_id", "frame", "last_frame"),
    "add": ("track_id", "last_frame"),
    "outline": ("last_frame",),
}
_NUMBERS = ("track_id", "other_id", "frame", "last_frame")
_MOST_ID = 2**53
_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Edit:
    """One line of an edits table.

    Parameters
    ----------
    action : {"merge", "split", "delete", "class", "restore", "add", "outline"}
        `merge`: other_id goes on as track_id. `split`: track_id from `frame` on is a track of its own.
        `delete`: track_id was no defect. `class`: track_id is of defect_class. `restore`: what the causal tables
        call track_id, and no track of the run has, is a track again, or belongs to other_id. `add`: there is a
        defect that was not found. `outline`: track_id has this outline.
    track_id, other_id : int
        Tracks; -1 where not used.
    frame, last_frame : int
        First and last frame that an edit concerns; -1 where not used: a `delete`, `class` or `restore` without
        a frame concerns the whole track, one without a last frame that frame alone.
    defect_class, outline : str
        Empty where not used; `insitrack.tracker.hindsight.drawn` says how an outline is written.
    line : int
        Line of the table.
    """

    action: str
    track_id: int = -1
    other_id: int = -1
    frame: int = -1
    last_frame: int = -1
    defect_class: str = ""
    outline: str = ""
    line: int = 0

    @property
    def last(self) -> int:
        """Last frame concerned."""
        return self.frame if self.last_frame < 0 else self.last_frame

    def cells(self) -> dict[str, str]:
        """Cells of its line."""
        values = asdict(self)
        return {
            name: "" if values[name] == -1 and name in _NUMBERS else str(values[name]) for name in EDITS.names
        }


def read_edits(path: Path, class_names: Sequence[str] = DEFECT_CLASSES) -> list[Edit]:
    """Read a table of edits.

    Columns are ``action track_id``, and ``other_id frame last_frame defect_class outline`` where an action needs
    them.

    Parameters
    ----------
    path : Path
        The table.
    class_names : sequence of str
        Classes that there can be.

    Raises
    ------
    TableError
        Naming the line, the column, the value and what was expected.
    """
    table = read_text(path, f"CSV with the columns {', '.join(EDITS.names)}")
    for name in ("action", "track_id"):
        if name not in table:
            raise TableError(f"{path}: line 1 lacks the column {name!r}; expected {', '.join(EDITS.names)}")
    return [
        edit_of(cells, f"{path}: line {i + 2}", class_names, line=i + 2)
        for i, cells in enumerate(table.to_dict("records"))
    ]


def edit_of(cells: Mapping[str, object], where: str, class_names: Sequence[str], *, line: int = 0) -> Edit:
    """Read one line.

    Parameters
    ----------
    cells : mapping of str to object
        Text of each column; a column that is not there is empty.
    where : str
        Names the line, for complaints.
    class_names : sequence of str
        Classes that there can be.
    line : int
        Number of the line.

    Raises
    ------
    TableError
        Naming the column, the value and what was expected.
    """
    texts = {name: str(cells.get(name, "")).strip() for name in EDITS.names}
    action = texts.pop("action")
    if action not in ACTIONS:
        raise TableError(f"{where}, column 'action': {action[:_MOST_SHOWN]!r}; expected {', '.join(ACTIONS)}")
    wanted, taken = _WANTS[action], (*_WANTS[action], *_TAKES.get(action, ()))
    values: dict[str, int | str] = {}
    for name, text in texts.items():
        shown = f"{where}, column {name!r}: {text[:_MOST_SHOWN]!r}"
        if name not in taken:
            if text and name in ("last_frame", "outline"):
                raise TableError(f"{shown}; {action} takes none, leave it empty")
            continue
        if name == "defect_class" and text not in class_names:
            raise TableError(f"{shown}; expected one of {', '.join(class_names)}")
        if not text:
            if name in wanted:
                what = "a whole number" if name in _NUMBERS else "polygon x y x y ..., or rle"
                raise TableError(f"{shown}; expected {what} for {action}")
            continue
        if name in _NUMBERS and not (text.isascii() and text.isdigit() and int(text[:20]) < _MOST_ID):
            raise TableError(f"{shown}; expected a whole number for {action}")
        values[name] = int(text) if name in _NUMBERS else text
    first, last = int(values.get("frame", -1)), int(values.get("last_frame", -1))
    if 0 <= last < first or (last >= 0 and first < 0):
        raise TableError(f"{where}, column 'last_frame': {last}; expected `frame` or a later one")
    return Edit(action, line=line, **values)  # type: ignore[arg-type]


def write_edits(path: Path, edits: Iterable[Edit]) -> None:
    """Write a table of edits, in one step: after a crash it is as before or as it should be.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = [edit.cells() for edit in edits]
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(EDITS.header())
        stream.write(EDITS.format({name: [row[name] for row in rows] for name in EDITS.names}))
        stream.flush()
        os.fsync(stream.fileno())
