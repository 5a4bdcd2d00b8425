"""Tables of a finished run, or a table of tracks alone, opened under the settings asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import TableError
from insitrack.io.frames import Calibration
from insitrack.io.results import NAN
from insitrack.io.tables import columns as tables
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.io.tables.looked_frames import check_clock
from insitrack.io.tables.stream import to_parquet
from insitrack.tracker.analysis.common_field import common_window, cut_frames
from insitrack.tracker.analysis.table_checks import PlaceCheck, check_class_names, check_times, cut_off
from insitrack.tracker.hindsight.refine import looked_at
from insitrack.tracker.run.config import RunConfig, changed
from insitrack.tracker.run.meters import config_of, meter_for, recorded_conditions
from insitrack.tracker.series.calibration import recorded_calibration, resolve_calibration
from insitrack.tracker.series.conditions import (
    DOSE_RATE,
    LOG,
    MATERIAL,
    THICKNESS,
    THICKNESS_SD,
    Conditions,
)
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.trust.reasons import not_trusted

CHANGEABLE = (
    "source.nm_per_px",
    "source.nm_per_px_sd",
    "source.view_nm_per_px",
    "specimen",
    "measure",
    "series",
)
"""Settings that tables can be recomputed under; all others took part in finding and following the defects."""


@dataclass
class TrackSpans:
    """Which frames a table of tracks has rows of, and the first and last row of every track."""

    frames: pd.DataFrame
    first: dict[int, tuple[int, str, bool]]
    last: dict[int, tuple[int, bool]]


@dataclass
class TableRun:
    """Tables of one run, opened.

    Parameters
    ----------
    label : str
        What it is called in comparisons.
    tracks : Path
        Its ``tracks.csv`` or ``tracks.parquet``.
    frames : DataFrame
        Rows of ``frames.csv`` that were not skipped.
    was, config : RunConfig
        Settings under which the tables were written, and those asked for.
    calibration : Calibration
        Scale and thickness asked for.
    scale : float
        New nm per px over old; NaN where the old scale is not known.
    class_names : tuple of str
        Classes.
    births, deaths : ndarray of int64, shape (F, K)
        Tracks that began and were given up.
    manifest : dict
        ``run.json``, empty where there is none.
    warnings : list of str
        What was assumed.
    spans : TrackSpans or None
        First and last row of every track, where no other table tells.
    scale_before : dict of int to float
        Scale of each view after the first under which the tables were written, nm; NaN where it was not known.
    window : tuple of float or None
        Left, top, right and lower side of the part that counts, specimen coordinates, px; None: every frame
        as it is.
    """

    label: str
    tracks: Path
    frames: pd.DataFrame
    was: RunConfig
    config: RunConfig
    calibration: Calibration
    scale: float
    class_names: tuple[str, ...]
    births: Ints
    deaths: Ints
    manifest: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    spans: TrackSpans | None = None
    window: tuple[float, float, float, float] | None = None
    conditions: Conditions | None = None
    """What held at which frame; None: what the settings say."""
    scale_before: dict[int, float] = field(default_factory=dict)

    def counting_frames(self) -> pd.DataFrame:
        """Frames with the area and the sides in which defects count."""
        return self.frames if self.window is None else cut_frames(self.window, self.frames)

    def rescaled(self, frames: pd.DataFrame) -> Floats:
        """Return new over old scale of some frames, NaN where the old one is not known."""
        views = view_numbers(frames)
        ratio = np.full(len(frames), self.scale)
        for view, old in self.scale_before.items():
            new = frame_scales(frames, NAN)[views == view]
            ratio[views == view] = new / old
        return ratio

    def trusted_frames(self) -> pd.DataFrame:
        """Those of them in which specimen was looked at, and which are trusted."""
        frames = looked_at(self.counting_frames())
        return frames[~not_trusted(frames, self.config.series.least_trust)]

    def meter(self) -> SeriesMeter:
        """Make a fresh meter."""
        meter = meter_for(self.config, self.calibration, self.class_names)
        if self.conditions is not None:
            meter.follow(self.conditions)
        return meter


def open_run(
    path: Path,
    label: str,
    *,
    assignments: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    size_px: tuple[int, int] | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    common_field: bool = False,
) -> TableRun:
    """Open the output folder of a run, or a table of tracks alone.

    Parameters
    ----------
    path : Path
        Folder, or CSV or Parquet file with the columns of ``tracks.csv``.
    label : str
        What to call it.
    assignments, options
        Settings to change, as in `insitrack.tracker.run.config.load_config`.
    size_px : tuple of int, optional
        Width and height of the frames, px, for a table alone.
    start_s, end_s : float, optional
        First and last time.
    common_field : bool
        Count only in the part of the specimen that every frame shows: what drifts in and out of view takes no
        part.

    Raises
    ------
    TableError
        If a table is missing or broken.
    SettingsError
        If a setting cannot be changed afterwards.
    """
    tables_of = _folder(path) if path.is_dir() else _table_alone(path, size_px)
    manifest, facts = tables_of.manifest, tables_of.manifest.get("calibration", {})
    was, old_nm = tables_of.was, facts.get("nm_per_px")
    config = changed(was, assignments, options, CHANGEABLE)
    new_nm = config.source.nm_per_px or old_nm
    run = TableRun(
        label=label,
        tracks=tables_of.tracks,
        frames=_between(tables_of.frames, start_s, end_s),
        was=was,
        config=config,
        calibration=resolve_calibration(
            recorded_calibration(facts),
            nm_per_px=config.source.nm_per_px,
            nm_per_px_sd=config.source.nm_per_px_sd,
            thickness_nm=config.specimen.thickness_nm,
            thickness_sd_nm=config.specimen.thickness_sd_nm,
        ),
        scale=new_nm / old_nm if new_nm and old_nm else 1.0 if not manifest else NAN,
        class_names=tables_of.class_names,
        births=np.zeros((0, 0), np.int64),
        deaths=np.zeros((0, 0), np.int64),
        manifest=manifest,
        warnings=list(tables_of.warnings),
    )
    if manifest and not old_nm and new_nm:
        run.warnings.append(f"{label}: the run did not know its scale; sizes follow from the outlines in px")
    if manifest:
        first, given = run.meter().conditions, _given(assignments, options)
        run.conditions = recorded_conditions(path, manifest, first).given(first, given)
    run = _with_view_scales(run)
    check_times(tables_of.tracks, run.frames)
    run = _with_changes(run, tables_of.spans)
    return replace(run, window=common_window(run.frames)) if common_field else run


def _given(assignments: Sequence[str], options: Mapping[str, Any] | None) -> set[str]:
    """Return the settings in time for which the user gives one value."""
    keys = [text.partition("=")[0].strip() for text in assignments]
    keys += [key for key, value in (options or {}).items() if value is not None]
    return {
        key.removeprefix("specimen.")
        for key in keys
        if key.removeprefix("specimen.") in (THICKNESS, THICKNESS_SD, DOSE_RATE, MATERIAL, LOG)
    }


def _with_view_scales(run: TableRun) -> TableRun:
    """Give the views after the first their scales: those asked for, else those of before, corrected alike."""
    views = view_numbers(run.frames)
    told, before = frame_scales(run.frames, NAN), {}
    scales = told.copy()
    for view in np.unique(views[views > 0]).tolist():
        mine = views == view
        before[view] = float(told[mine][0])
        given = run.config.source.view_nm_per_px
        if run.config.source.stills:
            scales[mine] = run.calibration.nm_per_px or NAN
        else:
            scales[mine] = given[view - 1] if len(given) >= view else before[view] * run.scale
    frames = run.frames.assign(nm_per_px=scales) if before else run.frames
    return replace(run, frames=frames, scale_before=before)


@dataclass(frozen=True, slots=True)
class _Tables:
    """What was found of a run."""

    tracks: Path
    frames: pd.DataFrame
    was: RunConfig
    class_names: tuple[str, ...] = ()
    manifest: dict[str, Any] = field(default_factory=dict)
    spans: TrackSpans | None = None
    warnings: list[str] = field(default_factory=list)


def _folder(path: Path) -> _Tables:
    """Open the output folder of a run."""
    tracks = next((path / name for name in ("tracks.csv", "tracks.parquet") if (path / name).is_file()), None)
    if tracks is None or not (path / "run.json").is_file():
        raise TableError(
            f"{path}: lacks {'tracks.csv' if tracks is None else 'run.json'}; expected the output folder"
            " of a run, or tracks.csv itself"
        )
    manifest = _manifest(path / "run.json")
    names = tuple(manifest["model"].get("classes") or DEFECT_CLASSES)
    frames = tables.FRAMES.read(path / tables.FRAMES.file)
    if (np.diff(frames["frame"]) <= 0).any():
        raise TableError(f"{path / tables.FRAMES.file}: column frame: numbers do not rise; restore the table")
    cut = cut_off(tracks, frames)
    warnings = []
    if cut.any():
        first = int(frames["frame"].to_numpy()[cut][0])
        frames.loc[cut, "status"] = "damaged"
        warnings.append(
            f"{tracks}: lacks rows of {np.count_nonzero(cut)} frames, the first {first}, in which the other"
            " tables of the run count defects: their numbers stay empty; was the table cut off?"
        )
    return _Tables(tracks, frames, config_of(manifest), names, manifest, warnings=warnings)


def _table_alone(path: Path, size_px: tuple[int, int] | None) -> _Tables:
    """Open a table of tracks without a run."""
    check = PlaceCheck(path, size_px)
    spans = track_spans(path, check)
    check.finish()
    check_class_names(path, dict.fromkeys(label for _, label, _ in spans.first.values()))
    check_clock(path, float(spans.frames["t_s"].iloc[0]))
    return _Tables(path, _frames_of(spans, size_px), RunConfig(), spans=spans)


def _between(frames: pd.DataFrame, start_s: float | None, end_s: float | None) -> pd.DataFrame:
    """Frames that were not skipped, of the times asked for; those without a time stay."""
    low, high = -math.inf if start_s is None else start_s, math.inf if end_s is None else end_s
    wanted = (frames["status"] != "skipped") & (frames["t_s"].between(low, high) | frames["t_s"].isna())
    return frames[wanted.to_numpy()].reset_index(drop=True)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config_of(manifest)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise TableError(
            f"{path}: not the manifest of a run ({error}); expected run.json as `track` writes it"
        ) from error
    return manifest


def track_spans(path: Path, check: PlaceCheck | None = None) -> TrackSpans:
    """Go through a table of tracks once; `check` sees its rows too."""
    parts: list[pd.DataFrame] = []
    first: dict[int, tuple[int, str, bool]] = {}
    last: dict[int, tuple[int, bool]] = {}
    for columns in to_parquet(path, None):
        frame, ids, names = columns["frame"], columns["track_id"], columns["class_names"]
        if check is not None:
            check.add(columns)
        starts = np.flatnonzero(np.diff(frame, prepend=-1))
        n = np.diff(np.append(starts, len(frame)))
        parts.append(
            pd.DataFrame(
                {"frame": frame[starts], "t_s": columns["t_s"][starts], "n_detections": n.astype(float)}
            )
        )
        found, index = np.unique(ids, return_index=True)
        labels = names[columns["defect_class"][index]]
        on_edge = columns["on_edge"] == 1
        for name, begun, label, edge in zip(
            found.tolist(), frame[index].tolist(), labels.tolist(), on_edge[index].tolist(), strict=True
        ):
            first.setdefault(name, (begun, str(label), edge))
        found, index = np.unique(ids[::-1], return_index=True)
        last.update(
            zip(
                found.tolist(),
                zip(frame[::-1][index].tolist(), on_edge[::-1][index].tolist(), strict=True),
                strict=True,
            )
        )
    if not parts:
        raise TableError(f"{path}: line 2: no rows; expected at least one defect")
    return TrackSpans(pd.concat(parts, ignore_index=True), first, last)


def _frames_of(spans: TrackSpans, size_px: tuple[int, int] | None) -> pd.DataFrame:
    """Rows of ``frames.csv`` for a table of tracks alone: only the frames that it has rows of are known."""
    width, height = size_px if size_px is not None else (NAN, NAN)
    zero = {"shift_x_px": 0.0, "shift_y_px": 0.0, "drift_quality": NAN}
    return spans.frames.assign(
        status="processed",
        field_px=float(width * height),
        width_px=float(width),
        height_px=float(height),
        **zero,
    )


def _with_changes(run: TableRun, spans: TrackSpans | None) -> TableRun:
    """Fill in classes, births and deaths.

    From ``series.csv`` beside the tracks, else from the tracks themselves.
    """
    series = run.tracks.parent / tables.SERIES.file
    frames = run.frames["frame"].to_numpy(np.int64)
    if spans is None and series.is_file():
        counts = [np.zeros((len(frames), len(run.class_names)), np.int64) for _ in range(2)]
        for piece in tables.SERIES.chunks(series, ["frame", "defect_class", "births", "deaths"]):
            known = piece["defect_class"].isin(run.class_names).to_numpy() & np.isin(
                piece["frame"].to_numpy(), frames
            )
            piece = piece[known]
            at = (
                np.searchsorted(frames, piece["frame"].to_numpy()),
                piece["defect_class"].map(run.class_names.index).to_numpy(np.int64),
            )
            for count, name in zip(counts, ("births", "deaths"), strict=True):
                count[at] = piece[name].fillna(0).to_numpy(np.int64)
        return replace(run, births=counts[0], deaths=counts[1])
    spans = spans or track_spans(run.tracks)
    found = {label for _, label, _ in spans.first.values()}
    class_names = run.class_names or tuple(
        [name for name in DEFECT_CLASSES if name in found] + sorted(found - set(DEFECT_CLASSES))
    )
    births, deaths = (np.zeros((len(frames), len(class_names)), np.int64) for _ in range(2))
    for track, (begun, label, _) in spans.first.items():
        k = class_names.index(label)
        start, end = np.searchsorted(frames, [begun, spans.last[track][0] + 1]).tolist()
        if start < len(frames) and frames[start] == begun:
            births[start, k] += 1
        if end < len(frames):
            deaths[end, k] += 1
    return replace(run, births=births, deaths=deaths, class_names=class_names, spans=spans)
