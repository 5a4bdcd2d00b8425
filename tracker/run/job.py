"""The parts of one run, put together: settings and a source in, an output folder out."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from insitrack.io.draw.movie_writer import count_pictures, join_movies
from insitrack.io.draw.registered import RegisteredMovieSink
from insitrack.io.draw.sinks import AnnotatedMovieSink, PictureSink
from insitrack.io.errors import InsitrackError, OutputError, SettingsError
from insitrack.io.frames import Calibration, Source
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.status import LiveStatus
from insitrack.io.live.view import LiveView
from insitrack.io.manifest import RunManifest
from insitrack.io.report.run_report import write_report
from insitrack.io.tables.run_folder import (
    CAUSAL,
    MANIFEST,
    MOVIE,
    MOVIE_BEFORE,
    OUTPUTS,
    REGISTERED,
    STATE,
    Run,
)
from insitrack.io.tables.sink import Sink, TableSink
from insitrack.io.timeline import SelectedSource
from insitrack.io.write import part_of
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.field import FieldFinder
from insitrack.segment.prepare.grey import grey_range
from insitrack.tracker.existence.live import LiveExistence
from insitrack.tracker.hindsight.rewrite import refine_run, warn_of_loss
from insitrack.tracker.link.drift import DriftEstimator
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.run import loop
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.controls import LiveControls
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.run.state import State, StateWriter, check_tables, truncate_tables
from insitrack.tracker.run.warnings import run_warnings
from insitrack.tracker.series.calibration import resolve_calibration
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.snapshot import restore_meter

_STOPPED = "stopped before the source had ended, as was asked for"


class StartBeyondEndError(SettingsError):
    """The source ended before the first time that was asked for."""


class Job:
    """The parts of one run, put together; nothing is written before all of them are known to work."""

    def __init__(
        self,
        uri: str,
        source: Source,
        config: RunConfig,
        folder: Path,
        command: list[str],
        alarm: Callable[[str], None] | None = None,
    ) -> None:
        self.uri, self.source, self.config, self.folder, self.alarm = uri, source, config, folder, alarm
        self.segmenter: Segmenter = load_segmenter(config.model, _segment_settings(source, config))
        self.calibration = _calibration(source, config)
        self.notes: list[str] = []
        self.meter = self._make_meter()
        material = self.meter.material
        self.manifest = RunManifest(
            command=command,
            source=source.describe(),
            model=self.segmenter.describe(),
            calibration=_origins(self.calibration, config),
            settings=config.plain(),
            material={} if material is None else material.provenance(),
            started=_now(),
            **describe_choices(config, material, self.calibration, self.segmenter.describe()),
        )

    def execute(
        self,
        progress: Callable[[loop.Tally, int | None], None] | None,
        stop: threading.Event | None,
        state: State | None = None,
    ) -> Run:
        """Run the loop, from the beginning or from a state, and write everything; the folder is locked.

        However it ends, `run.json` says how: done, stopped or failed, and why. What was done stays readable.

        Raises
        ------
        OutputError
            If the state is not one of this run; nothing is changed then.
        """
        stop = stop or threading.Event()
        linker, drift, goes_on = Linker(self.config.link), DriftEstimator(self.config.drift), None
        existence = LiveExistence(self.config.judged)
        if state is not None:
            goes_on = self._restore(state, linker, drift, existence)
        self._prepare_folder(state)
        pictures = PictureSink(
            nm_per_px=self.calibration.nm_per_px, first=None if state is None else state.first.tracked
        )
        sinks: list[Sink] = [TableSink(self.folder, append=state is not None), pictures]
        if self.config.output.registered:
            sinks.append(RegisteredMovieSink(self.folder / REGISTERED))
        status, controls = self._live(sinks, stop)
        movie = self._movie(live=status is not None)
        if self.config.output.video:
            sinks.append(movie)
        keeper = self._keeper(pictures, movie)
        self.manifest.write(self.folder / MANIFEST)
        try:
            tally = loop.run(
                self.source,
                self.segmenter,
                linker,
                self.meter,
                sinks,
                existence=existence,
                calibration=self.calibration,
                fields=self.config.field,
                drift=drift,
                sizes=self.config.measure,
                progress=None if progress is None else (lambda tally: progress(tally, self.source.n_frames)),
                stop=stop,
                live=status is not None,
                keep_state=keeper.write,
                goes_on=goes_on,
            )
            self._finish(tally, pictures, stopped=status is None and stop.is_set(), live=(status, controls))
        except BaseException as error:
            with contextlib.suppress(Exception):  # the first error tells more
                self._close(*_ended_by(error), {})
            raise
        keeper.remove()
        return Run(self.folder)

    def _finish(
        self,
        tally: loop.Tally,
        pictures: PictureSink,
        *,
        stopped: bool,
        live: tuple[LiveStatus | None, LiveControls | None],
    ) -> None:
        """Do everything that comes after the last frame."""
        start_s = self.config.source.start_s
        if start_s is not None and tally.last_s < start_s and tally.skipped == tally.frames and not stopped:
            raise StartBeyondEndError(
                f"--start {start_s:g}: {self.source.name} ends at {tally.last_s:.4g} s; expected a time before"
                " that"
            )
        self._join_movie()
        refined = self._look_back()
        self.manifest.warnings = run_warnings(
            self.source, self.segmenter, self.config, tally, [*self.meter.warnings, *self.notes]
        )
        results = {**_results(tally), "refined": refined}
        status, controls = live
        if status is not None and controls is not None:
            results["live"] = {**status.results(), "changes": controls.changes}
        self._settle("stopped" if stopped else "done", _STOPPED if stopped else "", results)
        write_report(self.folder, pictures.pictures(), self.manifest)
        self.manifest.write(self.folder / MANIFEST)

    def _restore(
        self, state: State, linker: Linker, drift: DriftEstimator, existence: LiveExistence
    ) -> loop.ResumePoint:
        """Bring linker, meter, existence, field and drift to where they were."""
        fields = FieldFinder(self.config.field)
        try:
            linker.restore(state.linker)
            restore_meter(self.meter, state.meter)
            existence.restore(state.existence)
            drift.restore(state.drift)
            fields.restore(state.fields)
        except (ValueError, SettingsError) as error:
            raise OutputError(
                f"{self.folder / STATE}: is not of a run with these settings ({error}); begin the run anew"
            ) from error
        at = state.facts.next_index
        if self.config.output.registered and at:
            self.notes.append(
                f"{REGISTERED} begins at frame {at}, where the run went on after it was cut off"
            )
        return loop.ResumePoint(at, fields, state.tally)

    def _prepare_folder(self, state: State | None) -> None:
        """Clear what an earlier run left, or cut tables and movie to where this one was cut off."""
        if state is None:
            self._make_folder()
            return
        check_tables(self.folder, state.facts.offsets)
        part = self.folder / f"{MOVIE}.part"
        later = part if part.exists() else self.folder / MOVIE
        join_movies(self.folder / MOVIE_BEFORE, later, most=state.facts.pictures)
        truncate_tables(self.folder, state.facts.offsets)

    def _keeper(self, pictures: PictureSink, movie: AnnotatedMovieSink) -> StateWriter:
        """Make what keeps the state on disk."""
        lasting = str(Path(self.uri).resolve()) if Path(self.uri).exists() else self.uri
        return StateWriter(
            self.folder,
            lasting,
            self.identity,
            lambda: dict(self.segmenter.describe().get("view", {})),
            lambda: pictures.first,
            lambda: movie.n_pictures,
            lambda: self.source.levels,
        )

    @property
    def identity(self) -> dict[str, str]:
        """Hashes of what a run that goes on must find as it was."""
        material = json.dumps(self.manifest.material, sort_keys=True, default=str)
        return {
            "source": str(self.manifest.source.get("sha256") or ""),
            "model": str(self.manifest.model.get("sha256") or ""),
            "material": hashlib.sha256(material.encode("utf-8")).hexdigest(),
        }

    def _live(
        self, sinks: list[Sink], stop: threading.Event
    ) -> tuple[LiveStatus | None, LiveControls | None]:
        """Put what a live run has more than a file behind the tables: what it sees is on disk."""
        camera = self.source.source if isinstance(self.source, SelectedSource) else self.source
        if not isinstance(camera, LiveSource):
            return None, None
        self.segmenter.for_live()
        status, controls = (
            LiveStatus(camera, self.folder),
            LiveControls(camera, self.meter, self.folder, stop),
        )
        sinks.insert(1, status)
        host, _, port = self.config.output.view.rpartition(":")
        if host:
            view = LiveView(
                status,
                camera.name,
                controls,
                nm_per_px=self.calibration.nm_per_px,
                host=host.strip("[]"),
                port=int(port),
                warn=camera.tell,
            )
            sinks.insert(2, view)
            if self.alarm is not None:
                self.alarm(f"watch it at {view.address}")
        sinks.insert(2, controls)
        return status, controls

    def _movie(self, *, live: bool) -> AnnotatedMovieSink:
        """Annotated movie, behind what was there before the run was cut off; a camera does not wait for it."""
        behind: Literal["wait", "drop"] = "drop" if live else "wait"
        n_before = count_pictures(self.folder / MOVIE_BEFORE)
        return AnnotatedMovieSink(
            self.folder / MOVIE, nm_per_px=self.calibration.nm_per_px, when_behind=behind, n_before=n_before
        )

    def _join_movie(self) -> None:
        """Put the movie behind what was there before the run was cut off."""
        before = self.folder / MOVIE_BEFORE
        if not before.exists():
            return
        try:
            join_movies(before, self.folder / MOVIE)
            before.replace(self.folder / MOVIE)
        except OutputError as error:
            self.notes.append(str(error))

    def _make_meter(self) -> SeriesMeter:
        return meter_for(self.config, self.calibration, self.segmenter.class_names)

    def _look_back(self) -> dict[str, float]:
        """Refine the tables if that is wanted; `run.json` says which kind they are."""
        if not self.config.refine.enabled:
            return {}
        meter = self._make_meter()
        meter.exposure = self.meter.exposure  # as they were set while it ran
        meter.set_thickness(self.meter.calibration.thickness_nm, self.meter.calibration.thickness_sd_nm)
        facts = refine_run(self.folder, self.config.refine, meter, self.config.judged)
        self.notes += warn_of_loss(facts)
        if facts:
            self.manifest.tables, self.meter = "refined", meter
        else:
            self.meter.diagnostics.notes.append(
                f"more than refine.max_rows = {self.config.refine.max_rows} rows: the tables are causal, not"
                " refined; raise it"
            )
        return facts

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            clear_outputs(self.folder)
        except OSError as error:
            raise OutputError(
                f"--out {self.folder}: cannot be written ({error.strerror}); choose another folder"
            ) from error

    def _settle(self, status: str, reason: str, results: dict[str, Any]) -> None:
        """Enter in the manifest how the run ended."""
        self.manifest.status, self.manifest.reason = status, reason
        self.manifest.finished, self.manifest.results = _now(), results
        self.manifest.model = self.segmenter.describe()
        self.manifest.source = self.source.describe()

    def _close(self, status: str, reason: str, results: dict[str, Any]) -> None:
        self._settle(status, reason, results)
        self.manifest.write(self.folder / MANIFEST)


def clear_outputs(folder: Path) -> None:
    """Remove what a run writes, also one that died; anything else in the folder is the user's."""
    for name in OUTPUTS:
        for path in (folder / name, part_of(folder / name), folder / CAUSAL / name):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds something of the user's, or is not there
        (folder / CAUSAL).rmdir()


