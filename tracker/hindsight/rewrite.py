"""The refined tables of a finished run; the causal ones move to a folder beside them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import UNTYPED
from insitrack.io.errors import OutputError
from insitrack.io.tables import columns as tables
from insitrack.io.tables.engine import Table
from insitrack.io.tables.frame_views import frame_scales
from insitrack.io.tables.outlines.masks import MASKS, STREAM, pack_stream
from insitrack.io.tables.run_folder import CAUSAL
from insitrack.io.write import replacing
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.hindsight.classes import sizes_of_typed, with_classes
from insitrack.tracker.hindsight.outlines import write_masks
from insitrack.tracker.hindsight.refine import Refined, looked_at, on_specimen, refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.kinetics.rates import kinetics_rows, msd_of
from insitrack.tracker.kinetics.track_histories import track_histories
from insitrack.tracker.measure.from_table import sizes_as, with_sizes
from insitrack.tracker.measure.measure import MeasureConfig
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.observations import observe
from insitrack.tracker.trust.frames import Trusted

if TYPE_CHECKING:
    import pandas as pd

_AT_ONCE = 2000
Counts = Mapping[str, int]


def refine_run(
    folder: Path,
    config: RefineConfig,
    meter: SeriesMeter,
    existence: ExistenceConfig | None = None,
    sizes: MeasureConfig | None = None,
    least_class: float = 0.0,
) -> dict[str, float]:
    """Refine the tables of a finished run in place; the causal ones stay in ``causal/``.

    Parameters
    ----------
    folder : Path
        Output folder of a run whose tables are closed.
    config : RefineConfig
        What to do.
    meter : SeriesMeter
        A fresh meter with the run's settings.
    existence : ExistenceConfig or None
        How candidates become defects; None where their scores say nothing.
    sizes : MeasureConfig, optional
        Definitions of size: a track's is by that of the class that it gets. None: sizes are those of a table.
    least_class : float
        Least probability of its class for a track that is no `defect`; 0: classes stay as they were seen most.

    Returns
    -------
    dict
        What was done, for the manifest; empty where the table has more than `RefineConfig.max_rows` rows and
        was left alone.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    frames = tables.FRAMES.read(folder / tables.FRAMES.file)
    with (folder / tables.DOUBTED.file).open("rb") as lines:
        n_doubted = sum(1 for _ in lines) - 1
    if float(frames["n_detections"].sum()) + n_doubted > config.max_rows:
        return {}
    nm_per_px = meter.calibration.nm_per_px or math.nan
    tracks = with_sizes(tables.read_candidates(folder, folder), frames, sizes or MeasureConfig(), nm_per_px)
    refined = refine(
        tracks.assign(seen_class=tracks["defect_class"]),
        frames,
        config,
        existence=existence,
        nm_per_px=nm_per_px,
        sizes_of=None if sizes is None else partial(_sizes_of, frames, nm_per_px, sizes),
    )
    if least_class > 0 and UNTYPED in meter.class_names:
        refined = _typed(refined, folder, meter.class_names, least_class, sizes)
    _write_refined(folder, refined.tracks, frames, meter, judged=existence is not None)
    left = int((refined.tracks["observed"] == 1).sum())
    seen = int(((tracks["observed"] == 1) & (tracks["doubted"] == 0)).sum())
    return {
        **refined.facts,
        "tracks": int(refined.tracks["track_id"].nunique()),
        "rows_seen_live": seen,
        "rows_left": left,
    }


def _write_refined(
    folder: Path, tracks: pd.DataFrame, frames: pd.DataFrame, meter: SeriesMeter, *, judged: bool
) -> None:
    """Write the refined tables and outlines; the causal ones move aside."""
    try:
        (folder / CAUSAL).mkdir(exist_ok=True)
        if (folder / STREAM.file).is_file():
            pack_stream(folder / STREAM.file, folder / CAUSAL / MASKS.file, doubted=True)
            write_masks([folder / CAUSAL / MASKS.file], tracks, folder / MASKS.file)
        write_tables(folder, tracks, frames, meter, keep=folder / CAUSAL, weigh=judged)
    except OSError as error:
        raise OutputError(
            f"{folder}: refined tables cannot be written ({error.strerror}); the causal ones are complete"
        ) from error


