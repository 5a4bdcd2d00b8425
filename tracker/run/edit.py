"""Tracks corrected by hand: merge, split, delete, re-class from a small table.

Everything that follows from them is recomputed.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    """Read a table of edits: columns ``action track_id``.

    And ``other_id``, ``frame``, ``defect_class`` where an action needs them.

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
    """Apply edits one after another to the sights of a run.

    Parameters
    ----------
    rows : DataFrame
        Sights, with ``frame``, ``track_id``, ``defect_class``, ``score``.
    edits : list of Edit
        What to do.
    name : str
        Name of the edits table, for complaints.

    Returns
    -------
    rows : DataFrame
        The sights with their new ids and classes.
    trail : list of dict
        Each edit and how many sights it changed.

    Raises
    ------
    TableError
        If a track is not there, two tracks to merge are both seen in one frame, or a split leaves nothing on
        one side.
    """
    rows, trail = rows.copy(), []
    for edit in edits:
        here = (rows["track_id"] == edit.track_id).to_numpy()
        if not here.any():
            raise TableError(
                f"{name}: line {edit.line}: no track {edit.track_id}; expected an id of tracks.csv, or one"
                " that an earlier line made"
            )
        outcome: dict[str, object] = asdict(edit)
        if edit.action == "merge":
            other = (rows["track_id"] == edit.other_id).to_numpy()
            both = np.intersect1d(rows.loc[here, "frame"], rows.loc[other, "frame"])
            if not other.any() or edit.other_id == edit.track_id:
                raise TableError(
                    f"{name}: line {edit.line}: no track {edit.other_id} to merge; expected an id of"
                    f" tracks.csv other than {edit.track_id}"
                )
            if len(both):
                raise TableError(
                    f"{name}: line {edit.line}: tracks {edit.track_id} and {edit.other_id} are both seen in"
                    f" frame {both[0]}; split one first"
                )
            rows.loc[other, "track_id"] = edit.track_id
            changed = other
        elif edit.action == "split":
            changed = here & (rows["frame"] >= edit.frame).to_numpy()
            if not changed.any() or changed.sum() == here.sum():
                low, high = rows.loc[here, "frame"].min(), rows.loc[here, "frame"].max()
                raise TableError(
                    f"{name}: line {edit.line}: frame {edit.frame} does not cut track {edit.track_id};"
                    f" expected one from {low + 1} to {high}"
                )
            outcome["new_id"] = int(rows["track_id"].max()) + 1
            rows.loc[changed, "track_id"] = outcome["new_id"]
        elif edit.action == "delete":
            changed, rows = here, rows[~here]
        else:
            changed = here
            rows.loc[here, ["defect_class", "seen_class"]] = edit.defect_class
        trail.append({**outcome, "sights": int(np.count_nonzero(changed))})
    return rows, trail


def edit_run(run: Path, edits: Path, out: Path) -> list[dict[str, object]]:
    """Apply a table of edits to a finished run, into a folder of its own; the run itself stays as it is.

    Parameters
    ----------
    run : Path
        Output folder of a run.
    edits : Path
        Table of edits.
    out : Path
        New folder.

    Returns
    -------
    list of dict
        The audit trail, which `run.json` of the new folder holds too.
    """
    import json
    import shutil

    from insitrack.io.manifest import file_sha256, write_manifest
    from insitrack.io.report.run_report import write_report
    from insitrack.io.tables import columns as tables
    from insitrack.io.tables.run_folder import CAUSAL
    from insitrack.tracker.hindsight.refine import refine
    from insitrack.tracker.hindsight.rewrite import write_tables
    from insitrack.tracker.run.meters import config_of, meter_of

    planned = read_edits(edits)
    if not (run / "run.json").is_file():
        raise TableError(f"{run}: no run.json; expected the output folder of a run")
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    frames = tables.FRAMES.read(run / tables.FRAMES.file)
    sights = sights_of(run)
    rows, trail = apply_edits(sights, planned, str(edits))
    config, meter = config_of(manifest), meter_of(manifest)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / tables.FRAMES.file, out / tables.FRAMES.file)
    causal = run / CAUSAL if (run / CAUSAL).is_dir() else run
    (out / CAUSAL).mkdir(exist_ok=True)
    for name in ("tracks.csv", "series.csv", "summary.csv", "events.csv"):
        shutil.copy(causal / name, out / CAUSAL / name)
    refined = refine(
        rows, frames, config.refine, nm_per_px=meter.calibration.nm_per_px or math.nan, keep_ids=True
    )
    write_tables(out, refined.tracks, frames, meter)
    audit = {
        "run": str(run.name),
        "edits_file": edits.name,
        "edits_sha256": file_sha256(edits),
        "edits": trail,
    }
    manifest["edited"] = [*manifest.get("edited", []), audit]
    manifest["tables"] = "edited"
    write_manifest(out / "run.json", manifest)
    write_report(out, {}, manifest)
    return trail


def sights_of(run: Path) -> pd.DataFrame:
    """Sights of a run as they were measured, with the ids and classes that its tables give them now."""
    from insitrack.io.tables import columns as tables
    from insitrack.io.tables.run_folder import CAUSAL

    now = tables.TRACKS.read(run / tables.TRACKS.file)
    now = now[now["observed"] == 1]
    if not (run / CAUSAL / tables.TRACKS.file).is_file():
        return now.assign(seen_class=now["defect_class"])
    measured = tables.TRACKS.read(run / CAUSAL / tables.TRACKS.file)
    measured = (
        measured[measured["observed"] == 1]
        .rename(columns={"track_id": "old_id", "defect_class": "seen_class"})
        .drop(columns="causal_id")
    )
    named = now[["frame", "causal_id", "track_id", "defect_class"]].rename(columns={"causal_id": "old_id"})
    return measured.merge(named, on=["frame", "old_id"], how="inner").rename(columns={"old_id": "causal_id"})
