"""Detections made elsewhere, as a table: this tool's columns, spots of TrackMate, features of trackpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import TableError
from insitrack.io.tables.engine import read_text
from insitrack.io.units import SECONDS_PER_TIME, nm_per

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class DetectionTable:
    """Detections of a movie, row by row.

    Parameters
    ----------
    frame : ndarray of int64, shape (N,)
        Frame of each row, from 0, rising.
    t_s : ndarray of float64, shape (N,)
        Time of each row, s.
    x_px, y_px, size_px : ndarray of float64, shape (N,)
        Centre and diameter, px.
    boxes : ndarray of float64, shape (N, 4)
        x1 y1 x2 y2, px.
    label, score : ndarray, shape (N,)
        Class from 1, and confidence, 0..1.
    class_names : tuple of str
        Names of labels 1..K.
    shape : tuple of int
        Height and width of the frames, px.
    nm_per_px : float or None
        Width of a pixel, nm.
    times : ndarray of float64, shape (F,)
        Time of every frame, also of those without a row, s.
    warnings : tuple of str
        What was assumed, one line each.
    """

    frame: Ints
    t_s: Floats
    x_px: Floats
    y_px: Floats
    size_px: Floats
    boxes: Floats
    label: Ints
    score: Floats
    shape: tuple[int, int]
    times: Floats
    nm_per_px: float | None = None
    class_names: tuple[str, ...] = DEFECT_CLASSES
    warnings: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.frame)

    def frames(self) -> Iterator[Detections]:
        """Every frame in order of time, also those in which nothing was found.

        Outlines are the ellipses that fill the boxes.
        """
        for index, rows in enumerate(self.rows_by_frame()):
            boxes = self.boxes[rows]
            yield Detections(
                index,
                float(self.times[index]),
                self.shape,
                boxes.astype(np.float32),
                self.label[rows],
                self.score[rows].astype(np.float32),
                ellipses(boxes),
                self.class_names,
            )

    def rows_by_frame(self) -> Iterator[slice]:
        """Rows of every frame, in order of time."""
        ends = np.searchsorted(self.frame, np.arange(len(self.times) + 1)).tolist()
        yield from map(slice, ends[:-1], ends[1:])


def ellipses(boxes: NDArray[np.floating]) -> Masks:
    """Masks of the ellipses that fill boxes, at least one pixel each.

    Examples
    --------
    >>> ellipses(np.array([[2.0, 3.0, 12.0, 9.0]])).area_px().tolist()
    [48]
    """
    crops, corners = [], []
    for x1, y1, x2, y2 in np.asarray(boxes, np.float64).tolist():
        left, top = int(np.floor(x1)), int(np.floor(y1))
        right, bottom = max(left + 1, int(np.ceil(x2))), max(top + 1, int(np.ceil(y2)))
        across = ((np.arange(left, right) + 0.5 - (x1 + x2) / 2) / max(0.5, (x2 - x1) / 2)) ** 2
        down = ((np.arange(top, bottom) + 0.5 - (y1 + y2) / 2) / max(0.5, (y2 - y1) / 2)) ** 2
        inside = down[:, None] + across[None] <= 1.0
        if not inside.any():
            inside[inside.shape[0] // 2, inside.shape[1] // 2] = True
        crops.append(inside)
        corners.append((top, left))
    return Masks.from_crops(crops, corners)


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


def read_detections(
    path: Path,
    *,
    nm_per_px: float | None = None,
    frame_interval_s: float | None = None,
    shape: tuple[int, int] | None = None,
    class_names: tuple[str, ...] = DEFECT_CLASSES,
) -> tuple[DetectionTable, Ints]:
    """Read detections from CSV: this tool's columns, TrackMate's spots or trackpy's features.

    Parameters
    ----------
    path : Path
        Columns ``frame x_px y_px size_px`` and optionally ``t_s defect_class score x1_px y1_px x2_px y2_px
        track_id`` (a ``tracks.csv`` will do), or spots as TrackMate exports them (three lines of explanation
        below the header; diameter 2 RADIUS), or ``frame x y`` and optionally ``size`` of trackpy, whose size
        is a radius of gyration: that of a disc of diameter 2.83 times as large.
    nm_per_px : float, optional
        Width of a pixel, nm; needed where positions are lengths.
    frame_interval_s : float, optional
        Time between frames, s, where the table has no times.
    shape : tuple of int, optional
        Height and width of the frames, px; by default what holds every detection.
    class_names : tuple of str
        Classes that may occur.

    Returns
    -------
    table : DetectionTable
        Detections, by frame.
    track_id : ndarray of int64, shape (N,)
        The ids that the table has, -1 where it has none.

    Raises
    ------
    TableError
        If a column is missing, or a cell is not what it should be: file, line, column, value, and what was
        expected.
    """
    raw, skipped = _read(path)
    kind = "TrackMate" if "POSITION_X" in raw else "insitrack" if "x_px" in raw else "trackpy"
    names = _names(path, raw)
    units = _units(raw) if skipped else {}
    numbers = _Numbers(path, raw.iloc[skipped:].reset_index(drop=True), 2 + skipped)
    if "observed" in raw:
        seen = numbers.column("observed") != 0
        numbers = _Numbers(path, numbers.rows[seen].reset_index(drop=True), 2 + skipped)
    frame = numbers.column(str(names["frame"]), whole=True, least=0).astype(np.int64)
    order = np.argsort(frame, kind="stable")
    scale = _scale(path, units.get(str(names["x"]), ""), nm_per_px)
    x, y = (numbers.column(str(names[key])) * scale for key in ("x", "y"))
    box_names = ("x1_px", "y1_px", "x2_px", "y2_px")
    boxes = (
        np.column_stack([numbers.column(name) for name in box_names])
        if all(name in raw for name in box_names)
        else None
    )
    size, warnings = _sizes(path, numbers, names["size"], kind, scale, boxes)
    size = np.maximum(size, 1.0)
    if boxes is None:
        boxes = np.column_stack([x - size / 2, y - size / 2, x + size / 2, y + size / 2])
    n_frames = int(frame.max()) + 1 if len(frame) else 0
    t_s, times, assumed = _times(path, numbers, names["t"], units, frame, n_frames, frame_interval_s)
    label = _labels(path, numbers, names["class"], class_names)
    score = numbers.column("score", empty=1.0).clip(0, 1) if names["score"] else np.ones(len(x))
    track = (
        numbers.column(str(names["track"]), whole=True, empty=-1).astype(np.int64)
        if names["track"]
        else np.full(len(x), -1)
    )
    if shape is None:
        shape = (int(np.ceil(boxes[:, 3].max(initial=16))) + 1, int(np.ceil(boxes[:, 2].max(initial=16))) + 1)
        warnings.append(
            f"size of the frames unknown: {shape[1]}x{shape[0]} px holds every detection; densities rest on"
            " it; give --size WxH"
        )
    table = DetectionTable(
        frame=frame[order],
        t_s=t_s[order],
        x_px=x[order],
        y_px=y[order],
        size_px=size[order],
        boxes=boxes[order],
        label=label[order],
        score=score[order],
        shape=shape,
        times=times,
        nm_per_px=nm_per_px,
        class_names=class_names,
        warnings=(*warnings, *assumed),
    )
    return table, track[order]


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


def _units(raw: pd.DataFrame) -> dict[str, str]:
    """Units of TrackMate's columns, from the last line of explanation: ``(micron)``."""
    line = raw.iloc[2] if len(raw) > 2 else raw.iloc[0]
    return {name: str(line[name]).strip("() ").lower() for name in raw.columns}