def _sizes_of(
    frames: pd.DataFrame,
    nm_per_px: float,
    config: MeasureConfig,
    rows: pd.DataFrame,
    names: NDArray[np.str_],
) -> Floats:
    """Sizes of rows by the definitions of some classes, nm."""
    scale = frame_scales(frames, nm_per_px)
    place = np.searchsorted(frames["frame"].to_numpy(np.int64), rows["frame"].to_numpy(np.int64))
    return sizes_as(rows, names, config, scale[place])


def _typed(
    refined: Refined, folder: Path, class_names: tuple[str, ...], least: float, sizes: MeasureConfig | None
) -> Refined:
    """Give tracks their classes, by all that the causal tables say of them, and sizes by these."""
    summary = tables.SUMMARY.read(folder / tables.SUMMARY.file)
    rows = with_classes(refined.tracks, summary, class_names, least)
    if sizes is not None:
        rows = rows.assign(**sizes_of_typed(rows, refined.tracks["defect_class"].to_numpy(str), sizes))
    return replace(refined, tracks=rows)


def warn_of_loss(facts: Mapping[str, float]) -> list[str]:
    """One line where hindsight dropped more than half of what was believed frame by frame."""
    seen = facts.get("rows_seen_live", 0)
    left = facts.get("rows_left", seen)
    if left >= 0.5 * seen:
        return []
    return [
        f"hindsight dropped {1 - left / seen:.0%} of the {seen:.0f} finds that were believed frame by frame; they"
        f" are in {CAUSAL}/, and refine.enabled = false keeps them"
    ]


_ADVICE = "make room; the tables that were there stay as they are"


def write_tables(
    folder: Path,
    rows: pd.DataFrame,
    frames: pd.DataFrame,
    meter: SeriesMeter,
    *,
    keep: Path | None = None,
    weigh: bool = False,
) -> None:
    """Write the tables that follow from tracks and frames, each to a temporary name first.

    Earlier ones move to `keep`. In the kinetics tracks count with their probability (`weigh`), or alike.
    """
    nm_per_px = meter.calibration.nm_per_px or math.nan
    looked = looked_at(frames)
    rows = on_specimen(rows, looked)
    trusted = Trusted.of(frames, meter.config.least_trust)
    rows = trusted.without_sizes(rows)
    told = track_histories(rows, looked, nm_per_px=nm_per_px)
    known = trusted.part(rows, looked, nm_per_px)
    moves = [] if trusted.all_refused else msd_of(told, *known, nm_per_px=nm_per_px)
    texts: dict[Table, Iterable[str]] = {
        tables.TRACKS: [
            (
                tables.TRACKS.format({name: rows[name].to_numpy() for name in tables.TRACKS.names})
                if len(rows)
                else ""
            )
        ],
        tables.SERIES: _series(rows, frames, meter, told.births, told.deaths),
        tables.SUMMARY: [tables.SUMMARY.format_records(told.summaries)],
        tables.EVENTS: [tables.EVENTS.format_records(told.events)],
        tables.KINETICS: [
            _columns(
                tables.KINETICS,
                trusted.kinetics(kinetics_rows(told, *known, nm_per_px=nm_per_px, weigh=weigh)),
            )
        ],
        tables.MSD: [_columns(tables.MSD, moves)],
    }
    with ExitStack() as files:
        for table, parts in texts.items():
            part = files.enter_context(replacing(folder / table.file, advice=_ADVICE))
            with part.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(table.header())
                stream.writelines(parts)
        for table in texts:
            if keep is not None and (folder / table.file).exists():
                shutil.move(folder / table.file, keep / table.file)


