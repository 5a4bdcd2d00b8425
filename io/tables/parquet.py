"""Parquet tables made elsewhere: what is damaged, or claims more rows than its bytes can hold, is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import TableError
from insitrack.io.tables.dialect import MOST_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_LARGE_CELLS = 1 << 27  # about 1 GB of numbers; below it no table is a danger
_CELLS_PER_BYTE = 100  # tables of tracks have less than one
_LARGE_TEXT_BYTES = 1 << 30


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """Open a Parquet file as `pyarrow.parquet.ParquetFile`.

    Raises
    ------
    TableError
        If it is damaged, also where that shows only while it is read, or claims more than it can hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as raw, pq.ParquetFile(raw) as file:  # a path need not be Unicode
            _check_size(path, file)
            yield file
    except (pa.ArrowException, OSError, UnicodeError, MemoryError, OverflowError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise TableError(f"{path}: damaged or not Parquet ({reason}); export it again") from error


def _check_size(path: Path, file: Any) -> None:
    facts, size = file.metadata, path.stat().st_size
    if facts.num_columns > MOST_COLUMNS:
        raise TableError(f"{path}: has {facts.num_columns} columns; expected at most {MOST_COLUMNS}")
    cells = facts.num_rows * facts.num_columns
    if facts.num_rows < 0 or (cells > _LARGE_CELLS and cells > _CELLS_PER_BYTE * size):
        raise TableError(
            f"{path}: claims {facts.num_rows} rows in {size} bytes; expected a table of tracks or detections"
        )
    unpacked = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    if unpacked > _LARGE_TEXT_BYTES and unpacked > _CELLS_PER_BYTE * size:
        raise TableError(
            f"{path}: unpacks {size} bytes to {unpacked}; expected a table of tracks or detections"
        )


def read_parquet_text(path: Path) -> pd.DataFrame:
    """Read a Parquet table with every cell as text, as `insitrack.io.tables.engine.read_text` reads CSV."""
    import pandas as pd

    with open_parquet(path) as file:
        table = file.read().to_pandas()
    columns = {str(name): _text(table[name]) for name in table.columns}
    return pd.DataFrame(columns)


def _text(values: pd.Series[Any]) -> pd.Series[str]:
    """Numbers as Python prints them, so that none loses a digit; unknown is empty."""
    known = values.notna()
    if values.dtype == bool:
        values = values.astype("int8")
    return values.astype(object).where(known, "").map(str)