def _scale(path: Path, unit: str, nm_per_px: float | None) -> float:
    """Pixels per unit of length."""
    if unit in ("", "pixel", "pixels", "px"):
        return 1.0
    factor = nm_per(unit)
    if factor is None:
        raise TableError(f"{path}: positions are in {unit!r}; expected pixel, nm, µm or mm")
    if nm_per_px is None:
        raise TableError(f"{path}: positions are in {unit}; give the width of a pixel with --nm-per-px")
    return factor / nm_per_px


@dataclass(frozen=True)
class _Numbers:
    """Columns of text read as numbers, with the line of the file in every complaint."""

    path: Path
    rows: pd.DataFrame
    first_line: int

    def column(
        self, name: str, *, whole: bool = False, least: float | None = None, empty: float | None = None
    ) -> Floats:
        """Read one column; an empty cell is refused unless a value stands for it."""
        import pandas as pd

        text = self.rows[name].str.strip()
        values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
        blank = (text == "").to_numpy()
        if empty is not None:
            values = np.where(blank, empty, values)
        wrong = ~np.isfinite(values)
        if whole:
            wrong |= values != np.rint(values)
        if least is not None:
            wrong |= values < least
        if wrong.any():
            i = int(np.argmax(wrong))
            wanted = "a whole number" if whole else "a number"
            wanted += f" of at least {least:g}" if least is not None else ""
            raise TableError(
                f"{self.path}: line {self.first_line + i}, column {name!r}: {text.iloc[i]!r}; expected"
                f" {wanted}"
            )
        return np.asarray(values)


