"""The outlines of a run: a line per find while it runs, `masks.parquet` once it has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.detections import Masks
from insitrack.io.errors import TableError
from insitrack.io.results import TrackedFrame
from insitrack.io.tables.engine import Column, Table
from insitrack.io.tables.outlines import rle
from insitrack.io.tables.parquet import open_parquet
from insitrack.io.write import replacing

_ROWS_OF_A_GROUP = 50_000
_TYPES = {"int": "int64", "bool": "int8", "text": "string", "float": "float64"}
_SMALL = {"x0_px": "int32", "y0_px": "int32", "width_px": "int32", "height_px": "int32"}

MASKS = Table(
    "masks.parquet",
    "defect and frame",
    (
        Column("frame", "int", "", "number of the frame in its source, from 0", "%d"),
        Column("track_id", "int", "", "track, as in `tracks.csv`", "%d"),
        Column("defect_class", "text", "", "class name, as in `tracks.csv`", "%s"),
        Column("probability", "float", "", "probability that the defect is there, 0..1", "%.4f"),
        Column("observed", "bool", "0 or 1", "0 where the outline was interpolated over a gap", "%d"),
        Column("x0_px", "int", "px", "left side of the box of the mask", "%d"),
        Column("y0_px", "int", "px", "upper side of the same box", "%d"),
        Column("width_px", "int", "px", "width of the box", "%d"),
        Column("height_px", "int", "px", "height of the box", "%d"),
        Column("rle", "text", "", "run lengths of the mask inside its box, as pycocotools writes them", "%s"),
    ),
)
"""Outlines with the ids and classes of ``tracks.csv``."""

STREAM = Table(
    "masks.csv",
    "find and frame, as it was known frame by frame",
    (
        *MASKS.columns[:-1],
        Column("doubted", "bool", "0 or 1", "1 where it is more likely none than a defect", "%d"),
        MASKS.columns[-1],
    ),
)
"""Outlines while a run goes on, flushed after every frame; `causal/masks.parquet` has the same columns."""


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """Outlines of one frame, row by row.

    Parameters
    ----------
    frame : int
        Number of the frame in its source.
    track_ids : ndarray of int64, shape (N,)
        Tracks.
    names : list of str
        Class of each row.
    probability : ndarray of float64, shape (N,)
        Probability that the defect is there; NaN where not known.
    observed : ndarray of bool, shape (N,)
        False where the outline was interpolated.
    masks : Masks
        Outlines.
    """

    frame: int
    track_ids: Ints
    names: list[str]
    probability: Floats
    observed: Bools
    masks: Masks


def rows_of(tracked: TrackedFrame) -> str:
    """Lines of `STREAM` for one frame: its defects, and the finds that are doubted."""
    text = ""
    doubted = tracked.doubted
    parts = [(tracked, tracked.observed, 0)]
    if doubted is not None and len(doubted.track_ids):
        parts.append((doubted, np.ones(len(doubted.track_ids), bool), 1))  # type: ignore[arg-type]
    for part, observed, flag in parts:
        n, masks = len(part.track_ids), part.detections.masks
        if n:
            columns = {
                "frame": np.full(n, tracked.frame.index),
                "track_id": part.track_ids,
                "defect_class": part.detections.names(),
                "probability": part.probability,
                "observed": observed,
                **boxes_of(masks),
                "doubted": np.full(n, flag),
                "rle": rle.encode(masks),
            }
            text += STREAM.format(columns)
    return text


def boxes_of(masks: Masks) -> dict[str, Any]:
    """Columns of the boxes of masks."""
    return {
        "x0_px": masks.corners[:, 1],
        "y0_px": masks.corners[:, 0],
        "width_px": masks.sizes[:, 1],
        "height_px": masks.sizes[:, 0],
    }


def masks_of(columns: Mapping[str, Any]) -> Masks:
    """Masks from the columns of boxes and run lengths.

    Raises
    ------
    ValueError
        If run lengths do not fit their box.
    """
    corners = np.column_stack([columns["y0_px"], columns["x0_px"]]).astype(np.int32)
    sizes = np.column_stack([columns["height_px"], columns["width_px"]]).astype(np.int32)
    return rle.decode(list(columns["rle"]), corners, sizes)


def pack_stream(stream: Path, path: Path, *, doubted: bool) -> None:
    """Write the outlines of a run as Parquet, some rows at a time.

    Parameters
    ----------
    stream : Path
        ``masks.csv`` of a run whose tables are closed.
    path : Path
        The Parquet file.
    doubted : bool
        Keep the finds that are doubted, and the column that says so.

    Raises
    ------
    TableError
        If the stream is damaged.
    OutputError
        If the file cannot be written.
    """
    table = STREAM if doubted else MASKS
    with replacing(path) as part, writer_of(part, table) as writer:
        for batch in _stream_batches(stream):
            kept = batch if doubted else batch.filter(_equal(batch.column("doubted"), 0))
            writer.write(kept.select(list(table.names)))


def _equal(column: Any, value: int) -> Any:
    import pyarrow.compute as compute

    return compute.equal(column, value)


def _stream_batches(stream: Path) -> Iterator[Any]:
    """Pieces of ``masks.csv`` as Arrow tables."""
    import pyarrow as pa
    import pyarrow.csv as pc

    convert = pc.ConvertOptions(
        column_types=_schema(STREAM),
        null_values=[""],
        strings_can_be_null=False,
        quoted_strings_can_be_null=False,
    )
    parse = pc.ParseOptions(quote_char=False, escape_char=False)  # run lengths may hold a backslash
    try:
        with (
            stream.open("rb") as lines,
            pc.open_csv(lines, parse_options=parse, convert_options=convert) as reader,
        ):
            for batch in reader:
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise TableError(
            f"{stream}: damaged ({str(error).splitlines()[0][:200]}); start a new run"
        ) from error


def _schema(table: Table) -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            (column.name, getattr(pa, _SMALL.get(column.name, _TYPES[column.kind]))())
            for column in table.columns
        ]
    )


class MaskWriter:
    """Writes row groups of a table of outlines; made by `writer_of`."""

    def __init__(self, path: Path, table: Table) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = _schema(table)
        names = [column.name for column in table.columns if column.name != "rle"]
        self._file = path.open("wb")  # opened here, because a path need not be Unicode
        self._writer = pq.ParquetWriter(
            self._file, self._schema, compression="zstd", compression_level=3, use_dictionary=names
        )
        self._waiting: list[Any] = []
        self._n, self._pa = 0, pa

    def __enter__(self) -> MaskWriter:
        return self

    def write(self, rows: Any) -> None:
        """Append rows: an Arrow table with the columns of the file."""
        self._waiting.append(rows.cast(self._schema))
        self._n += rows.num_rows
        if self._n >= _ROWS_OF_A_GROUP:
            self._flush()

    def write_columns(self, columns: Mapping[str, Any]) -> None:
        """Append rows given column by column; a probability that is not known becomes null."""
        pa = self._pa
        arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in self._schema]
        self.write(pa.Table.from_arrays(arrays, schema=self._schema))

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._pa.concat_tables(self._waiting))
        self._waiting, self._n = [], 0

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
        self._writer.close()
        self._file.close()


def writer_of(path: Path, table: Table = MASKS) -> MaskWriter:
    """Open a table of outlines to be written."""
    return MaskWriter(path, table)


DRAWN = "drawn.parquet"
"""Outlines drawn by hand, as `MASKS`, each under the `causal_id` of its row in ``tracks.csv``."""


def read_columns(paths: Sequence[Path], names: Sequence[str]) -> dict[str, Any]:
    """Read whole columns of tables of outlines, one after another; run lengths stay packed, as an Arrow array.

    Raises
    ------
    TableError
        If one is damaged or lacks a column.
    """
    import pyarrow as pa

    parts = []
    for path in paths:
        with open_parquet(path) as file:
            _need(path, file.schema_arrow.names, names)
            parts.append(file.read(columns=list(names)))
    table = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    packed = {}
    for name in names:
        column = table.column(name)
        packed[name] = column if name in ("rle", "defect_class") else column.to_numpy()
    return packed


def with_rows(columns: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as `read_columns` gives them, and more rows behind them."""
    import pyarrow as pa

    longer: dict[str, Any] = {}
    for name, column in columns.items():
        values = np.asarray(rows[name])
        if name == "rle":
            longer[name] = pa.chunked_array([*column.chunks, pa.array(values.tolist(), pa.string())])
        else:
            longer[name] = np.concatenate([column, values.astype(column.dtype)])
    return longer