def _columns(table: Table, records: Sequence[Mapping[str, object]]) -> str:
    return table.format({name: [one[name] for one in records] for name in table.names}) if records else ""


def _series(
    rows: pd.DataFrame,
    frames: pd.DataFrame,
    meter: SeriesMeter,
    births: Mapping[int, Counts],
    deaths: Mapping[int, Counts],
) -> Iterator[str]:
    """Text of ``series.csv``, some frames at a time."""
    frames = frames[(frames["status"] != "skipped").to_numpy()]
    number = frames["frame"].to_numpy(np.int64)
    edges = np.searchsorted(rows["frame"].to_numpy(np.int64), number)
    for start in range(0, len(number), _AT_ONCE):
        part = frames.iloc[start : start + _AT_ONCE]
        last = edges[start + _AT_ONCE] if start + _AT_ONCE < len(number) else len(rows)
        changes = (
            np.array(
                [
                    [counts.get(int(frame), {}).get(name, 0) for name in meter.class_names]
                    for frame in part["frame"]
                ],
                np.int64,
            )
            for counts in (births, deaths)
        )
        yield tables.SERIES.format(series_columns(rows.iloc[edges[start] : last], part, meter, *changes))


def series_columns(
    rows: pd.DataFrame, frames: pd.DataFrame, meter: SeriesMeter, births: Ints, deaths: Ints
) -> dict[str, NDArray[Any]]:
    """Columns of ``series.csv`` for some frames, from the rows of ``tracks.csv`` and ``frames.csv``.

    Parameters
    ----------
    rows : DataFrame
        Rows of these frames, sorted by frame.
    frames : DataFrame
        T frames that were not skipped; those that were not processed get rows of unknowns.
    meter : SeriesMeter
        Makes the numbers.
    births, deaths : ndarray of int64, shape (T, K)
        Tracks that began and that were given up, by class.
    """
    codes = {name: i for i, name in enumerate(meter.class_names, 1)}
    flags = {name: rows[name].to_numpy() == 1 for name in ("on_edge", "on_exclusion_edge", "observed")}
    t_s, frame_px = frames["t_s"].to_numpy(np.float64), frames[["width_px", "height_px"]].to_numpy(np.float64)
    seen = observe(
        meter.config,
        frame=np.searchsorted(frames["frame"].to_numpy(), rows["frame"].to_numpy()),
        labels=rows["defect_class"].map(codes).to_numpy(np.int64),
        size_nm=rows["size_nm"].to_numpy(np.float64),
        line_length_nm=rows["line_length_nm"].to_numpy(np.float64),
        **flags,
        boxes=rows[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64),
        centres=rows[["x_px", "y_px"]].to_numpy(np.float64),
        frame_px=frame_px,
    )
    area = frames["field_px"].to_numpy(np.float64)
    scale = frame_scales(frames, meter.calibration.nm_per_px or math.nan)
    field_nm2 = np.where(area > 0, area, math.nan) * scale**2
    number = frames["frame"].to_numpy(np.int64)
    trust = frames["trust"].to_numpy(np.float64) if "trust" in frames else None
    values = meter.table(t_s, field_nm2, seen, births, deaths, frame_px=frame_px, frame=number, trust=trust)
    lost = ((frames["status"] != "processed") | (frames["field_px"] == 0)).to_numpy()
    names = (*meter.class_names, "all")
    dose = meter.exposure.dose_dpa(t_s)
    columns: dict[str, NDArray[Any]] = {
        "frame": np.repeat(frames["frame"].to_numpy(), len(names)),
        "t_s": np.repeat(t_s, len(names)),
        "dose_dpa": np.repeat(dose, len(names)),
        "defect_class": np.tile(np.array(names, object), len(t_s)),
    }
    for name, value in values.items():
        value[lost] = math.nan
        columns[name] = value.reshape(-1)
    return columns