def _sizes(
    path: Path, numbers: _Numbers, name: str | None, kind: str, scale: float, boxes: Floats | None
) -> tuple[Floats, list[str]]:
    """Diameters, px, from the column of sizes, or from the boxes; and what had to be assumed."""
    if name is not None:
        factor = {"TrackMate": 2 * scale, "trackpy": 2 * np.sqrt(2.0)}.get(kind, 1.0)
        return np.asarray(numbers.column(name, least=0) * factor), []
    if boxes is not None:
        return np.asarray(np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).clip(1.0))), []
    if kind == "trackpy":
        return np.full(len(numbers.rows), 10.0), [
            "no column of sizes: every defect is taken to be 10 px wide"
        ]
    raise TableError(
        f"{path}: line 1 lacks the column 'size_px'; expected a diameter in px, or boxes x1_px y1_px x2_px"
        " y2_px"
    )


def _times(
    path: Path,
    numbers: _Numbers,
    name: str | None,
    units: dict[str, str],
    frame: Ints,
    n_frames: int,
    interval_s: float | None,
) -> tuple[Floats, Floats, list[str]]:
    """Time of every row and of every frame; frames without a row lie between their neighbours."""
    if interval_s is not None or name is None:
        assumed = (
            []
            if interval_s is not None
            else ["time unknown: frames are taken to be 1 s apart; give --frame-interval-s"]
        )
        step = 1.0 if interval_s is None else interval_s
        return (
            np.asarray(frame * step, np.float64),
            np.asarray(np.arange(n_frames) * step, np.float64),
            assumed,
        )
    t_s = numbers.column(name) * SECONDS_PER_TIME.get(units.get(name, "s"), 1.0)
    known, at = np.unique(frame, return_index=True)
    if (np.diff(t_s[at]) <= 0).any():
        i = int(at[1:][np.argmax(np.diff(t_s[at]) <= 0)])
        raise TableError(
            f"{path}: line {numbers.first_line + i}, column {name!r}: {t_s[i]:g} s in frame {frame[i]};"
            " expected times that rise with the frame"
        )
    times = np.interp(np.arange(n_frames), known, t_s[at]) if len(known) else np.zeros(0)
    if len(known) > 1 and known[0] > 0:
        step = float((t_s[at][-1] - t_s[at][0]) / (known[-1] - known[0]))
        times[: known[0]] = t_s[at][0] - step * (known[0] - np.arange(known[0]))
    return np.asarray(t_s, np.float64), np.asarray(times, np.float64), []


def _labels(path: Path, numbers: _Numbers, name: str | None, class_names: tuple[str, ...]) -> Ints:
    if name is None:
        return np.full(len(numbers.rows), class_names.index("loop") + 1 if "loop" in class_names else 1)
    text = numbers.rows[name].str.strip()
    codes = text.map({known: i for i, known in enumerate(class_names, 1)})
    if codes.isna().any():
        i = int(np.argmax(codes.isna().to_numpy()))
        raise TableError(
            f"{path}: line {numbers.first_line + i}, column {name!r}: {text.iloc[i]!r}; expected one of"
            f" {', '.join(class_names)}"
        )
    return np.asarray(codes, np.int64)
