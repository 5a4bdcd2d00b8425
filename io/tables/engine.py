"""How a table is written and read back, by the specification of its columns."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from insitrack.io.errors import TableError
from insitrack.io.tables.dialect import dialect_of

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["int", "bool", "text", "float"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name carries the unit; an empty cell of a float column means not known."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    pattern: str = ""
    """How a number is printed, in percent form."""
    optional: bool = False
    """A table of an earlier version may lack it: its numbers are then not known."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its file name and its columns."""

    file: str
    one_row_per: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def header(self) -> str:
        """Return the first line of the file, with its line end."""
        return ",".join(self.names) + "\n"

    def format(self, columns: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]) -> str:
        """Print rows given column by column; NaN becomes an empty cell.

        Raises
        ------
        TableError
            If a column is missing.
        """
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise TableError(f"{self.file}: missing column {missing[0]!r}; expected {', '.join(self.names)}")
        cells: list[Iterable[Any]] = []
        patterns: list[str] = []
        for column in self.columns:
            pattern, values = _printable(column, columns[column.name])
            patterns.append(pattern)
            cells.append(values)
        line = ",".join(patterns) + "\n"
        return "".join([line % row for row in zip(*cells, strict=True)])

    def format_records(self, records: Iterable[Any]) -> str:
        """Print rows given as dataclass instances whose fields are named like the columns."""
        rows = list(records)
        return (
            self.format({name: [getattr(row, name) for row in rows] for name in self.names}) if rows else ""
        )

    def read(self, path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the file into a DataFrame with the types of the specification, and check it.

        Raises
        ------
        TableError
            If the file is missing, a column is missing, or a cell is not of its column's type.
        """
        import pandas as pd

        with self._naming_bad_cells(path), _WholeLines(path) as lines:
            return self._whole(pd.read_csv(lines, **self._reading(path, columns)), columns)

    def chunks(
        self, path: Path, columns: Sequence[str] | None = None, rows: int = 100_000
    ) -> Iterator[pd.DataFrame]:
        """Read the file like `read`, but piece by piece, so that memory stays flat however long the run was.

        Raises
        ------
        TableError
            If the file is missing, a column is missing, or a cell is not of its column's type.
        """
        import pandas as pd

        with self._naming_bad_cells(path), _WholeLines(path) as lines:
            for part in pd.read_csv(lines, chunksize=rows, **self._reading(path, columns)):
                yield self._whole(part, columns)

    def _whole(self, table: pd.DataFrame, columns: Sequence[str] | None) -> pd.DataFrame:
        """Add the columns that a table of an earlier version lacks, as not known."""
        for column in self.columns:
            if column.optional and column.name not in table and (columns is None or column.name in columns):
                table[column.name] = float("nan")
        return table

    def _reading(self, path: Path, columns: Sequence[str] | None) -> dict[str, Any]:
        """Check the header; return what pandas needs to know."""
        if not path.is_file():
            raise TableError(f"{path}: no such table; expected the output folder of a run")
        header = dialect_of(path).header
        absent = [column.name for column in self.columns if column.name not in header and not column.optional]
        if absent:
            raise TableError(
                f"{path}: line 1 lacks the column {absent[0]!r}; expected {', '.join(self.names)}"
            )
        types = {"int": "int64", "bool": "int8", "text": "str", "float": "float64"}
        wanted = {
            column.name: types[column.kind]
            for column in self.columns
            if (columns is None or column.name in columns) and column.name in header
        }
        return {"usecols": list(wanted), "dtype": wanted}

    @contextmanager
    def _naming_bad_cells(self, path: Path) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise TableError(
                f"{path}: a cell is not of its column's type ({error}); expected what docs/tables.md lists"
            ) from error


class _WholeLines(io.RawIOBase):
    """A file up to its last whole line: what a program that was killed left of a row is not read."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise TableError(f"{path}: no such table; expected the output folder of a run")
        self._file = path.open("rb")
        self._left = self._end(path.stat().st_size)

    def _end(self, size: int) -> int:
        """Length up to the last line end; all of a file that has none there to lose."""
        step = min(size, 1 << 16)
        self._file.seek(size - step)
        tail = self._file.read(step)
        self._file.seek(0)
        return size if tail.endswith(b"\n") or b"\n" not in tail else size - step + tail.rindex(b"\n") + 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def read_text(path: Path, expected: str) -> pd.DataFrame:
    """Read a table made elsewhere, every cell as text, numbers with a decimal point.

    CSV, also with a byte order mark, with semicolons and decimal commas, or with tabs, below a line ``sep=;`` and
    above rows of empty cells, as spreadsheets write it; or Parquet. Line 1 holds the header, or that which
    `attrs["first_line"]` of the table follows.

    Raises
    ------
    TableError
        If there is no such file, or it is no table; `expected` says what should be there.
    """
    import pandas as pd

    if not path.is_file():
        raise TableError(f"{path}: no such table; expected {expected}")
    if path.suffix == ".parquet":
        from insitrack.io.tables.parquet import read_parquet_text

        return read_parquet_text(path)
    found = dialect_of(path)
    try:
        with path.open("rb") as stream:  # a stream is never unpacked, whatever its name ends with
            table = pd.read_csv(
                stream,
                dtype=str,
                keep_default_na=False,
                skipinitialspace=True,
                sep=found.separator,
                encoding=found.encoding,
                index_col=False,
                skiprows=found.header_line - 1,
            )
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeError,
        OverflowError,
        MemoryError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise TableError(f"{path}: not a table ({reason}); expected CSV with one header line") from error
    table.columns = [str(name).strip() for name in table.columns]
    filled = np.flatnonzero((table != "").any(axis=1))  # a spreadsheet adds rows of nothing but separators
    table = table.iloc[: filled[-1] + 1 if len(filled) else 0]
    table.attrs["first_line"] = found.header_line + 1
    if found.decimal == ",":
        table = table.replace(
            to_replace=r"^(\s*-?\d+),(\d+(?:[eE][-+]?\d+)?\s*)$", value=r"\1.\2", regex=True
        )
    return table


def _printable(column: Column, values: Sequence[Any] | np.ndarray[Any, Any]) -> tuple[str, Iterable[Any]]:
    """Pattern and cells of one column; the pattern falls back to text where some cells are empty."""
    if column.kind != "float":
        return column.pattern, values.tolist() if isinstance(values, np.ndarray) else values
    array = np.asarray(values, dtype=np.float64)
    known = np.isfinite(array)
    if known.all():
        return column.pattern, array.tolist()
    return "%s", [
        column.pattern % value if good else ""
        for value, good in zip(array.tolist(), known.tolist(), strict=True)
    ]
