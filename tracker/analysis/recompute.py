"""A run recomputed from its tables alone, under other settings: no movie, no model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import SettingsError, TableError
from insitrack.io.frames import Calibration
from insitrack.io.results import NAN
from insitrack.io.tables import columns as tables
from insitrack.io.tables.stream import Columns, to_parquet
from insitrack.tracker.analysis.common_field import common_window, cut_to
from insitrack.tracker.analysis.time_bins import Pool, TimeBins
from insitrack.tracker.hindsight.rewrite import series_columns
from insitrack.tracker.measure.measure import sizes_px
from insitrack.tracker.run.config import RunConfig, changed
from insitrack.tracker.run.meters import config_of, meter_for
from insitrack.tracker.series.meter import SeriesMeter

CHANGEABLE = ("source.nm_per_px", "source.nm_per_px_sd", "specimen", "measure", "series")
"""Settings that tables can be recomputed under; all others took part in finding and following the defects."""

_SHAPES = ("area_px", "major_px", "minor_px", "feret_px", "r_min_px", "r_max_px")


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
    lives : TrackSpans or None
        First and last row of every track, where no other table tells.
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
    lives: TrackSpans | None = None
    window: tuple[float, float, float, float] | None = None

    def counting_frames(self) -> pd.DataFrame:
        """Frames with the area and the sides in which defects count."""
        return self.frames if self.window is None else cut_to(self.window, _NO_ROWS, self.frames)[1]

    def meter(self) -> SeriesMeter:
        """Make a fresh meter."""
        return meter_for(self.config, self.calibration, self.class_names)


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
    lives = None
    if path.is_dir():
        tracks = next(
            (path / name for name in ("tracks.csv", "tracks.parquet") if (path / name).is_file()), None
        )
        if tracks is None or not (path / "run.json").is_file():
            raise TableError(
                f"{path}: lacks {'tracks.csv' if tracks is None else 'run.json'}; expected the output folder"
                " of a run, or tracks.csv itself"
            )
        manifest = _manifest(path / "run.json")
        was, facts = config_of(manifest), manifest["calibration"]
        frames = tables.FRAMES.read(path / tables.FRAMES.file)
        names = tuple(manifest["model"].get("classes") or DEFECT_CLASSES)
        old_nm = facts.get("nm_per_px")
    else:
        tracks, manifest, was, old_nm = path, {}, RunConfig(), None
        lives = _lives(path)
        frames, names, facts = _frames_of(lives, size_px), (), {}
    config = changed(was, assignments, options, CHANGEABLE)
    new_nm = config.source.nm_per_px or old_nm
    frames = _between(frames, start_s, end_s)
    run = TableRun(
        label=label,
        tracks=tracks,
        frames=frames,
        was=was,
        config=config,
        calibration=_calibration(config, facts, new_nm),
        scale=new_nm / old_nm if new_nm and old_nm else 1.0 if not manifest else NAN,
        class_names=names,
        births=np.zeros((0, 0), np.int64),
        deaths=np.zeros((0, 0), np.int64),
        manifest=manifest,
    )
    if manifest and not old_nm and new_nm:
        run.warnings.append(
            f"{label}: the run did not know its scale; sizes are worked out from the outlines in px"
        )
    run = _with_changes(run, lives)
    return replace(run, window=common_window(run.frames)) if common_field else run


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


def _calibration(config: RunConfig, facts: Mapping[str, Any], nm_per_px: float | None) -> Calibration:
    specimen = config.specimen
    given = specimen.thickness_nm is not None
    return Calibration(
        nm_per_px=nm_per_px,
        nm_per_px_sd=config.source.nm_per_px_sd or facts.get("nm_per_px_sd") or 0.0,
        thickness_nm=specimen.thickness_nm if given else facts.get("thickness_nm"),
        thickness_sd_nm=(specimen.thickness_sd_nm or 0.0) if given else facts.get("thickness_sd_nm") or 0.0,
        origin="settings" if config.source.nm_per_px else str(facts.get("origin", "unknown")),
    )


def _lives(path: Path) -> TrackSpans:
    """Go through a table of tracks once."""
    parts: list[pd.DataFrame] = []
    first: dict[int, tuple[int, str, bool]] = {}
    last: dict[int, tuple[int, bool]] = {}
    for columns in to_parquet(path, None):
        frame, ids, names = columns["frame"], columns["track_id"], columns["class_names"]
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


def _frames_of(lives: TrackSpans, size_px: tuple[int, int] | None) -> pd.DataFrame:
    """Rows of ``frames.csv`` for a table of tracks alone: only the frames that it has rows of are known."""
    width, height = size_px if size_px is not None else (NAN, NAN)
    zero = {"shift_x_px": 0.0, "shift_y_px": 0.0, "drift_quality": NAN}
    return lives.frames.assign(
        status="processed",
        field_px=float(width * height),
        width_px=float(width),
        height_px=float(height),
        **zero,
    )


def _with_changes(run: TableRun, lives: TrackSpans | None) -> TableRun:
    """Fill in classes, births and deaths.

    From ``series.csv`` beside the tracks, else from the tracks themselves.
    """
    series = run.tracks.parent / tables.SERIES.file
    frames = run.frames["frame"].to_numpy(np.int64)
    if lives is None and series.is_file():
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
    lives = lives or _lives(run.tracks)
    found = {label for _, label, _ in lives.first.values()}
    class_names = run.class_names or tuple(
        [name for name in DEFECT_CLASSES if name in found] + sorted(found - set(DEFECT_CLASSES))
    )
    births, deaths = (np.zeros((len(frames), len(class_names)), np.int64) for _ in range(2))
    for track, (begun, label, _) in lives.first.items():
        k = class_names.index(label)
        start, end = np.searchsorted(frames, [begun, lives.last[track][0] + 1]).tolist()
        if start < len(frames) and frames[start] == begun:
            births[start, k] += 1
        if end < len(frames):
            deaths[end, k] += 1
    return replace(run, births=births, deaths=deaths, class_names=class_names, lives=lives)


@dataclass
class Recomputed:
    """What came out of one run.

    Parameters
    ----------
    time_bins : DataFrame
        Series of the time bins: `defect_class`, `t_s`, `dose_dpa`, `n_frames` and the columns of
        ``series.csv``.
    pool : DataFrame
        What every track did in every time bin, see `insitrack.tracker.analysis.time_bins.Pool.rows`.
    t_s : ndarray of float64
        Middle of each time bin, s.
    warnings : list of str
        What is unknown or biased.
    n_rows, n_frames : int
        Rows of tracks, frames looked at.
    area_nm2, duration_s : float
        Mean specimen in view, and how long it was watched.
    """

    time_bins: pd.DataFrame
    pool: pd.DataFrame
    t_s: Floats
    warnings: list[str]
    n_rows: int
    n_frames: int
    area_nm2: float
    duration_s: float


class Recompute:
    """ResumePoint through the tracks of a run once.

    The series of every frame comes piece by piece, that of the time bins at the end.
    """

    def __init__(
        self,
        run: TableRun,
        *,
        every_s: float | None = None,
        window_s: float | None = None,
        parquet: Path | None = None,
    ) -> None:
        self.run, self.parquet = run, parquet
        self.meter = run.meter()
        frames = self.frames = run.counting_frames()
        self._looked = ((frames["status"] == "processed") & ~(frames["field_px"] == 0)).to_numpy()
        self._t_s = frames["t_s"].to_numpy(np.float64)
        if not np.isfinite(self._t_s[self._looked]).all() or (np.diff(self._t_s[self._looked]) < 0).any():
            bad = int(np.flatnonzero(np.diff(self._t_s[self._looked], prepend=-math.inf) < 0)[:1].sum())
            raise TableError(
                f"{run.tracks.parent}: times of the frames do not rise at frame {frames['frame'].iloc[bad]};"
                " expected t_s in order"
            )
        self._time_bins = TimeBins.of_times(self._t_s[self._looked], every_s=every_s, window_s=window_s)
        self.pool = Pool(run.meter(), self._time_bins)
        self._same_sizes = run.config.measure == run.was.measure
        self.n_rows = 0
        if run.config.measure.line_length != run.was.measure.line_length:
            raise SettingsError(
                "measure.line_length: lengths of lines need the outlines, which tables do not hold; run track"
                " anew with it"
            )

    def series(self) -> Iterator[Columns]:
        """Yield columns of ``series.csv``, frame by frame, some frames at a time."""
        numbers = self.run.frames["frame"].to_numpy(np.int64)
        done = 0
        for columns in to_parquet(self.run.tracks, self.parquet):
            kept = np.isin(columns["frame"], numbers)
            columns = {
                name: values if name == "class_names" else values[kept] for name, values in columns.items()
            }
            if not len(columns["frame"]):
                continue
            end = int(np.searchsorted(numbers, columns["frame"][-1], side="right"))
            yield self._piece(columns, slice(done, end))
            done = end
        if done < len(numbers):
            yield self._piece(None, slice(done, len(numbers)))

    def _piece(self, columns: Columns | None, part: slice) -> Columns:
        run, frames = self.run, self.frames.iloc[part]
        changes = (run.births[part], run.deaths[part])
        if columns is None:
            nothing = pd.DataFrame(
                {name: np.zeros(0) for name in _ROWS} | {"defect_class": np.zeros(0, object)}
            )
            return series_columns(nothing, frames, self.meter, *changes)
        self.n_rows += len(columns["frame"])
        if run.window is not None:
            columns, _ = cut_to(run.window, columns, run.frames.iloc[part])
        labels = self._labels(columns)
        size_nm, line_nm = self._sizes(columns, labels), columns["line_length_nm"] * run.scale
        rows = pd.DataFrame({name: columns[name] for name in _ROWS if name != "defect_class"})
        rows["defect_class"] = pd.Categorical.from_codes(labels - 1, categories=list(run.class_names))
        rows["size_nm"], rows["line_length_nm"] = size_nm, line_nm
        frame_px = frames[["width_px", "height_px"]].to_numpy(np.float64)
        place = np.searchsorted(frames["frame"].to_numpy(), columns["frame"])
        looked = self._looked[part][place]
        before = int(np.count_nonzero(self._looked[: part.start]))
        among = before + np.cumsum(self._looked[part])[place] - 1
        chosen = {name: columns[name][looked] for name in _ROWS if name != "defect_class"}
        self.pool.add(
            among[looked], chosen, labels[looked], size_nm[looked], line_nm[looked], frame_px[place][looked]
        )
        return series_columns(rows, frames, self.meter, *changes)

    def _labels(self, columns: Columns) -> Ints:
        names = [str(name) for name in columns["class_names"]]
        unknown = [
            name
            for code, name in enumerate(names)
            if name not in self.run.class_names and (columns["defect_class"] == code).any()
        ]
        if unknown:
            raise TableError(
                f"{self.run.tracks}: column defect_class: {unknown[0]!r} is unknown; the run knows"
                f" {', '.join(self.run.class_names)}"
            )
        codes = np.array(
            [self.run.class_names.index(name) + 1 if name in self.run.class_names else 0 for name in names],
            np.int64,
        )
        return np.asarray(codes[columns["defect_class"]])

    def _sizes(self, columns: Columns, labels: Ints) -> Floats:
        """Sizes under the new definitions.

        As they were measured, or from the outlines' figures where the definition is another.
        """
        run = self.run
        if self._same_sizes and not math.isnan(run.scale):
            return np.asarray(columns["size_nm"] * run.scale, np.float64)
        nm = run.calibration.nm_per_px
        if nm is None:
            raise SettingsError(f"{run.label}: sizes by another definition need the scale; give --nm-per-px")
        names = np.array(run.class_names)[labels - 1]
        size = sizes_px(names, run.config.measure, *(columns[name] for name in _SHAPES)) * nm
        edge = np.array([run.config.measure.edge_nm(name) for name in run.class_names])[labels - 1]
        if not np.isfinite(size).any():
            wanted = ", ".join(
                sorted({run.config.measure.size_definition.get(name, "ecd") for name in run.class_names})
            )
            raise TableError(
                f"{run.tracks}: holds no outlines' figures ({', '.join(_SHAPES)}) for the definitions"
                f" {wanted}; leave the definitions as they were"
            )
        return np.asarray(np.maximum(size - edge, 0.0), np.float64)

    def finish(self) -> Recomputed:
        """Series of the time bins, after `series` has come to its end."""
        run, looked = self.run, self._looked
        t_s = self._t_s[looked]
        frames = run.counting_frames()
        frame_px = frames[["width_px", "height_px"]].to_numpy(np.float64)[looked]
        area = frames["field_px"].to_numpy(np.float64)[looked] * (run.calibration.nm_per_px or NAN) ** 2
        values = self.pool.series(t_s, area, frame_px, run.births[looked], run.deaths[looked])
        middle = values["t_s"][:, 0]
        names = (*run.class_names, "all")
        table = pd.DataFrame(
            {
                "defect_class": np.tile(np.array(names, object), len(middle)),
                "t_s": np.repeat(middle, len(names)),
                "dose_dpa": np.repeat(self.meter.exposure.dose_dpa(middle), len(names)),
                **{name: column.reshape(-1) for name, column in values.items() if name != "t_s"},
            }
        )
        duration = float(t_s[-1] - t_s[0]) if len(t_s) > 1 else NAN
        warnings = [*run.warnings, *self.meter.warnings]
        return Recomputed(
            table,
            self.pool.rows(),
            middle,
            warnings,
            self.n_rows,
            int(looked.sum()),
            float(area.mean()) if len(area) else NAN,
            duration,
        )


_ROWS = (
    *(
        "frame",
        "t_s",
        "track_id",
        "defect_class",
        "x_px",
        "y_px",
        "x1_px",
        "y1_px",
        "x2_px",
        "y2_px",
        "on_edge",
        "on_exclusion_edge",
        "observed",
    ),
    *("size_nm", "line_length_nm"),
)
_NO_ROWS: Columns = {name: np.zeros(0) for name in _ROWS}
