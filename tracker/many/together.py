"""What comes of all movies of a batch together: one row each, one tidy table, one page that compares them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.errors import SettingsError, TableError
from insitrack.io.report.batch_report import Compared, Curve, write_batch_report
from insitrack.io.tables.columns import SERIES
from insitrack.io.tables.records import harmless
from insitrack.io.write import replacing, write_text
from insitrack.tracker.many.facts import BATCH, LAST_KNOWN, run_facts
from insitrack.tracker.many.movies import Movie
from insitrack.tracker.many.status import MovieStatus

SERIES_OF_ALL, PAGE = "batch_series.parquet", "batch.html"
DOSE, TIME = "dose", "time"
_MOST_POINTS = 200
_KINDS = {"int": "int64", "float": "float64", "text": "string", "bool": "int8"}


def write_together(
    states: Sequence[MovieStatus], out: Path, facts: Sequence[str] = (), against: str = ""
) -> list[str]:
    """Write `batch.csv`, `batch_series.parquet` and `batch.html`.

    Parameters
    ----------
    states : sequence of MovieStatus
        All movies, also those that failed: they have a row that says why.
    out : Path
        Folder of the batch.
    facts : sequence of str
        Columns of the table that only describe the movies.
    against : str
        Column against which the page compares them: one of the table, `dose` or `time`; empty: the first of
        `facts`, else none.

    Returns
    -------
    list of str
        Warnings: runs that could not be read.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for one in states:
        row: dict[str, Any] = {
            "movie": one.movie.name,
            "path": one.movie.uri,
            "status": one.status,
            "why": one.why,
        }
        if one.status == "done":
            try:
                row = {**run_facts(one.movie.folder), **row}
            except TableError as error:
                notes.append(f"{one.movie.name}: {error}; not compared")
        rows.append({**{name: cell for name, cell in one.movie.cells.items() if cell}, **row})
    _write_rows(rows, states, out)
    curves = _write_series(states, out / SERIES_OF_ALL, facts)
    name = against or (facts[0] if facts else "")
    compared = [_compared(row, name, curves.get(str(row["movie"]), [])) for row in rows]
    write_batch_report(out, out.resolve().name, compared, _axis(name), notes)
    return notes


def check_against(against: str, movies: Sequence[Movie]) -> None:
    """Refuse a column that no movie has.

    Raises
    ------
    SettingsError
        If there is none of that name.
    """
    known = list(dict.fromkeys(name for one in movies for name in one.cells))
    if against and against not in (DOSE, TIME, *known):
        raise SettingsError(
            f"--against {against}: expected dose, time, or a column of the table: {', '.join(known)}"
        )


def _axis(name: str) -> str:
    return {DOSE: "dose_dpa", TIME: "t_s"}.get(name, name)


def _write_rows(rows: list[dict[str, Any]], states: Sequence[MovieStatus], out: Path) -> None:
    """Write `batch.csv`: known columns, those of the table, those of the kinetics."""
    cells = dict.fromkeys(name for one in states for name in one.movie.cells if name not in BATCH.names)
    kinetics = dict.fromkeys(
        name for row in rows for name in row if name not in BATCH.names and name not in cells
    )
    plain = ("reason", "source", "model", "material", "started", "wall_s", "nm_per_px", "thickness_nm")
    names = [*BATCH.names[:4], *cells, *(name for name in plain if name not in cells and name in kinetics)]
    names += [*BATCH.names[4:], *(name for name in kinetics if name not in plain)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_printed(row.get(name)) for name in names] for row in rows])
    write_text(out / BATCH.file, stream.getvalue())


def _printed(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return "" if value is None else harmless(str(value))


def _write_series(states: Sequence[MovieStatus], path: Path, facts: Sequence[str]) -> dict[str, list[Curve]]:
    """Write the series of all movies as one tidy table, piece by piece; return their curves, thinned."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = [one for one in states if one.status == "done" and (one.movie.folder / SERIES.file).is_file()]
    places = {name: f"{name}_of_table" if name in SERIES.names else name for name in facts}
    schema = pa.schema(
        [("movie", pa.string()), *((place, pa.string()) for place in places.values())]
        + [(column.name, _KINDS[column.kind]) for column in SERIES.columns]
    )
    curves: dict[str, list[Curve]] = {}
    with replacing(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for one in done:
            thin = _Thin(one.frames)
            for piece in SERIES.chunks(one.movie.folder / SERIES.file):
                told = {place: one.movie.cells.get(name, "") for name, place in places.items()}
                columns = piece.assign(movie=one.movie.name, **told)
                writer.write_table(pa.Table.from_pandas(columns, schema=schema, preserve_index=False))
                thin.take(piece)
            curves[one.movie.name] = list(thin.curves())
    return curves


class _Thin:
    """Keeps so many points of a series as a small plot shows.

    Parameters
    ----------
    n_frames : int
        Frames of the movie.
    """

    def __init__(self, n_frames: int) -> None:
        self._step, self._seen = max(1, n_frames // _MOST_POINTS), 0
        self._parts: list[Any] = []

    def take(self, piece: Any) -> None:
        """Take rows of ``series.csv``."""
        rows = piece[piece["defect_class"] == "all"]
        self._parts.append(rows.iloc[(-self._seen) % self._step :: self._step])
        self._seen += len(rows)

    def curves(self) -> Iterator[Curve]:
        """Give the curves of what is known."""
        import pandas as pd

        if not self._parts:
            return
        rows = pd.concat(self._parts)
        for name, (low, high) in LAST_KNOWN.items():
            if rows[name].notna().any():
                t, dose, *values = (
                    rows[key].to_numpy(np.float64) for key in ("t_s", "dose_dpa", name, low, high)
                )
                yield Curve(name, t, dose, *values)


def _compared(row: dict[str, Any], against: str, curves: list[Curve]) -> Compared:
    values = {
        name: tuple(float(row.get(key, np.nan)) for key in (name, *pair)) for name, pair in LAST_KNOWN.items()
    }
    place = row.get(_axis(against)) if against else None
    return Compared(
        name=str(row["movie"]),
        status=str(row["status"]),
        why=str(row["why"]),
        place=place,
        values=values,
        curves={one.quantity: one for one in curves},
        trust=float(row.get("trust", np.nan)),
        warnings=str(row.get("warnings", "")),
        frames=row.get("processed"),
    )
