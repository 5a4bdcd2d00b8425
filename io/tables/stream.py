"""Tables of tracks too large for memory.

CSV or Parquet is read and checked some whole frames at a time; Parquet is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Ints
from insitrack.io.errors import TableError
from insitrack.io.tables.columns import TRACKS
from insitrack.io.tables.dialect import dialect_of
from insitrack.io.tables.engine import Table
from insitrack.io.tables.faults import LIMITS, find_fault
from insitrack.io.tables.parquet import open_parquet

if TYPE_CHECKING:
    import pyarrow as pa

NEEDED = ("frame", "t_s", "track_id", "defect_class", "x_px", "y_px", "size_nm")
"""Columns without which nothing can be worked out; all others have a value for where they are not known."""

_LONGEST_WORDS = 600
_BLOCK_BYTES = 16 << 20
_ROWS_AT_ONCE = 400_000
_TYPES = {"int": "int64", "bool": "int8", "text": "string", "float": "float64"}
_DEFAULTS = {"observed": 1, "on_edge": 0, "on_exclusion_edge": 0, "causal_id": -1}

Columns = dict[str, NDArray[Any]]


def to_parquet(
    path: Path, out: Path | None, table: Table = TRACKS, needed: Sequence[str] = NEEDED
) -> Iterator[Columns]:
    """Read a table of tracks, checked, and write it as Parquet on the way.

    Parameters
    ----------
    path : Path
        ``tracks.csv``, or the same as ``.parquet``.
    out : Path or None
        Parquet file to write; None writes nothing.
    table : Table
        Its columns; others are left out.
    needed : sequence of str
        Columns that must be there.

    Yields
    ------
    dict of str to ndarray
        Columns of some whole frames: class names as int64 codes under ``defect_class``, with the names under
        ``class_names``.

    Raises
    ------
    TableError
        If the table is missing or broken, with line and column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise TableError(
            f"{path}: no such table; expected tracks.csv of a run, or a CSV with {', '.join(needed)}"
        )
    writer: Any = None
    last_frame = -1
    try:
        for batch in _whole_frames(_batches(path, table, needed)):
            columns = as_columns(batch, table)
            _check(path, table, needed, columns, last_frame)
            last_frame = int(columns["frame"][-1])
            if out is not None:
                writer = writer or pq.ParquetWriter(
                    out, batch.schema, compression="zstd", compression_level=1
                )
                writer.write_table(batch)
            yield columns
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise _fault(path, table, needed, str(error).splitlines()[0] if str(error) else "damaged") from error
    finally:
        if writer is not None:
            writer.close()


def rows_of_frames(path: Path, numbers: Ints) -> Ints:
    """Count the rows that a table has of each frame.

    Parameters
    ----------
    path : Path
        ``tracks.csv`` or ``tracks.parquet``.
    numbers : ndarray of int64, shape (F,)
        Numbers of the frames, rising; rows of other frames are not counted.

    Raises
    ------
    TableError
        If the table is broken, with line and column.
    """
    import pyarrow as pa

    only = Table(TRACKS.file, TRACKS.one_row_per, TRACKS.columns[:1])
    counts = np.zeros(len(numbers), np.int64)
    try:
        for batch in _batches(path, only, ("frame",)):
            frame = batch.column(0).to_numpy(zero_copy_only=False)
            frame = frame[np.isin(frame, numbers)].astype(np.int64)
            counts += np.bincount(np.searchsorted(numbers, frame), minlength=len(numbers))
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise _fault(path, TRACKS, NEEDED, str(error).splitlines()[0] if str(error) else "damaged") from error
    return counts


