"""Detections made elsewhere, from a table: this tool's columns, spots of TrackMate, features of trackpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import TableError
from insitrack.io.tables.detection_checks import check_places, distinct_rows
from insitrack.io.tables.detection_table import DetectionTable
from insitrack.io.tables.engine import read_text
from insitrack.io.tables.faults import MOST_FRAMES
from insitrack.io.tables.looked_frames import frame_times, looked_frames
from insitrack.io.units import UNIT_WORDS, length_scale, time_scale

if TYPE_CHECKING:
    import pandas as pd

_PLACES = {  # the names of one thing in three programs
    "frame": ("frame", "FRAME"),
    "x": ("x_px", "POSITION_X", "x"),
    "y": ("y_px", "POSITION_Y", "y"),
    "size": ("size_px", "RADIUS", "size"),
    "t": ("t_s", "POSITION_T"),
    "class": ("defect_class",),
    "score": ("score",),
    "track": ("track_id", "TRACK_ID", "particle"),
}
_BOX = ("x1_px", "y1_px", "x2_px", "y2_px")
_LARGEST = 1e6  # px; no detector is wider


def read_detections(
    path: Path,
    *,
    nm_per_px: float | None = None,
    frame_interval_s: float | None = None,
    shape: tuple[int, int] | None = None,
    class_names: tuple[str, ...] = DEFECT_CLASSES,
    frames: str | None = None,
    length_unit: str | None = None,
    time_unit: str | None = None,
) -> tuple[DetectionTable, Ints]:
    """Read detections from CSV or Parquet: this tool's columns, TrackMate's spots or trackpy's features.

    Parameters
    ----------
    path : Path
        Columns ``frame x_px y_px size_px`` and optionally ``t_s defect_class score x1_px y1_px x2_px y2_px
        track_id`` (a ``tracks.csv`` will do), or spots as TrackMate exports them (three lines of explanation
        below the header; diameter 2 RADIUS), or ``frame x y`` and optionally ``size`` of trackpy, whose size
        is a radius of gyration: that of a disc of diameter 2.83 times as large.
    nm_per_px : float, optional
        Width of a pixel, nm; needed where positions or sizes are lengths.
    frame_interval_s : float, optional
        Time between frames, s, before the times of the table.
    shape : tuple of int, optional
        Height and width of the frames, px; by default those of the table of frames, or what holds every
        detection.
    class_names : tuple of str
        Classes that may occur.
    frames : str, optional
        Which frames were looked at, see `insitrack.io.tables.looked_frames.looked_frames`.
    length_unit, time_unit : str, optional
        Units of positions and times of TrackMate's spots, where the table does not state them.

    Returns
    -------
    table : DetectionTable
        Detections, by frame.
    track_id : ndarray of int64, shape (N,)
        The ids that the table has, -1 where it has none.

    Raises
    ------
    TableError
        If a column or a unit is missing, a cell is not what it should be, or cells contradict each other:
        file, line, column, value, and what was expected.
    """
    found = _found_rows(path, nm_per_px, frame_interval_s, class_names, length_unit, time_unit)
    return assemble(
        path,
        found.cells,
        timed=found.timed,
        has_boxes=found.has_boxes,
        lines=found.lines,
        nm_per_px=nm_per_px,
        frame_interval_s=frame_interval_s,
        shape=shape,
        class_names=class_names,
        frames=frames,
        warnings=found.warnings,
    )


@dataclass(frozen=True)
class _FoundRows:
    """Rows as the file holds them; parameters as of `assemble`."""

    cells: dict[str, np.ndarray]
    lines: Ints
    timed: bool
    has_boxes: bool
    warnings: list[str]


def _found_rows(
    path: Path,
    nm_per_px: float | None,
    frame_interval_s: float | None,
    class_names: tuple[str, ...],
    length_unit: str | None,
    time_unit: str | None,
) -> _FoundRows:
    """Read the rows of a table, lengths in px and times in s."""
    raw, skipped = _read(path)
    kind = "TrackMate" if "POSITION_X" in raw else "insitrack" if "x_px" in raw else "trackpy"
    names = _names(path, raw)
    if kind == "insitrack" and length_unit is not None:
        raise TableError(f"--length-unit {length_unit}: the columns of {path} are in px; leave it out")
    units = _units(raw, skipped) if kind == "TrackMate" else {str(names["x"]): "px", str(names["t"]): "s"}
    numbers = _observed(path, raw, skipped)
    frame = numbers.column(str(names["frame"]), whole=True, least=0, most=MOST_FRAMES).astype(np.int64)
    scale = length_scale(path, length_unit or units.get(str(names["x"]), ""), nm_per_px)
    x, y = (numbers.column(str(names[key])) * scale for key in ("x", "y"))
    boxes = np.column_stack([numbers.column(name) for name in _BOX]) if set(_BOX) <= set(raw) else None
    size, warnings = _sizes(path, numbers, names["size"], kind, scale, boxes, nm_per_px)
    t_s = None
    if names["t"] is not None and frame_interval_s is None:
        t_s = numbers.column(names["t"]) * time_scale(path, time_unit or units.get(names["t"], ""))
    cells = {
        "frame": frame,
        "x": x,
        "y": y,
        "size": size,
        "boxes": boxes
        if boxes is not None
        else np.column_stack([x - size / 2, y - size / 2, x + size / 2, y + size / 2]),
        "label": _labels(path, numbers, names["class"], class_names),
        "score": numbers.column("score", empty=1.0).clip(0, 1) if names["score"] else np.ones(len(x)),
        "track": _ids(numbers, names["track"]),
        "t": np.zeros(len(x)) if t_s is None else t_s,
    }
    return _FoundRows(cells, numbers.lines, t_s is not None, boxes is not None, warnings)


def assemble(
    path: Path,
    cells: dict[str, np.ndarray],
    *,
    timed: bool,
    has_boxes: bool,
    lines: Ints,
    nm_per_px: float | None,
    frame_interval_s: float | None,
    shape: tuple[int, int] | None,
    class_names: tuple[str, ...],
    frames: str | None,
    warnings: list[str],
) -> tuple[DetectionTable, Ints]:
    """Put rows in the order of frames, check them against each other, and find out the frames.

    Parameters
    ----------
    path : Path
        Where they come from, for complaints.
    cells : dict of str to ndarray
        `frame x y size boxes label score track t`, one row per detection; lengths in px, times in s.
    timed, has_boxes : bool
        Whether times, and boxes, are those of the file.
    lines : ndarray of int64, shape (N,)
        Line of the file of each row, for complaints.
    nm_per_px, frame_interval_s, shape, class_names, frames
        As of `read_detections`.
    warnings : list of str
        What was assumed so far.

    Raises
    ------
    TableError
        As `read_detections`.
    """
    order = np.argsort(cells["frame"], kind="stable")
    cells, lines = {name: values[order] for name, values in cells.items()}, lines[order]
    kept, dropped = distinct_rows(path, cells, lines)
    cells, lines = {name: values[kept] for name, values in cells.items()}, lines[kept]
    looked = looked_frames(path, frames, cells["frame"])
    t_s = cells["t"] if timed else None
    times, assumed = frame_times(path, looked, cells["frame"], t_s, frame_interval_s)
    shape, unknown = _shape(path, cells, shape or looked.shape)
    check_places(path, cells, lines, shape, has_boxes=has_boxes)
    table = DetectionTable(
        frame=cells["frame"],
        t_s=times[np.searchsorted(looked.numbers, cells["frame"])],
        x_px=cells["x"],
        y_px=cells["y"],
        size_px=cells["size"],
        boxes=cells["boxes"],
        label=cells["label"],
        score=cells["score"],
        shape=shape,
        times=times,
        numbers=looked.numbers,
        frames_from=looked.origin,
        nm_per_px=nm_per_px,
        class_names=class_names,
        warnings=(*warnings, *dropped, *unknown, *looked.warnings, *assumed),
    )
    return table, cells["track"]


def _shape(
    path: Path, cells: dict[str, np.ndarray], shape: tuple[int, int] | None
) -> tuple[tuple[int, int], list[str]]:
    """Size of the frames: given, or what holds every detection."""
    if shape is not None:
        return shape, []
    ends = cells["boxes"][:, 2:].max(axis=0, initial=16.0)
    if not (ends <= _LARGEST).all():
        raise TableError(f"{path}: a detection ends at {ends.max():g} px; expected at most {_LARGEST:g} px")
    shape = (int(np.ceil(ends[1])) + 1, int(np.ceil(ends[0])) + 1)
    return shape, [
        f"size of the frames unknown: {shape[1]}x{shape[0]} px holds every detection; densities rest on it;"
        " give --size WxH"
    ]


def _names(path: Path, raw: pd.DataFrame) -> dict[str, str | None]:
    """Name of the column that holds each thing, None where there is none."""
    names = {key: next((name for name in options if name in raw), None) for key, options in _PLACES.items()}
    for key, expected in (("frame", "frame"), ("x", "x_px"), ("y", "y_px")):
        if names[key] is None:
            raise TableError(
                f"{path}: line 1 lacks the column {expected!r}; expected frame, x_px, y_px, size_px, or"
                " TrackMate's spots, or trackpy's features"
            )
    return names


def _read(path: Path) -> tuple[pd.DataFrame, int]:
    """Read every cell as text, and tell how many lines of explanation stand below the header."""
    raw = read_text(path, "a CSV file of detections")
    skipped = 0
    if "POSITION_X" in raw:
        while skipped < min(3, len(raw)) and not _is_number(raw["POSITION_X"].iloc[skipped]):
            skipped += 1
    return raw, skipped


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _units(raw: pd.DataFrame, skipped: int) -> dict[str, str]:
    """Units of TrackMate's columns, from the line of explanation that holds them: ``(micron)``.

    Empty where no line does.
    """
    for i in reversed(range(skipped)):
        words = {name: str(raw[name].iloc[i]).strip() for name in raw.columns}
        if words["POSITION_X"].startswith("(") or words["POSITION_X"].lower() in UNIT_WORDS - {""}:
            return {name: word.strip("() ") for name, word in words.items()}
    return {}


def _observed(path: Path, raw: pd.DataFrame, skipped: int) -> _Numbers:
    """Rows of the table without those that were filled in inside a gap."""
    lines = np.arange(skipped, len(raw)) + int(raw.attrs.get("first_line", 2))
    numbers = _Numbers(path, raw.iloc[skipped:].reset_index(drop=True), lines)
    if "observed" not in raw:
        return numbers
    seen = numbers.column("observed") != 0
    return _Numbers(path, numbers.rows[seen].reset_index(drop=True), lines[seen])


@dataclass(frozen=True)
class _Numbers:
    """Columns of text read as numbers, with the line of the file in every complaint."""

    path: Path
    rows: pd.DataFrame
    lines: Ints

    def column(
        self,
        name: str,
        *,
        whole: bool = False,
        least: float | None = None,
        most: float | None = None,
        empty: float | None = None,
    ) -> Floats:
        """Read one column; an empty cell is refused unless a value stands for it."""
        import pandas as pd

        text = self.rows[name].str.strip()
        values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
        blank = (text == "").to_numpy()
        if empty is not None:
            values = np.where(blank, empty, values)
        wrong = ~np.isfinite(values)
        if empty is not None and np.isnan(empty):
            wrong &= ~blank
        if whole:
            wrong |= values != np.rint(values)
        if least is not None:
            wrong |= values < least
        if most is not None:
            wrong |= values > most
        if wrong.any():
            i = int(np.argmax(wrong))
            wanted = "a whole number" if whole else "a number"
            wanted += f" of at least {least:g}" if least is not None else ""
            wanted += f" and at most {most:g}" if most is not None else ""
            raise TableError(
                f"{self.path}: line {self.lines[i]}, column {name!r}: {text.iloc[i][:60]!r}; expected {wanted}"
            )
        return np.asarray(values, np.float64)


def _sizes(
    path: Path,
    numbers: _Numbers,
    name: str | None,
    kind: str,
    scale: float,
    boxes: Floats | None,
    nm_per_px: float | None,
) -> tuple[Floats, list[str]]:
    """Diameters, px: the sizes that the table has, or else from the boxes; and what had to be assumed."""
    if name is not None:
        factor = {"TrackMate": 2 * scale, "trackpy": 2 * np.sqrt(2.0)}.get(kind, 1.0)
        return np.asarray(numbers.column(name) * factor), []
    of_boxes = None if boxes is None else np.sqrt(np.prod((boxes[:, 2:] - boxes[:, :2]).clip(0.0), axis=1))
    if "size_nm" in numbers.rows and (numbers.rows["size_nm"].str.strip() != "").any():
        size_nm = numbers.column("size_nm", empty=np.nan)
        if nm_per_px is None:
            raise TableError(
                f"{path}: column 'size_nm': sizes are in nm; give the width of a pixel, --nm-per-px"
            )
        unknown = np.isnan(size_nm)
        if unknown.any() and of_boxes is None:
            raise TableError(
                f"{path}: line {numbers.lines[np.argmax(unknown)]}, column 'size_nm': ''; expected a number"
            )
        fallback = size_nm if of_boxes is None else of_boxes * nm_per_px
        return np.where(unknown, fallback, size_nm) / nm_per_px, []
    if of_boxes is not None:
        return np.asarray(of_boxes), [
            "no column of sizes: sizes are the root of width times height of the boxes"
        ]
    if kind == "trackpy":
        return np.full(len(numbers.rows), 10.0), [
            "no column of sizes: every defect is taken to be 10 px wide"
        ]
    raise TableError(
        f"{path}: line 1 lacks the column 'size_px'; expected a diameter in px, or boxes x1_px y1_px x2_px"
        " y2_px"
    )


def _ids(numbers: _Numbers, name: str | None) -> Ints:
    if name is None:
        return np.full(len(numbers.rows), -1)
    return numbers.column(name, whole=True, empty=-1, least=-1, most=1e10).astype(np.int64)


def _labels(path: Path, numbers: _Numbers, name: str | None, class_names: tuple[str, ...]) -> Ints:
    if name is None:
        return np.full(len(numbers.rows), class_names.index("loop") + 1 if "loop" in class_names else 1)
    text = numbers.rows[name].str.strip()
    codes = text.map({known: i for i, known in enumerate(class_names, 1)})
    if codes.isna().any():
        i = int(np.argmax(codes.isna().to_numpy()))
        raise TableError(
            f"{path}: line {numbers.lines[i]}, column {name!r}: {text.iloc[i][:60]!r}; expected one of"
            f" {', '.join(class_names)}"
        )
    return np.asarray(codes, np.int64)
