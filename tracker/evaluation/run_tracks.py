"""Tracks of a run against true ones that the user drew: HOTA, CLEAR MOT and IDF1, for all and by class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats
from insitrack.io.errors import TableError
from insitrack.io.tables.columns import FRAMES, TRACKS
from insitrack.io.tables.engine import read_text
from insitrack.io.write import write_text
from insitrack.tracker.evaluation.track_scores import BoxTable, score_tracks

_BOX = ("x1_px", "y1_px", "x2_px", "y2_px")
_CIRCLE = ("x_px", "y_px", "size_px")
_EXPECTED = f"frame, track_id and {' '.join(_BOX)}, or {' '.join(_CIRCLE)}"


@dataclass(frozen=True, slots=True)
class TrackTable:
    """Tracks, row by row.

    Parameters
    ----------
    rows : BoxTable
        Frame, track and box of each row.
    classes : ndarray of str, shape (N,), or None
        Class of each row; None where the table does not say.
    """

    rows: BoxTable
    classes: np.ndarray[Any, Any] | None

    def among(self, kept: Bools) -> TrackTable:
        """Return the rows that are kept."""
        rows = BoxTable(self.rows.frame[kept], self.rows.track_id[kept], self.rows.boxes[kept])
        return TrackTable(rows, None if self.classes is None else self.classes[kept])


def read_true_tracks(path: Path) -> TrackTable:
    """Read a table of true tracks.

    Parameters
    ----------
    path : Path
        CSV with the columns of ``tracks.csv``: ``frame track_id`` and the box ``x1_px y1_px x2_px y2_px``, or
        the centre and the diameter ``x_px y_px size_px``; ``defect_class`` where classes are to be scored
        apart. Other columns are left alone.

    Raises
    ------
    TableError
        If a column is missing, a cell is not a number, a box has no area, or a track has two rows in one
        frame: with line and column.
    """
    table = read_text(path, f"a table with {_EXPECTED}")
    places = _BOX if set(_BOX) <= set(table.columns) else _CIRCLE
    missing = [name for name in ("frame", "track_id", *places) if name not in table.columns]
    if missing:
        raise TableError(f"{path}: line 1 lacks {missing[0]}; expected {_EXPECTED}")
    if not len(table):
        raise TableError(f"{path}: no rows; expected at least one true defect")
    values = {name: _numbers(path, table, name) for name in ("frame", "track_id", *places)}
    for name in ("frame", "track_id"):
        _refuse(path, table, name, values[name] != np.rint(values[name]), "is not a whole number")
    if places is _BOX:
        boxes = np.column_stack([values[name] for name in _BOX])
        for low, high in (("x1_px", "x2_px"), ("y1_px", "y2_px")):
            _refuse(path, table, high, values[high] <= values[low], f"is not above {low}")
    else:
        _refuse(path, table, "size_px", values["size_px"] <= 0, "is not a positive diameter")
        centre, half = np.column_stack([values["x_px"], values["y_px"]]), values["size_px"][:, None] / 2
        boxes = np.hstack([centre - half, centre + half])
    frame, track = values["frame"].astype(np.int64), values["track_id"].astype(np.int64)
    twice = pd.DataFrame({"frame": frame, "track": track}).duplicated().to_numpy()
    _refuse(path, table, "track_id", twice, "has two rows in this frame")
    classes = table["defect_class"].to_numpy(str) if "defect_class" in table.columns else None
    return TrackTable(BoxTable(frame, track, boxes), classes)


def read_run_tracks(folder: Path) -> tuple[TrackTable, np.ndarray[Any, Any]]:
    """Read the tracks of a run, filled gaps included, and the numbers of the frames that it processed.

    Raises
    ------
    TableError
        If the folder is not that of a run, or one of its tables is broken.
    """
    for name in (TRACKS.file, FRAMES.file):
        if not (folder / name).is_file():
            raise TableError(f"{folder}: lacks {name}; expected the output folder of a run")
    tracks = TRACKS.read(folder / TRACKS.file, ["frame", "track_id", "defect_class", *_BOX])
    frames = FRAMES.read(folder / FRAMES.file, ["frame", "status"])
    rows = BoxTable(
        tracks["frame"].to_numpy(np.int64),
        tracks["track_id"].to_numpy(np.int64),
        tracks[list(_BOX)].to_numpy(np.float64),
    )
    seen = frames.loc[frames["status"] == "processed", "frame"].to_numpy(np.int64)
    return TrackTable(rows, tracks["defect_class"].to_numpy(str)), seen


def score_run(folder: Path, truth: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Compare the tracks of a run with true ones, in the frames that the truth covers and the run processed.

    Parameters
    ----------
    folder : Path
        Output folder of a run.
    truth : Path
        Table of true tracks, see `read_true_tracks`.

    Returns
    -------
    rows : list of dict
        One per class, if the truth names classes, then one for all: `defect_class`, `n_true`, `n_found`
        (tracks), `frames`, and the scores of `TrackScores`.
    warnings : list of str
        What took no part.

    Raises
    ------
    TableError
        If a table cannot be used, or the two have no frame in common.
    """
    true, (found, processed) = read_true_tracks(truth), read_run_tracks(folder)
    first, last = true.rows.frame.min(), true.rows.frame.max()
    frames = processed[(processed >= first) & (processed <= last)]
    known = np.isin(true.rows.frame, frames)
    if not known.any():
        raise TableError(
            f"{truth}: none of its frames, {first} to {last}, was processed by {folder}; expected the frame"
            " numbers of frames.csv"
        )
    warnings = []
    if not known.all():
        left = len(np.unique(true.rows.frame[~known]))
        warnings.append(f"{left} frames of the truth were not processed by the run; they take no part")
    true, found = true.among(known), found.among(np.isin(found.rows.frame, frames))
    return list(_rows(true, found, len(frames))), warnings


def _rows(true: TrackTable, found: TrackTable, n_frames: int) -> Iterator[dict[str, Any]]:
    parts = [("all", true, found)]
    if true.classes is not None and found.classes is not None:
        parts = [
            (name, true.among(true.classes == name), found.among(found.classes == name))
            for name in np.unique(true.classes).tolist()
        ] + parts
    for name, one, other in parts:
        counts = {"n_true": len(np.unique(one.rows.track_id)), "n_found": len(np.unique(other.rows.track_id))}
        yield {
            "defect_class": name,
            **counts,
            "frames": n_frames,
            **asdict(score_tracks(one.rows, other.rows)),
        }


def write_track_scores(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write ``track_scores.csv``, a row per class, into a folder; scores that are not known stay empty."""
    folder.mkdir(parents=True, exist_ok=True)
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return write_text(folder / "track_scores.csv", text)


def _numbers(path: Path, table: pd.DataFrame, name: str) -> Floats:
    values = pd.to_numeric(table[name].str.strip(), errors="coerce").to_numpy(np.float64)
    _refuse(path, table, name, ~np.isfinite(values), "is not a number")
    return np.asarray(values, np.float64)


def _refuse(path: Path, table: pd.DataFrame, name: str, wrong: Bools, words: str) -> None:
    if wrong.any():
        at = int(np.argmax(wrong))
        raise TableError(f"{path}: line {at + 2}, column {name}: {table[name].iloc[at]!r} {words}")