def classes_in(path: Path) -> set[str]:
    """Return the classes that a table of outlines has.

    Raises
    ------
    TableError
        If it is damaged.
    """
    names: set[str] = set()
    with open_parquet(path) as file:
        _need(path, file.schema_arrow.names, ("defect_class",))
        for batch in file.iter_batches(100_000, columns=["defect_class"]):
            names |= {str(name) for name in batch.column(0).unique().to_pylist()}
    return names


def masks_by_frame(path: Path, frames: tuple[int, int] | None = None) -> Iterator[FrameMasks]:
    """Outlines of a finished run, one frame after another; frames without any are passed over.

    Parameters
    ----------
    path : Path
        ``masks.parquet``.
    frames : tuple of int, optional
        First and last frame; only what they need is read.

    Raises
    ------
    TableError
        If the file is damaged, lacks a column, or its rows are not sorted by frame.
    """
    waiting: list[Any] = []
    last = -1
    with open_parquet(path) as file:
        _need(path, file.schema_arrow.names, MASKS.names)
        groups = [i for i in range(file.num_row_groups) if _holds(file, i, frames)]
        for batch in file.iter_batches(10_000, row_groups=groups, columns=list(MASKS.names)):
            columns = {name: batch.column(name) for name in MASKS.names}
            frame = columns["frame"].to_numpy()
            if frame.size and (frame[0] < last or (np.diff(frame) < 0).any()):
                raise TableError(f"{path}: rows are not sorted by frame; restore the file")
            edges = [0, *(np.flatnonzero(np.diff(frame)) + 1).tolist(), len(frame)]
            for start, end in pairwise(edges) if len(frame) else ():
                if waiting and int(frame[start]) != last:
                    yield _frame_masks(path, last, waiting)
                    waiting = []
                last = int(frame[start])
                if frames is not None and not frames[0] <= last <= frames[1]:
                    continue
                waiting.append({name: column.slice(start, end - start) for name, column in columns.items()})
        if waiting:
            yield _frame_masks(path, last, waiting)


