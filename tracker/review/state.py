"""What follows from edits, kept up to date: rows, outlines, curves and doubts of the run as it would be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Ints
from insitrack.io.tables.columns import EVENTS
from insitrack.io.tables.outlines.masks import with_rows
from insitrack.tracker.analysis.edit import with_classes
from insitrack.tracker.analysis.edited_rows import EditedRows
from insitrack.tracker.analysis.untouched import join_rows
from insitrack.tracker.hindsight.naming import NOWHERE, Naming
from insitrack.tracker.hindsight.outlines import FinalOutlines
from insitrack.tracker.hindsight.rewrite import series_columns
from insitrack.tracker.review.doubts import by_doubt, doubts_of
from insitrack.tracker.run.meters import meter_of
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.trust.frames import Trusted

if TYPE_CHECKING:
    import pandas as pd

_BOX = ("x0_px", "y0_px", "width_px", "height_px")
CURVES = {
    "density_per_m3": ("volume density", "m⁻³"),
    "density_per_m2": ("areal density", "m⁻²"),
    "n": ("defects in view", ""),
    "size_nm": ("mean size", "nm"),
    "hardening_linear_mpa": ("hardening, linear", "MPa"),
    "hardening_quadrature_mpa": ("hardening, quadrature", "MPa"),
}
"""Columns of ``series.csv`` that are drawn: title and unit."""


class Reviewable:
    """What reviews of a run share, whatever the edits: its tables, its events, and meters by their classes.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    manifest : mapping
        Its ``run.json``.
    made : EditedRows
        What edits are applied to.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], made: EditedRows) -> None:
        self.folder, self.manifest, self.made = folder, manifest, made
        self._meters: dict[tuple[str, ...], SeriesMeter] = {}

    @cached_property
    def events(self) -> pd.DataFrame:
        """Rows of ``events.csv``."""
        return EVENTS.read(self.folder / EVENTS.file)

    def meter(self, names: NDArray[Any]) -> SeriesMeter:
        """Meter of a run with these classes."""
        manifest = with_classes(dict(self.manifest), names)
        classes = tuple((manifest.get("model") or {}).get("classes") or ())
        if classes not in self._meters:
            self._meters[classes] = meter_of(self.folder, manifest)
        return self._meters[classes]


