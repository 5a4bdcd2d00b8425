"""What a run needs before its first frame, found before anything is written; then the output folder."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from pathlib import Path
from typing import Any

from insitrack.io.draw.movie_writer import join_movies
from insitrack.io.errors import OutputError, SettingsError
from insitrack.io.frames import Calibration, Source
from insitrack.io.live.camera import LiveSource
from insitrack.io.tables.run_folder import CAUSAL, MOVIE, MOVIE_BEFORE, OUTPUTS, RAW, STATE
from insitrack.io.timeline import SelectedSource
from insitrack.io.write import part_of
from insitrack.segment.base import SegmentConfig
from insitrack.segment.prepare.field import FieldFinder
from insitrack.segment.prepare.find_view import LOOK_FRAMES
from insitrack.segment.prepare.grey import grey_range
from insitrack.tracker.existence.live import LiveExistence
from insitrack.tracker.link.drift import DriftEstimator
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.view_scale import ViewScale
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.snapshot import restore_meter
from insitrack.tracker.run.loop import ResumePoint
from insitrack.tracker.run.state import State, check_tables, truncate_tables
from insitrack.tracker.series.calibration import resolve_calibration
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.trust.live import LiveTrust


def camera_of(source: Source) -> LiveSource | None:
    """Return the camera of a live source, None of any other."""
    inner = source.source if isinstance(source, SelectedSource) else source
    return inner if isinstance(inner, LiveSource) else None


def check_start(source: Source, start_s: float | None, stop: threading.Event | None = None) -> None:
    """Refuse a first time after the end of the source, as long as nothing of an earlier run is touched.

    Frames before that time are passed over without being decoded wherever the file has times. A camera, which
    cannot be read twice, is not asked.

    Raises
    ------
    SettingsError
        If no frame is as late as that.
    """
    if start_s is None or camera_of(source) is not None:
        return
    last_s = 0.0
    for item in source:
        if item.t_s >= start_s or (stop is not None and stop.is_set()):
            return
        last_s = item.t_s
    raise start_beyond_end(source, start_s, last_s)


def check_spread(source: Source, config: RunConfig, spread: object) -> None:
    """Refuse what cannot be spread over workers.

    Raises
    ------
    SettingsError
        For a live source, whose frames may not wait, and for separate micrographs.
    """
    if spread is None:
        return
    if camera_of(source) is not None:
        raise SettingsError(
            f"{source.name}: a live source stays on one machine; leave out --cluster and --workers"
        )
    if config.source.stills:
        raise SettingsError(
            "--stills: separate micrographs are not spread; leave out --cluster and --workers"
        )


def start_beyond_end(source: Source, start_s: float, last_s: float) -> SettingsError:
    """Say that a source ends before the first time that was asked for."""
    return SettingsError(
        f"--start {start_s:g}: {source.name} ends at {last_s:.4g} s; expected a time before that"
    )


def segment_settings(source: Source, config: RunConfig) -> SegmentConfig:
    """Return what the segmenter is to find: candidates, where they are judged later.

    Micrographs are shown to the network in three scales, separate ones each in its own way. Grey levels are fixed on frames spread
    over the run, for more than 8 bits and where it is read twice.
    """
    settings, asked = config.segment, config.segment.levels
    if config.judged is not None:
        settings = dataclasses.replace(settings, confidence=config.judged.candidate_score)
    # decided here, not by the segmenter: when a run is taken up again only a frame or two may be left of a movie
    few = source.n_frames is not None and -(-source.n_frames // config.source.every) < LOOK_FRAMES
    if settings.looks == "auto":
        settings = dataclasses.replace(settings, looks=3 if few or config.source.stills else 1)
    if config.source.stills and settings.scale == "auto":  # they have nothing to do with each other
        settings = dataclasses.replace(settings, scale="each")
    if asked not in ("auto", "run"):
        return settings
    frames = source.samples()
    first = next(frames, None)
    if first is None or (asked == "auto" and first.image.dtype == "uint8"):
        return settings
    levels = grey_range(itertools.chain([first], frames), config.field)
    return settings if levels is None else dataclasses.replace(settings, levels=levels)


def find_calibration(source: Source, config: RunConfig) -> Calibration:
    """Resolve scale and thickness; the field is found in every frame, for every kind of source alike."""
    return resolve_calibration(
        source.calibration.with_(field=None),
        nm_per_px_sd=config.source.nm_per_px_sd,
        thickness_nm=config.specimen.thickness_nm,
        thickness_sd_nm=config.specimen.thickness_sd_nm,
    )


def calibration_facts(calibration: Calibration, config: RunConfig) -> dict[str, Any]:
    """Scale and thickness with where each comes from, for the manifest."""
    facts = {
        f.name: getattr(calibration, f.name) for f in dataclasses.fields(Calibration) if f.name != "field"
    }
    given = "settings" if config.specimen.thickness_nm is not None else calibration.origin
    return {**facts, "thickness_origin": "unknown" if calibration.thickness_nm is None else given}


def restore(
    state: State,
    folder: Path,
    config: RunConfig,
    linker: Linker,
    meter: SeriesMeter,
    judges: tuple[LiveExistence, LiveTrust],
    drift: DriftEstimator,
    scale: ViewScale,
) -> ResumePoint:
    """Bring linker, meter, what judges, field, drift and scale to where they were.

    Raises
    ------
    OutputError
        If the state is not of a run with these settings.
    """
    fields = FieldFinder(config.field)
    try:
        linker.restore(state.linker)
        restore_meter(meter, state.meter)
        judges[0].restore(state.existence)
        judges[1].restore(state.trust)
        drift.restore(state.drift)
        scale.restore(state.scale)
        fields.restore(state.fields)
    except (ValueError, SettingsError) as error:
        raise OutputError(
            f"{folder / STATE}: is not of a run with these settings ({error}); start a new run"
        ) from error
    return ResumePoint(state.facts.next_index, fields, state.tally)


def prepare_folder(folder: Path, state: State | None) -> None:
    """Clear what an earlier run left, or cut tables and movie to where this one was cut off.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    if state is None:
        _make_folder(folder)
        return
    check_tables(folder, state.facts.offsets)
    part = folder / f"{MOVIE}.part"
    later = part if part.exists() else folder / MOVIE
    join_movies(folder / MOVIE_BEFORE, later, most=state.facts.pictures)
    truncate_tables(folder, state.facts.offsets)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear_outputs(folder)
    except OSError as error:
        raise OutputError(
            f"--out {folder}: cannot be written ({error.strerror}); choose another folder"
        ) from error


def _clear_outputs(folder: Path) -> None:
    """Remove what a run writes, also one that died; anything else in the folder is the user's."""
    for name in OUTPUTS:
        for path in (folder / name, part_of(folder / name), folder / CAUSAL / name):
            path.unlink(missing_ok=True)
    for path in (folder / RAW).glob("*.mkv*"):
        path.unlink()
    for inner in (CAUSAL, RAW):
        with contextlib.suppress(OSError):  # it holds something of the user's, or is not there
            (folder / inner).rmdir()
