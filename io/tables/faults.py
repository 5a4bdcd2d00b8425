"""What is wrong with a table, by line and column; used only when fast reading has failed."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from insitrack.io.tables.dialect import dialect_of
from insitrack.io.tables.engine import Column, Table
from insitrack.io.units import UNIT_WORDS

LONGEST_TIME_S = 1e11
MOST_FRAMES = 100_000_000
FARTHEST_PX = 1e6
_PLACE = (-FARTHEST_PX, FARTHEST_PX)
LIMITS = {
    "frame": (0.0, float(MOST_FRAMES)),
    "t_s": (-LONGEST_TIME_S, LONGEST_TIME_S),
    "track_id": (-1.0, 1e10),
    **dict.fromkeys(("x_px", "y_px", "x1_px", "y1_px", "x2_px", "y2_px"), _PLACE),
    "size_nm": (0.0, 1e9),
}
"""Least and largest value of columns: what lies beyond is a fault of the table, not a measurement."""

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
    spelt = dialect_of(path)
    with path.open(encoding=spelt.encoding, errors="replace", newline="") as stream:
        lines = _rows(stream, spelt.separator)
        for _ in range(spelt.header_line - 1):
            next(lines, [])
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
        return _first_bad_row(enumerate(lines, spelt.header_line + 1), columns, len(header), spelt.decimal)


def _rows(stream: TextIO, separator: str) -> Iterator[list[str]]:
    """Rows of the table; a quotation that never ends is the end of what can be read."""
    try:
        yield from csv.reader(stream, delimiter=separator)
    except csv.Error:
        return


def _first_bad_row(
    lines: Iterable[tuple[int, list[str]]], columns: list[tuple[int, Column]], width: int, decimal: str
) -> str | None:
    first = True
    place = {column.name: i for i, column in columns}
    frame, seen, time = -math.inf, dict[int, int](), ""
    for number, cells in lines:
        if not cells:
            continue
        if first and _is_units(cells, columns):
            return (
                f"line {number} is a row of units ({', '.join(cells[:4])}, ...); delete it: the column names state"
                " the units"
            )
        first = False
        if len(cells) != width:
            return (
                f"line {number} has {len(cells)} cells, the header has {width}; expected one cell for every"
                " column"
            )
        for i, column in columns:
            fault = _bad_cell(_plain(cells[i], column, decimal), column)
            if fault:
                return f"line {number}, column {column.name}: {fault}"
        if "frame" in place:
            here = float(cells[place["frame"]])
            now = cells[place["t_s"]].strip() if "t_s" in place else ""
            if here == frame and now != time:
                return (
                    f"line {number}, column t_s: {now or 'nothing'} in frame {here:.0f}, which has {time or 'no time'} in"
                    " the line before; expected one time for a frame"
                )
            time = now
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
    """Recognise a second header line: not one number in it, and most cells are words for units."""
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
    least, most = LIMITS.get(column.name, (-math.inf, math.inf))
    bounds = f" from {least:g} to {most:g}" if column.name in LIMITS else ""
    kind = {
        "float": f"a number{unit}{bounds}, or nothing where it is not known",
        "int": "a whole number",
        "bool": "0 or 1",
    }[column.kind]
    if column.kind == "float" and not text:
        return None
    value = _number(text)
    if value is None:
        return f"{text!r} is not a number; expected {kind}"
    if not least <= value <= most:
        return f"{text!r}: expected {kind}{bounds if column.kind != 'float' else ''}"
    if column.kind == "float":
        return None
    if value != math.floor(value) or (column.kind == "bool" and value not in (0, 1)):
        return f"{text!r}: expected {kind}"
    return None


def _plain(cell: str, column: Column, decimal: str) -> str:
    """Cell without blanks, a number with a decimal point."""
    text = cell.strip()
    return text if column.kind == "text" or decimal == "." else text.replace(decimal, ".", 1)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
