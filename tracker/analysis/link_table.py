"""Detections made elsewhere become the tables of a run: the same linker, the same tables."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import Ints
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration, Frame
from insitrack.io.manifest import RunManifest, fingerprint
from insitrack.io.report.run_report import write_report
from insitrack.io.tables import columns as tables
from insitrack.io.tables.detection_table import DetectionTable
from insitrack.io.tables.run_folder import MANIFEST, Run
from insitrack.io.tables.sink import TableSink
from insitrack.tracker.existence.live import LiveExistence
from insitrack.tracker.hindsight.rewrite import refine_run, warn_of_loss, write_tables
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.measure.from_table import measured_frames
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.follow import PreparedFrame, follow_measured
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.series.calibration import resolve_calibration
from insitrack.tracker.series.meter import SeriesMeter

if TYPE_CHECKING:
    import pandas as pd


def link(
    table: DetectionTable,
    folder: Path,
    config: RunConfig,
    *,
    linker: str = "insitrack",
    given_ids: Ints | None = None,
    command: list[str] | None = None,
    name: str = "",
) -> Run:
    """Link a table of detections and write the tables of a run.

    Parameters
    ----------
    table : DetectionTable
        Detections.
    folder : Path
        Output folder; made if it is not there.
    config : RunConfig
        Settings; those of the source, the segmenter and the drift are not used.
    linker : {"insitrack", "trackpy", "given"}
        Who links.
    given_ids : ndarray of int64, shape (N,), optional
        Ids that the table has, for ``linker="given"``.
    command : list of str, optional
        Command line, for the manifest.
    name : str
        Where the detections come from, for the manifest.

    Raises
    ------
    SettingsError
        If ids are to be kept and the table has none, or a track has two rows in one frame.
    """
    if not len(table.times):
        raise SettingsError(f"{name}: no detections; expected at least one row")
    meter = _meter(table, config)
    manifest = _manifest(table, config, meter, linker, name, command)
    folder.mkdir(parents=True, exist_ok=True)
    if linker == "insitrack":
        facts = _by_insitrack(table, folder, config, meter)
        manifest.tables = "refined" if facts else "causal"
    else:
        ids = _by_trackpy(table, config) if linker == "trackpy" else _given(given_ids, table)
        facts = _by_ids(table, ids, folder, config, meter)
        manifest.tables = linker
    manifest.warnings = [*table.warnings, *meter.warnings, *warn_of_loss(facts)]
    counts = {
        "frames": len(table.times),
        "processed": len(table.times),
        "detections": len(table),
        "refined": facts,
    }
    manifest.results, manifest.status = counts, "done"
    manifest.write(folder / MANIFEST)
    write_report(folder, {}, manifest)
    return Run(folder)


def _manifest(
    table: DetectionTable,
    config: RunConfig,
    meter: SeriesMeter,
    linker: str,
    name: str,
    command: list[str] | None,
) -> RunManifest:
    """Where the detections come from, and everything that decides what becomes of them."""
    return RunManifest(
        command=command or ["insitrack.link"],
        source={
            "path": name,
            "kind": "detections",
            "frames_from": table.frames_from,
            **(fingerprint(Path(name)) if Path(name).is_file() else {}),
        },
        model={"name": f"detections made elsewhere, linked by {linker}"},
        calibration={
            name: getattr(meter.calibration, name)
            for name in ("nm_per_px", "nm_per_px_sd", "thickness_nm", "thickness_sd_nm", "origin")
        },
        settings=config.plain(),
        **describe_choices(config, meter, {"classes": table.class_names}),
    )


def _meter(table: DetectionTable, config: RunConfig) -> SeriesMeter:
    """Make the meter of a table."""
    calibration = resolve_calibration(
        Calibration(),
        nm_per_px=table.nm_per_px,
        nm_per_px_sd=config.source.nm_per_px_sd,
        thickness_nm=config.specimen.thickness_nm,
        thickness_sd_nm=config.specimen.thickness_sd_nm,
    )
    return meter_for(config, calibration, table.class_names)


def _by_insitrack(
    table: DetectionTable, folder: Path, config: RunConfig, meter: SeriesMeter
) -> dict[str, float]:
    """Link frame by frame as a movie is linked, then look back."""
    linker, nowhere, existence = Linker(config.link), (math.nan, math.nan), LiveExistence(None)
    blank = np.zeros(table.shape, np.uint8)
    with TableSink(folder, outlines=False) as sink:
        for found, measures in measured_frames(table):
            looked = PreparedFrame(Frame(found.frame_index, found.t_s, blank), None, nowhere)
            tracked = follow_measured(found, measures, looked, linker, meter, existence)
            sink.write(replace(tracked, nm_per_px=meter.calibration.nm_per_px or math.nan))
        sink.finish(linker.finish())
    return refine_run(folder, config.refine, meter) if config.refine.enabled else {}


def _by_trackpy(table: DetectionTable, config: RunConfig) -> Ints:
    """Link by trackpy within the same distance and for the same patience.

    The drift is not taken off, as its users would do it.
    """
    import pandas as pd
    import trackpy

    trackpy.quiet()
    reach = max(config.link.min_gate_px, config.link.max_distance_diameters * float(np.median(table.size_px)))
    looked = np.searchsorted(table.numbers, table.frame)  # its memory counts frames that were looked at
    points = pd.DataFrame({"frame": looked, "x": table.x_px, "y": table.y_px, "row": np.arange(len(table))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linked = trackpy.link(
            points, reach, memory=round(config.link.patience_frames), adaptive_stop=1.0, adaptive_step=0.9
        )
    answer = np.zeros(len(table), np.int64)
    answer[linked["row"].to_numpy()] = linked["particle"].to_numpy() + 1
    return answer


def _given(ids: Ints | None, table: DetectionTable) -> Ints:
    """Take the ids of the table; what belongs to no track becomes a track of its own."""
    if ids is None or not (ids >= 0).any():
        raise SettingsError(
            "--linker given: the table has no column track_id, TRACK_ID or particle; leave --linker out to"
            " link it"
        )
    alone = ids < 0
    ids = np.where(alone, ids.max() + np.cumsum(alone), ids)
    _, counts = np.unique(np.column_stack([table.frame, ids]), axis=0, return_counts=True)
    if counts.max() > 1:
        raise SettingsError(
            "--linker given: a track has several rows in one frame; leave --linker out to link it again"
        )
    return np.asarray(ids + (1 if ids.min() == 0 else 0))


def _by_ids(
    table: DetectionTable, ids: Ints, folder: Path, config: RunConfig, meter: SeriesMeter
) -> dict[str, float]:
    """Write the tables of tracks that are known already; nothing is judged, smoothed or filled."""
    frames = _frames(table)
    (folder / tables.FRAMES.file).write_text(
        tables.FRAMES.header()
        + tables.FRAMES.format({name: frames[name].to_numpy() for name in tables.FRAMES.names}),
        encoding="utf-8",
    )
    rows = _rows(table, ids)
    order = np.lexsort((rows["track_id"], rows["frame"]))
    write_tables(folder, rows.iloc[order].reset_index(drop=True), frames, meter)
    return {}


def _frames(table: DetectionTable) -> pd.DataFrame:
    import pandas as pd

    n_detections = [rows.stop - rows.start for rows in table.rows_by_frame()]
    return pd.DataFrame(
        {
            "frame": table.numbers,
            "t_s": table.times,
            "status": "processed",
            "shift_x_px": 0.0,
            "shift_y_px": 0.0,
            "n_detections": np.array(n_detections, np.float64),
            "drift_quality": math.nan,
            "field_px": float(np.prod(table.shape)),
            "width_px": float(table.shape[1]),
            "height_px": float(table.shape[0]),
            "view": 0.0,
            "nm_per_px": table.nm_per_px if table.nm_per_px else math.nan,
            "trust": math.nan,
            "distrust": "",
        }
    )


def _rows(table: DetectionTable, ids: Ints) -> pd.DataFrame:
    """Put detections with ids into the columns of ``tracks.csv``."""
    import pandas as pd

    measures = [one for _, one in measured_frames(table)]
    columns = {
        name: np.concatenate([getattr(one, name) for one in measures]) for name in measures[0].__slots__
    }
    names = np.array(table.class_names)[table.label - 1]
    return pd.DataFrame(
        {
            "frame": table.frame,
            "t_s": table.t_s,
            "track_id": ids,
            "defect_class": names,
            "seen_class": names,
            "score": table.score,
            **{name: table.boxes[:, k] for k, name in enumerate(("x1_px", "y1_px", "x2_px", "y2_px"))},
            **columns,
            **{name: columns[name].astype(np.int8) for name in ("on_edge", "on_exclusion_edge")},
            "observed": 1,
            "probability": math.nan,
            "causal_id": ids,
            "x_sd_px": math.nan,
            "y_sd_px": math.nan,
            "size_sd_nm": math.nan,
            "raw_x_px": table.x_px,
            "raw_y_px": table.y_px,
            "raw_size_nm": columns["size_nm"],
        }
    )
