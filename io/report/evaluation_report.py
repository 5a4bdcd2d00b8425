"""Where an evaluation goes: tables, maps of right and wrong pixels, one page, and one JSON file."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.report.evaluation_page import page_of
from insitrack.io.tables.records import harmless
from insitrack.io.write import replacing, write_json, write_text

Row = Mapping[str, Any]
EVAL_JSON, EVAL_PAGE, MAPS, OUTLINES = "eval.json", "eval.html", "maps", "outlines"


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table; an empty cell means not known, and names that a spreadsheet would run are written as text.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_cell(row.get(name)) for name in names] for row in rows])
    write_text(path, stream.getvalue())


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return harmless(value) if isinstance(value, str) else str(value)


def write_map(folder: Path, name: str, rgb: NDArray[np.uint8]) -> Path:
    """Write one map of right and wrong pixels as PNG.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    return _write_picture(folder / MAPS / f"{name}.png", rgb)


def write_outlines(folder: Path, name: str, rgb: NDArray[np.uint8]) -> Path:
    """Write one image of the outlines of both sides as JPEG.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    return _write_picture(folder / OUTLINES / f"{name}.jpg", rgb)


def _write_picture(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """Write a picture in the form that its name tells."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else []
    with replacing(path) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(cv2.imencode(path.suffix, bgr, quality)[1].tobytes())
    return path


def write_evaluation(folder: Path, facts: Mapping[str, Any], maps: Mapping[str, Path]) -> Path:
    """Write `eval.json`, one CSV file per table, and `eval.html`.

    Parameters
    ----------
    folder : Path
        Output folder, there already.
    facts : mapping
        `title`, `settings`, `warnings`, `unit`, and `tables`: mapping of table name to rows, as JSON can hold
        them.
    maps : mapping of str to Path
        PNG of each image with right and wrong pixels.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    for name, rows in facts["tables"].items():
        write_rows(folder / f"{name}.csv", rows)
    write_json(folder / EVAL_JSON, facts, indent=1)
    return write_text(folder / EVAL_PAGE, page_of(facts, maps))