def _ended_by(error: BaseException) -> tuple[str, str]:
    """Say what an error makes of a run, and why, in one line."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", "stopped at once, by a second Ctrl-C"
    first = (str(error).splitlines() or [""])[0]
    return "failed", first if isinstance(error, InsitrackError) else f"{type(error).__name__}: {first}"


def _segment_settings(source: Source, config: RunConfig) -> SegmentConfig:
    """Return what the segmenter is to find: candidates, where they are judged later.

    Grey levels are fixed on frames spread over the run, for more than 8 bits and where it is read twice.
    """
    settings, asked = config.segment, config.segment.levels
    if config.judged is not None:
        settings = dataclasses.replace(settings, confidence=config.judged.candidate_score)
    if asked not in ("auto", "run"):
        return settings
    frames = source.samples()
    first = next(frames, None)
    if first is None or (asked == "auto" and first.image.dtype == "uint8"):
        return settings
    levels = grey_range(itertools.chain([first], frames), config.field)
    return settings if levels is None else dataclasses.replace(settings, levels=levels)


def _calibration(source: Source, config: RunConfig) -> Calibration:
    """Resolve scale and thickness; the field is found in every frame, for every kind of source alike."""
    return resolve_calibration(
        source.calibration.with_(field=None),
        nm_per_px_sd=config.source.nm_per_px_sd,
        thickness_nm=config.specimen.thickness_nm,
        thickness_sd_nm=config.specimen.thickness_sd_nm,
    )


def _origins(calibration: Calibration, config: RunConfig) -> dict[str, Any]:
    """Scale and thickness with where each comes from, for the manifest."""
    facts = {
        f.name: getattr(calibration, f.name) for f in dataclasses.fields(Calibration) if f.name != "field"
    }
    given = "settings" if config.specimen.thickness_nm is not None else calibration.origin
    return {**facts, "thickness_origin": "unknown" if calibration.thickness_nm is None else given}


def _results(tally: loop.Tally) -> dict[str, Any]:
    names = ("frames", "processed", "damaged", "dropped", "skipped", "gap", "detections", "tracks")
    return {
        **{name: getattr(tally, name) for name in names},
        "frames_per_s": round(tally.frames_per_s, 3),
        "peak_memory_mb": _peak_memory_mb(),
    }


def _peak_memory_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