class Reviewed:
    """The tables of a run under some edits.

    Rows are made at once, and what follows from them as it is asked for. What an edit leaves alone is taken from
    the state before it, so that an edit costs what it changes.

    Parameters
    ----------
    run : Reviewable
        The run.
    after : Naming
        Tracks and classes under the edits.
    before : Reviewed, optional
        Those of other edits, best one more or one less.
    """

    def __init__(self, run: Reviewable, after: Naming, before: Reviewed | None = None) -> None:
        self._run, self._made, self.after = run, run.made, after
        self.changed = run.made.changed(after)
        self._stale, self._told, self._told_before = self.changed, None, None
        if before is not None:
            self._stale = before.after.changed(after, hidden=True) | (self.changed ^ before.changed)
            self._told_before = before._told
        self.rows = self._rows(before)
        """Rows of ``tracks.csv``, sorted by frame."""

    def _rows(self, before: Reviewed | None) -> pd.DataFrame:
        made, stale = self._made, self._stale
        rows = made.rows_of_run if before is None else before.rows
        if not stale:
            return rows
        kept = [rows[~rows["track_id"].isin(stale)]]
        if again := stale - self.changed:  # edits of these were taken back: they are what they were
            kept.append(made.rows_of_run[made.rows_of_run["track_id"].isin(again)])
        if edited := stale & self.changed:
            kept.append(made.rebuilt(self.after, edited)[0])
        return join_rows(*kept)

    @cached_property
    def _outlines(self) -> FinalOutlines:
        return FinalOutlines(self._seen, self.rows)

    @cached_property
    def _seen(self) -> dict[str, Any]:
        columns = self._made.seen
        for rows in self.after.added:
            columns = with_rows(columns, {**rows, "track_id": rows["causal_id"]})
        return columns

    def outlines(self, frame: int) -> list[list[Any]]:
        """Id, class, whether it was seen, probability, box and run lengths of what a frame shows."""
        number = self.rows["frame"].to_numpy(np.int64)
        start, end = np.searchsorted(number, [frame, frame + 1]).tolist()
        known = self._outlines.known
        low, high = np.searchsorted(known, [start, end]).tolist()
        if low == high:
            return []
        columns = self._outlines.of(known[low:high])
        return _lines(columns, ("track_id", "defect_class", "observed", "probability", *_BOX, "rle"))

    def dropped(self, frame: int) -> list[list[Any]]:
        """Causal id, class, score, box and run lengths of the finds of a frame that no track has."""
        after = self.after
        here = np.flatnonzero((after.frame == frame) & (after.track_id == NOWHERE))
        names = {int(after.causal_id[k]): str(after.seen_class[k]) for k in here.tolist()}
        columns = self._seen
        rows = np.flatnonzero((columns["frame"] == frame) & np.isin(columns["track_id"], list(names)))
        table = {name: columns[name][rows] for name in ("track_id", *_BOX)}
        table["rle"] = columns["rle"].take(rows).to_pylist()
        table["defect_class"] = [names[one] for one in table["track_id"].tolist()]
        return _lines(table, ("track_id", "defect_class", *_BOX, "rle"))

    def life(self, track_id: int) -> list[list[Any]]:
        """Frame, whether it was seen, class, and box x1 y1 x2 y2 of every row of a track."""
        rows = self.rows[self.rows["track_id"] == track_id]
        return _lines(rows, ("frame", "observed", "defect_class", "x1_px", "y1_px", "x2_px", "y2_px"))

    def tracks(self) -> dict[str, list[Any]]:
        """Every track and what speaks against it, column by column, the most doubtful first."""
        table = self._doubts.round({"doubt": 4, "probability": 4, "size_nm": 3})
        return {name: _values(table[name].to_numpy()) for name in table}

    @property
    def _doubts(self) -> pd.DataFrame:
        if self._told is None:
            self._told = self._doubts_anew()
        return self._told

    def _doubts_anew(self) -> pd.DataFrame:
        """Doubts of every track; only those that the last edit changed are weighed again."""
        import pandas as pd

        events, rows, known = self._run.events, self.rows, self._told_before
        events = events[~events["track_id"].isin(self.changed)]
        if known is None:
            return doubts_of(rows, events)
        some = doubts_of(rows[rows["track_id"].isin(self._stale)], events)
        kept = known[~known["track_id"].isin(self._stale)]
        parts = [part for part in (kept, some) if len(part)] or [kept]
        return by_doubt(pd.concat(parts, ignore_index=True))

    def dropped_tracks(self) -> dict[str, list[Any]]:
        """Every causal id with finds that no track has: how many, in which frames, their best score."""
        import pandas as pd

        after = self.after
        gone = after.track_id == NOWHERE
        n = len(after.base)
        score = np.full(len(gone), np.nan)
        score[:n] = after.base["score"].to_numpy(np.float64)
        columns = {
            "frame": after.frame,
            "track_id": after.causal_id,
            "score": score,
            "defect_class": after.seen_class,
        }
        table = pd.DataFrame({name: values[gone] for name, values in columns.items()})
        if not len(table):
            return {"track_id": [], "n": [], "frame": [], "score": [], "defect_class": []}
        best = table.sort_values("score", ascending=False, na_position="last", kind="stable")
        found = best.groupby("track_id", sort=False).agg(
            n=("frame", "size"),
            frame=("frame", "first"),
            score=("score", "first"),
            defect_class=("defect_class", "first"),
        )
        found = found.reset_index().round({"score": 3})
        return {name: _values(found[name].to_numpy()) for name in found}

    def curves(self) -> dict[str, Any]:
        """Series of every frame for all defects together, with the ends of the bands, and for each class."""
        meter = self._run.meter(np.unique(self.after.defect_class[self.after.track_id >= 0].astype(str)))
        frames = self._made.frames
        frames = frames[(frames["status"] != "skipped").to_numpy()]
        rows = Trusted.of(frames, meter.config.least_trust).without_sizes(self.rows)
        none = np.zeros((len(frames), len(meter.class_names)), np.int64)
        columns = series_columns(rows, frames, meter, none, none)
        names = (*meter.class_names, "all")
        answer: dict[str, Any] = {"t_s": _values(frames["t_s"].to_numpy()), "classes": {}}
        for k, name in enumerate(names):
            ends = ("", "_lo", "_hi") if name == "all" else ("",)
            answer["classes"][name] = {
                key + end: _short(columns[_end(key, end)].reshape(-1, len(names))[:, k])
                for key in CURVES
                for end in ends
            }
        return answer


def _end(key: str, end: str) -> str:
    """Name of the column of an end of a band."""
    return f"size{end}_nm" if key == "size_nm" else key + end


def _short(column: NDArray[Any]) -> list[Any]:
    """Values with five digits for JSON: what a plot can show, in a third of the bytes."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in column.tolist()]


def _values(column: NDArray[Any]) -> list[Any]:
    """Values for JSON: what is not known is null."""
    if column.dtype.kind != "f":
        return list(column.tolist())
    return [value if math.isfinite(value) else None for value in column.tolist()]


def _lines(table: Any, names: tuple[str, ...]) -> list[list[Any]]:
    columns = [_values(np.asarray(table[name])) for name in names]
    return [list(row) for row in zip(*columns, strict=True)]


def places(frames: pd.DataFrame) -> tuple[Ints, NDArray[np.float64], list[str]]:
    """Return number, time and status of every frame that the page shows: all that were not skipped."""
    shown = frames[(frames["status"] != "skipped").to_numpy()]
    return (
        shown["frame"].to_numpy(np.int64),
        shown["t_s"].to_numpy(np.float64),
        [str(name) for name in shown["status"]],
    )
