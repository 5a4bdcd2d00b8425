"""A small table of manual edits to tracks: merge, split, delete, re-class; how it is read and applied."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import Bools
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import TableError
from insitrack.io.tables.engine import read_text

if TYPE_CHECKING:
    import pandas as pd

ACTIONS = ("merge", "split", "delete", "class")
_WANTS = {"merge": "other_id", "split": "frame", "delete": "", "class": "defect_class"}


@dataclass(frozen=True, slots=True)
class Edit:
    """One line of an edits table.

    Parameters
    ----------
    action : {"merge", "split", "delete", "class"}
        `merge`: other_id goes on as track_id. `split`: track_id from `frame` on is a track of its own.
        `delete`: track_id was no defect. `class`: track_id is of defect_class.
    track_id : int
        The track.
    other_id, frame : int
        -1 where not used.
    defect_class : str
        Empty where not used.
    line : int
        Line of the table.
    """

    action: str
    track_id: int
    other_id: int = -1
    frame: int = -1
    defect_class: str = ""
    line: int = 0


def read_edits(path: Path) -> list[Edit]:
    """Read a table of edits.

    Columns are ``action track_id``, and ``other_id``, ``frame``, ``defect_class`` where an action needs them.

    Raises
    ------
    TableError
        Naming the line, the column, the value and what was expected.
    """
    table = read_text(path, "CSV with the columns action, track_id, other_id, frame, defect_class")
    for name in ("action", "track_id"):
        if name not in table:
            raise TableError(
                f"{path}: line 1 lacks the column {name!r}; expected action, track_id, other_id, frame,"
                " defect_class"
            )
    edits = []
    for i, cells in enumerate(table.to_dict("records")):
        action = str(cells["action"]).strip()
        if action not in ACTIONS:
            raise TableError(
                f"{path}: line {i + 2}, column 'action': {action!r}; expected {', '.join(ACTIONS)}"
            )
        values: dict[str, int | str] = {}
        for name in ("track_id", _WANTS[action]):
            text = str(cells.get(name, "")).strip()
            if name == "defect_class" and text not in DEFECT_CLASSES:
                raise TableError(
                    f"{path}: line {i + 2}, column 'defect_class': {text!r}; expected one of"
                    f" {', '.join(DEFECT_CLASSES)}"
                )
            if name in ("track_id", "other_id", "frame") and not text.isdigit():
                raise TableError(
                    f"{path}: line {i + 2}, column {name!r}: {text!r}; expected a whole number for {action}"
                )
            if name:
                values[name] = text if name == "defect_class" else int(text)
        edits.append(Edit(action, line=i + 2, **values))  # type: ignore[arg-type]
    return edits


def apply_edits(
    rows: pd.DataFrame, edits: list[Edit], name: str = "edits"
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Apply edits one after another to the observations of a run.

    Parameters
    ----------
    rows : DataFrame
        Observations, with ``frame``, ``track_id``, ``defect_class``, ``score``.
    edits : list of Edit
        What to do.
    name : str
        Name of the edits table, for complaints.

    Returns
    -------
    rows : DataFrame
        The observations with their new ids and classes.
    trail : list of dict
        Each edit and how many observations it changed.

    Raises
    ------
    TableError
        If a track is not there, two tracks to merge are both seen in one frame, or a split leaves nothing on
        one side.
    """
    rows, trail = rows.copy(), []
    for edit in edits:
        where = f"{name}: line {edit.line}"
        here = (rows["track_id"] == edit.track_id).to_numpy()
        if not here.any():
            raise TableError(
                f"{where}: no track {edit.track_id}; expected an id of tracks.csv, or one that an earlier line"
                " made"
            )
        outcome: dict[str, object] = asdict(edit)
        if edit.action == "merge":
            changed = _merged(rows, edit, here, where)
            rows.loc[changed, "track_id"] = edit.track_id
        elif edit.action == "split":
            changed = _cut(rows, edit, here, where)
            outcome["new_id"] = int(rows["track_id"].max()) + 1
            rows.loc[changed, "track_id"] = outcome["new_id"]
        elif edit.action == "delete":
            changed, rows = here, rows[~here]
        else:
            changed = here
            rows.loc[here, ["defect_class", "seen_class"]] = edit.defect_class
        trail.append({**outcome, "observations": int(np.count_nonzero(changed))})
    return rows, trail


def _merged(rows: pd.DataFrame, edit: Edit, here: Bools, where: str) -> Bools:
    """Find the observations that go over to another track."""
    other = (rows["track_id"] == edit.other_id).to_numpy()
    both = np.intersect1d(rows.loc[here, "frame"], rows.loc[other, "frame"])
    if not other.any() or edit.other_id == edit.track_id:
        raise TableError(
            f"{where}: no track {edit.other_id} to merge; expected an id of tracks.csv other than"
            f" {edit.track_id}"
        )
    if len(both):
        raise TableError(
            f"{where}: tracks {edit.track_id} and {edit.other_id} are both seen in frame {both[0]}; split one"
            " first"
        )
    return np.asarray(other, bool)


def _cut(rows: pd.DataFrame, edit: Edit, here: Bools, where: str) -> Bools:
    """Find the observations from the frame of a split on."""
    later = here & (rows["frame"] >= edit.frame).to_numpy()
    if not later.any() or later.sum() == here.sum():
        low, high = rows.loc[here, "frame"].min(), rows.loc[here, "frame"].max()
        raise TableError(
            f"{where}: frame {edit.frame} does not cut track {edit.track_id}; expected one from {low + 1} to"
            f" {high}"
        )
    return np.asarray(later, bool)