def stream_by_frame(path: Path) -> Iterator[FrameMasks]:
    """Outlines of a run that goes on or was cut off, as they were known frame by frame, without doubted finds.

    Parameters
    ----------
    path : Path
        ``masks.csv``; what a kill left of its last line is not read.

    Raises
    ------
    TableError
        If the table is damaged.
    """
    waiting: list[Any] = []
    for piece in STREAM.chunks(path, rows=20_000):
        for frame, rows in piece[piece["doubted"] == 0].groupby("frame", sort=False):
            if waiting and waiting[0]["frame"].iloc[0] != frame:
                yield _of_rows(path, waiting)
                waiting = []
            waiting.append(rows)
    if waiting:
        yield _of_rows(path, waiting)


def _of_rows(path: Path, parts: list[Any]) -> FrameMasks:
    """Rows of one frame, which may lie in two pieces of the table."""
    import pandas as pd

    rows = pd.concat(parts)
    frame = int(rows["frame"].iloc[0])
    try:
        masks = masks_of(rows)
    except ValueError as error:
        raise TableError(f"{path}: frame {frame}: {error}; restore the file") from error
    return FrameMasks(
        frame,
        rows["track_id"].to_numpy(np.int64),
        rows["defect_class"].astype(str).tolist(),
        rows["probability"].to_numpy(np.float64),
        rows["observed"].to_numpy() == 1,
        masks,
    )


def _holds(file: Any, group: int, frames: tuple[int, int] | None) -> bool:
    """Whether a row group has rows of the frames asked for, as far as the file tells."""
    if frames is None:
        return True
    facts = file.metadata.row_group(group).column(file.schema_arrow.names.index("frame")).statistics
    if facts is None or not facts.has_min_max:
        return True
    return bool(facts.min <= frames[1] and facts.max >= frames[0])


def _need(path: Path, have: Sequence[str], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in have]
    if missing:
        raise TableError(f"{path}: lacks the column {missing[0]!r}; expected {', '.join(names)}")


def _frame_masks(path: Path, frame: int, parts: list[dict[str, Any]]) -> FrameMasks:
    def joined(name: str) -> Any:
        return np.concatenate([part[name].to_numpy(zero_copy_only=False) for part in parts])

    columns = {name: joined(name) for name in ("x0_px", "y0_px", "width_px", "height_px", "rle")}
    try:
        masks = masks_of(columns)
    except ValueError as error:
        raise TableError(f"{path}: frame {frame}: {error}; restore the file") from error
    return FrameMasks(
        frame,
        joined("track_id").astype(np.int64),
        [str(name) for name in joined("defect_class")],
        joined("probability").astype(np.float64),
        joined("observed") == 1,
        masks,
    )
