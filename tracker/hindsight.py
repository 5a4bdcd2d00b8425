"""A finished run looked at again: causal tables in, refined tables out; the causal ones move to a folder beside them."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io import tables
from insitrack.io.errors import OutputError
from insitrack.io.frames import MissingFrame
from insitrack.io.results import Measures
from insitrack.io.sinks import TABLE_PART
from insitrack.tracker.lives import kinetics_rows, lives
from insitrack.tracker.refine import RefineConfig, looked_at, refine
from insitrack.tracker.series import SeriesMeter

if TYPE_CHECKING:
    import pandas as pd

CAUSAL = "causal"
REWRITTEN = ("tracks.csv", "series.csv", "summary.csv", "events.csv")


def look_back(folder: Path, config: RefineConfig, meter: SeriesMeter) -> dict[str, float]:
    """Refine the tables of a finished run in place; the causal ones stay in ``causal/``.

    Parameters
    ----------
    folder : Path
        Output folder of a run whose tables are closed.
    config : RefineConfig
        What to do.
    meter : SeriesMeter
        A fresh meter with the run's settings.

    Returns
    -------
    dict
        What was done, for the manifest; empty where the table has more than `RefineConfig.max_rows` rows and was left alone.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    frames = tables.FRAMES.read(folder / tables.FRAMES.file)
    if float(frames["n_detections"].sum()) > config.max_rows:
        return {}
    tracks = tables.TRACKS.read(folder / tables.TRACKS.file)
    nm_per_px = meter.calibration.nm_per_px or math.nan
    refined = refine(tracks.assign(seen_class=tracks["defect_class"]), frames, config, nm_per_px=nm_per_px)
    try:
        (folder / CAUSAL).mkdir(exist_ok=True)
        write_tables(folder, refined.tracks, frames, meter, keep=folder / CAUSAL)
    except OSError as error:
        raise OutputError(f"{folder}: refined tables cannot be written ({error.strerror}); the causal ones are complete") from error
    return {**refined.facts, "tracks": int(refined.tracks["track_id"].nunique())}


def write_tables(folder: Path, rows: pd.DataFrame, frames: pd.DataFrame, meter: SeriesMeter, *, keep: Path | None = None) -> None:
    """Write the tables that follow from tracks and frames, each to a temporary name first; earlier ones move to `keep`."""
    nm_per_px = meter.calibration.nm_per_px or math.nan
    looked = looked_at(frames)
    place = np.minimum(np.searchsorted(looked["frame"].to_numpy(), rows["frame"].to_numpy()), max(0, len(looked) - 1))
    shift = looked[["shift_x_px", "shift_y_px"]].fillna(0.0).to_numpy(np.float64)[place] if len(looked) else np.zeros((0, 2))
    rows = rows.assign(specimen_x_px=rows["x_px"] - shift[:, 0], specimen_y_px=rows["y_px"] - shift[:, 1])
    told = lives(rows, looked, nm_per_px=nm_per_px)
    texts = {
        tables.TRACKS: [tables.TRACKS.format({name: rows[name].to_numpy() for name in tables.TRACKS.names}) if len(rows) else ""],
        tables.SERIES: _series(rows, frames, meter, told.births, told.deaths),
        tables.SUMMARY: [tables.SUMMARY.format_records(told.summaries)],
        tables.EVENTS: [tables.EVENTS.format_records(told.events)],
        tables.KINETICS: [_columns(tables.KINETICS, kinetics_rows(told, rows, looked, nm_per_px=nm_per_px))],
    }
    for table, parts in texts.items():
        with (folder / f"{table.file}{TABLE_PART}").open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(table.header())
            stream.writelines(parts)
    for table in texts:
        if keep is not None and (folder / table.file).exists():
            shutil.move(folder / table.file, keep / table.file)
        (folder / f"{table.file}{TABLE_PART}").replace(folder / table.file)


def _columns(table: tables.Table, records: list[dict[str, object]]) -> str:
    return table.format({name: [one[name] for one in records] for name in table.names}) if records else ""


def _series(rows: pd.DataFrame, frames: pd.DataFrame, meter: SeriesMeter, births: dict, deaths: dict) -> list[str]:  # type: ignore[type-arg]
    """Text of ``series.csv``, frame by frame."""
    codes = {name: i for i, name in enumerate(meter.class_names, 1)}
    label = rows["defect_class"].map(codes).to_numpy(np.int64)
    observed = rows["observed"].to_numpy() == 1
    columns = {name: rows[name].to_numpy(bool if name == "on_edge" else np.float64) for name in Measures.__slots__}
    number = rows["frame"].to_numpy(np.int64)
    nm_per_px = meter.calibration.nm_per_px or math.nan
    texts = []
    for frame, t_s, status, area in frames[["frame", "t_s", "status", "field_px"]].itertuples(index=False):
        if status == "skipped":
            continue
        if status != "processed" or area == 0:
            texts.append(tables.SERIES.format_records(meter.missing(MissingFrame(int(frame), t_s, "gap"))))
            continue
        here = slice(*np.searchsorted(number, [frame, frame + 1]).tolist())
        measures = Measures(*(columns[name][here] for name in Measures.__slots__))
        changes = (births.get(int(frame)), deaths.get(int(frame)))
        texts.append(
            tables.SERIES.format_records(
                meter.rows_of(int(frame), t_s, label[here], measures, observed[here], *changes, field_nm2=(area or math.nan) * nm_per_px**2)
            )
        )
    return texts
