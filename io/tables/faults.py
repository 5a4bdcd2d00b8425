"""What is wrong with a table, by line and column; used only when fast reading has failed."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from insitrack.io.tables.engine import Column, Table
from insitrack.io.units import UNIT_WORDS

_REMEMBERED = 2_000_000  # ids of one frame that are remembered, so that a broken table cannot fill the memory


def find_fault(path: Path, table: Table, needed: Sequence[str]) -> str | None:
    """Read a table line by line until something is wrong with it.

    Parameters
    ----------
    path : Path
        CSV file.
    table : Table
        What its columns should be; columns that it does not know may hold anything.
    needed : sequence of str
        Columns that must be there. Rows must be sorted by ``frame``, with every ``track_id`` at most once in
        a frame, where these are.

    Returns
    -------
    str or None
        The first fault, with its line and column, what was expected and what to do; None if there is none.
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        lines = csv.reader(stream)
        header = [name.strip() for name in next(lines, [])]
        missing = [name for name in needed if name not in header]
        if missing:
            return (
                f"line 1 lacks the column {missing[0]!r}; expected {', '.join(needed)}, found"
                f" {', '.join(header) or 'nothing'}"
            )
        repeated = [name for name in table.names if header.count(name) > 1]
        if repeated:
            return f"line 1 has the column {repeated[0]!r} twice; leave one"
        columns = [(header.index(column.name), column) for column in table.columns if column.name in header]
        return _first_bad_row(lines, columns, len(header))


def _first_bad_row(lines: object, columns: list[tuple[int, Column]], width: int) -> str | None:
    place = {column.name: i for i, column in columns}
    frame, seen = -math.inf, dict[int, int]()
    for cells in lines:  # type: ignore[attr-defined]
        number: int = lines.line_num  # type: ignore[attr-defined]
        if not cells:
            continue
        if number == 2 and _is_units(cells, columns):
            return (
                f"line 2 is a row of units ({', '.join(cells[:4])}, ...); delete it: the column names state"
                " the units"
            )
        if len(cells) != width:
            return (
                f"line {number} has {len(cells)} cells, line 1 has {width}; expected one cell for every"
                " column"
            )
        for i, column in columns:
            fault = _bad_cell(cells[i].strip(), column)
            if fault:
                return f"line {number}, column {column.name}: {fault}"
        if "frame" in place:
            here = float(cells[place["frame"]])
            if here < frame:
                return (
                    f"line {number}, column frame: {here:.0f} comes after {frame:.0f}; sort the rows by frame"
                )
            if here > frame:
                frame, seen = here, {}
            if "track_id" in place:
                name = int(float(cells[place["track_id"]]))
                if name in seen:
                    return (
                        f"line {number}, column track_id: {name} is in frame {here:.0f} already, at line"
                        f" {seen[name]}; a track has one row in a frame"
                    )
                if len(seen) < _REMEMBERED:
                    seen[name] = number
    return None


def _is_units(cells: Sequence[str], columns: list[tuple[int, Column]]) -> bool:
    """Tell a second header line: not one number in it, and most cells are words for units."""
    words = [
        cells[i].strip().strip("()[]").lower()
        for i, column in columns
        if column.kind != "text" and i < len(cells)
    ]
    if not words or any(_number(word) is not None for word in words):
        return False
    return sum(word in UNIT_WORDS for word in words) >= 0.5 * len(words) and any(words)


def _bad_cell(text: str, column: Column) -> str | None:
    if column.kind == "text":
        return None if text else "is empty; expected a name"
    unit = f" of {column.unit}" if column.unit and column.kind == "float" else ""
    kind = {
        "float": f"a number{unit}, or nothing where it is not known",
        "int": "a whole number",
        "bool": "0 or 1",
    }[column.kind]
    if column.kind == "float" and not text:
        return None
    value = _number(text)
    if value is None:
        return f"{text!r} is not a number; expected {kind}"
    if column.kind == "float":
        return None
    if value != math.floor(value) or (column.kind == "bool" and value not in (0, 1)):
        return f"{text!r}: expected {kind}"
    return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