def _batches(path: Path, table: Table, needed: Sequence[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv as pc

    if path.suffix == ".parquet":
        with open_parquet(path) as file:
            have = [name for name in table.names if name in file.schema_arrow.names]
            _need(path, have, needed)
            schema = pa.schema([(name, _type(table, name)) for name in have])
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=have):
                yield batch.select(have).cast(schema)
        return
    spelt = dialect_of(path)
    header = spelt.header
    _need(path, header, needed)
    have = [name for name in table.names if name in header]
    types = {name: _type(table, name) for name in have}
    convert = pc.ConvertOptions(
        column_types=types,
        include_columns=have,
        null_values=[""],
        strings_can_be_null=False,
        decimal_point=spelt.decimal,
    )
    reading = pc.ReadOptions(
        block_size=_BLOCK_BYTES,
        column_names=list(header),
        skip_rows=spelt.header_line,
        encoding="utf-8" if spelt.encoding == "utf-8-sig" else spelt.encoding,
    )
    with (
        path.open("rb") as stream,  # a stream is never unpacked, whatever its name ends with
        pc.open_csv(
            stream,
            read_options=reading,
            parse_options=pc.ParseOptions(delimiter=spelt.separator),
            convert_options=convert,
        ) as reader,
    ):
        yield from reader


def _type(table: Table, name: str) -> pa.DataType:
    import pyarrow as pa

    kind = next(column.kind for column in table.columns if column.name == name)
    return pa.dictionary(pa.int32(), pa.string()) if kind == "text" else getattr(pa, _TYPES[kind])()


def _need(path: Path, have: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in have]
    if missing:
        raise TableError(
            f"{path}: "
            + _one_line(
                f"line 1 lacks the column {missing[0]!r}; expected {', '.join(needed)}, found"
                f" {', '.join(have) or 'nothing'}"
            )
        )


def _whole_frames(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut batches so that no frame lies in two of them."""
    import pyarrow as pa

    waiting: list[Any] = []
    n = 0
    for batch in batches:
        if batch.num_rows:
            waiting.append(batch)
            n += batch.num_rows
        if n < _ROWS_AT_ONCE:
            continue
        table = pa.Table.from_batches(waiting).unify_dictionaries().combine_chunks()
        frame = table.column("frame").to_numpy()
        cut = int(np.searchsorted(frame, frame[-1])) if frame[-1] >= frame[0] else 0
        if cut:
            yield table.slice(0, cut)
            table = table.slice(cut)
        waiting, n = table.to_batches(), table.num_rows
    if n:
        yield pa.Table.from_batches(waiting).unify_dictionaries().combine_chunks()


def as_columns(batch: pa.Table, table: Table = TRACKS) -> Columns:
    """Columns of a piece as arrays, with a value in every column of the table.

    NaN, or what holds for most, where it has none.
    """
    columns: Columns = {}
    for column in table.columns:
        name = column.name
        if name not in batch.schema.names:
            columns[name] = np.full(
                batch.num_rows, _DEFAULTS.get(name, 0) if column.kind != "float" else np.nan
            )
            continue
        values = batch.column(name)
        if column.kind == "text":
            joined = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
            columns[name] = joined.indices.to_numpy(zero_copy_only=False).astype(np.int64)
            columns["class_names"] = np.array(joined.dictionary.to_pylist(), object)
        else:
            if values.null_count and column.kind != "float":
                import pyarrow as pa

                raise pa.ArrowInvalid(f"empty cell in {name}")
            columns[name] = values.to_numpy()
    if np.isnan(columns["x1_px"]).all():
        _fill_boxes(columns)
    return columns


def _fill_boxes(columns: Columns) -> None:
    """Leave boxes of no extent where there are none.

    Sizes are then not weighted by how often the border cuts them.
    """
    for side, centre in (("x1_px", "x_px"), ("x2_px", "x_px"), ("y1_px", "y_px"), ("y2_px", "y_px")):
        columns[side] = columns[centre]


def _check(path: Path, table: Table, needed: Sequence[str], columns: Columns, last_frame: int) -> None:
    """Refuse values that cannot be, rows out of order and tracks with two rows in a frame."""
    frame, ids, t_s = columns["frame"], columns["track_id"], columns["t_s"]
    for name, (least, most) in LIMITS.items():
        wrong = (columns[name] < least) | (columns[name] > most)
        if wrong.any():
            value = columns[name][wrong][0]
            words = f"column {name}: {value:g} in frame {frame[wrong][0]}; expected {least:g} to {most:g}"
            raise _fault(path, table, needed, words)
    if ((np.diff(frame) == 0) & (np.diff(t_s) != 0) & np.isfinite(np.diff(t_s))).any():
        raise _fault(path, table, needed, "rows of one frame have different times")
    if frame[0] < last_frame or (np.diff(frame) < 0).any():
        raise _fault(path, table, needed, "rows are not sorted by frame")
    key = np.sort(
        (frame - frame[0]).astype(np.int64) * (int(ids.max()) - int(ids.min()) + 1) + (ids - ids.min())
    )
    if (key[1:] == key[:-1]).any():
        raise _fault(path, table, needed, "a track has two rows in a frame")
    for name in ("on_edge", "on_exclusion_edge", "observed"):
        if not np.isin(columns[name], (0, 1)).all():
            raise _fault(path, table, needed, f"{name} is neither 0 nor 1")


def _fault(path: Path, table: Table, needed: Sequence[str], words: str) -> TableError:
    """Say where the table is broken."""
    fault = None if path.suffix == ".parquet" else find_fault(path, table, needed)
    return TableError(f"{path}: {_one_line(fault or words)}")


def _one_line(words: str) -> str:
    """Shorten a complaint that quotes a cell of any length."""
    plain = " ".join(words.split())
    return plain if len(plain) <= _LONGEST_WORDS else plain[:_LONGEST_WORDS] + " ..."
