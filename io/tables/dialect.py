"""How a table made elsewhere is spelt: separator, decimal sign, text coding; and what is too large to be one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from insitrack.io.errors import TableError

LONGEST_LINE_BYTES = 1 << 20
MOST_COLUMNS = 2000
_SAMPLE_LINES = 50
_TOLD = re.compile(r"\"?sep=(,|;|\t|\\t)\"?", re.IGNORECASE)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Spelling of a text table.

    Parameters
    ----------
    header : tuple of str
        Names of the columns.
    separator : {",", ";", tab}
        Stands between cells.
    decimal : {".", ","}
        Decimal sign.
    encoding : {"utf-8-sig", "cp1252"}
        Coding of the text; both read plain ASCII.
    header_line : int
        Line of the header: 2 below a line such as ``sep=;``, by which Excel is told the separator.
    """

    header: tuple[str, ...]
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8-sig"
    header_line: int = 1


def dialect_of(path: Path) -> Dialect:
    """Find out how a table is spelt, from its first lines.

    A header with semicolons and no comma comes from a spreadsheet in a language with decimal commas; whether
    the numbers have them too is looked up in the first lines.

    Raises
    ------
    TableError
        If it is no text, or its header is longer than that of any table.
    """
    try:
        with path.open("rb") as stream:
            lines = [stream.readline(LONGEST_LINE_BYTES + 1) for _ in range(_SAMPLE_LINES)]
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}); expected CSV") from error
    if any(len(line) > LONGEST_LINE_BYTES for line in lines):
        raise TableError(
            f"{path}: has a line of more than {LONGEST_LINE_BYTES >> 20} MiB; expected CSV with one row per"
            " defect and frame"
        )
    if lines[0].startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{path}: is UTF-16 text; save it as CSV UTF-8")
    if lines[0].startswith(_WORKBOOKS):
        raise TableError(f"{path}: is a workbook of Excel, no table of text; save its sheet as CSV UTF-8")
    if any(b"\0" in line for line in lines):
        raise TableError(f"{path}: not a table (it holds bytes that no text has); expected CSV or .parquet")
    try:
        texts = [line.decode("utf-8-sig") for line in lines]
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        texts = [line.decode("cp1252", errors="replace") for line in lines]
        encoding = "cp1252"
    told = _TOLD.fullmatch(texts[0].strip())
    at = 1 if told else 0
    separator = told[1].replace("\\t", "\t") if told else _separator(texts[0])
    header = tuple(name.strip().strip('"').strip() for name in texts[at].strip("\r\n").split(separator))
    if len(header) > MOST_COLUMNS:
        raise TableError(
            f"{path}: line {at + 1} has {len(header)} columns; expected at most {MOST_COLUMNS}, one row per defect"
            " and frame"
        )
    cells = [cell.strip().strip('"') for text in texts[at + 1 :] for cell in text.split(separator)]
    comma = separator != "," and any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    return Dialect(header, separator, "," if comma else ".", encoding, at + 1)


def _separator(header: str) -> str:
    """Return what stands between the names of a header; a comma where nothing else does."""
    return next((mark for mark in (";", "\t") if mark in header and "," not in header), ",")
