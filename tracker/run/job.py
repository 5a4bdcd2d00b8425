"""The parts of one run, put together: settings and a source in, an output folder out."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insitrack.io.draw.annotate import AnnotatedMovieSink, PictureSink
from insitrack.io.draw.movie_writer import count_pictures, join_movies
from insitrack.io.draw.registered import RegisteredMovieSink
from insitrack.io.errors import OutputError
from insitrack.io.frames import Calibration, Source
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.status import LiveStatus
from insitrack.io.live.view import LiveView
from insitrack.io.manifest import RunManifest
from insitrack.io.report.run_report import write_report
from insitrack.io.tables.run_folder import CAUSAL, MANIFEST, MOVIE, MOVIE_BEFORE, OUTPUTS, REGISTERED, Run
from insitrack.io.tables.sink import Sink, TableSink
from insitrack.io.timeline import SelectedSource
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.grey import grey_range
from insitrack.tracker.hindsight.rewrite import refine_run
from insitrack.tracker.link.drift import DriftEstimator
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.run import loop
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.controls import LiveControls
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.run.state import State, StateWriter, load_part, truncate_tables
from insitrack.tracker.series.meter import SeriesMeter

if TYPE_CHECKING:
    pass


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
        self.segmenter: Segmenter = load_segmenter(config.model, _with_levels(source, config))
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
        """Run the loop, from the beginning or from a state, and write everything.

        A failure leaves what was done readable and says so.
        """
        linker, drift, goes_on = Linker(self.config.link), DriftEstimator(self.config.drift), None
        if state is None:
            self._make_folder()
        else:
            (fields, drift), (linker, self.meter) = load_part(state.looked), load_part(state.followed)
            tally = loop.Tally(**state.tally)  # type: ignore[arg-type]
            goes_on = loop.ResumePoint(state.next_index, fields, tally)
            if self.config.output.registered and state.next_index:
                self.notes.append(
                    f"{REGISTERED} begins at frame {state.next_index}, where the run went on after it was"
                    " cut off"
                )
            truncate_tables(self.folder, state)
        pictures = PictureSink(
            nm_per_px=self.calibration.nm_per_px, first=None if state is None else state.first
        )
        sinks: list[Sink] = [TableSink(self.folder, append=state is not None), pictures]
        if self.config.output.registered:
            sinks.append(RegisteredMovieSink(self.folder / REGISTERED))
        stop = stop or threading.Event()
        status, controls = self._live(sinks, stop)
        movie = self._movie(live=status is not None)
        if self.config.output.video:
            sinks.append(movie)
        keeper = StateWriter(
            self.folder,
            self._lasting_uri(),
            lambda: dict(self.segmenter.describe().get("view", {})),
            lambda: pictures.first,
            lambda: movie.n_pictures,
            lambda: self.source.levels,
        )
        self.manifest.write(self.folder / MANIFEST)
        try:
            tally = loop.run(
                self.source,
                self.segmenter,
                linker,
                self.meter,
                sinks,
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
        except BaseException as error:
            with contextlib.suppress(OutputError):  # the first error tells more
                self._close("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", {})
            raise
        self._join_movie()
        refined = self._look_back()
        self.manifest.warnings = self._warnings(tally)
        live = (
            {}
            if status is None or controls is None
            else {"live": {**status.results(), "changes": controls.changes}}
        )
        stopped = status is None and stop is not None and stop.is_set()  # a live run ends when it is stopped
        self._close("interrupted" if stopped else "done", {**_results(tally), "refined": refined, **live})
        write_report(self.folder, pictures.pictures(), self.manifest)
        keeper.remove()
        return Run(self.folder)

    def _lasting_uri(self) -> str:
        """Address of the source that holds from everywhere."""
        return str(Path(self.uri).resolve()) if Path(self.uri).exists() else self.uri

    def _live(
        self, sinks: list[Sink], stop: threading.Event
    ) -> tuple[LiveStatus | None, LiveControls | None]:
        """Put what a live run has more than a file behind the tables: what it sees is on disk."""
        camera = self.source.source if isinstance(self.source, SelectedSource) else self.source
        if not isinstance(camera, LiveSource):
            return None, None
        getattr(self.segmenter, "for_live", lambda: None)()
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
        facts = refine_run(self.folder, self.config.refine, meter)
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
            for (
                name
            ) in OUTPUTS:  # of an earlier run, also one that died; anything else in the folder is the user's
                (self.folder / name).unlink(missing_ok=True)
                (self.folder / f"{name}.part").unlink(missing_ok=True)
                (self.folder / CAUSAL / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"--out {self.folder}: cannot be written ({error.strerror}); choose another folder"
            ) from error

    def _warnings(self, tally: loop.Tally) -> list[str]:
        warnings = [*self.source.warnings, *self.meter.warnings, *self.notes]
        if self.source.time_origin.startswith("assumed") and not any(
            "--frame-interval-s" in line for line in warnings
        ):
            warnings.append(
                f"time is {self.source.time_origin}; give the true interval with --frame-interval-s"
            )
        if tally.over_cap:
            warnings.append(
                f"{tally.over_cap} detections were thrown away by segment.max_detections ="
                f" {self.config.segment.max_detections}; raise it"
            )
        if tally.blank:
            warnings.append(
                f"{tally.blank} frames show no specimen (black or white all over): their numbers stay empty;"
                " see field.find_overlays"
            )
        misfits = self.segmenter.describe().get("view", {}).get("frames_misfit", 0)
        if misfits:
            warnings.append(
                f"{misfits} frames are much brighter, darker or paler than the grey levels that were fixed"
                " for the run, and defects may be missed in them; let each frame have its own: --set"
                " segment.levels=frame"
            )
        if not tally.processed:
            why = (
                "all that were asked for are damaged" if tally.damaged else "check --start, --end and --every"
            )
            warnings.append(f"no frame was processed: {why}")
        return warnings

    def _close(self, status: str, results: dict[str, Any]) -> None:
        self.manifest.status, self.manifest.finished, self.manifest.results = status, _now(), results
        self.manifest.model = self.segmenter.describe()
        self.manifest.source = self.source.describe()
        self.manifest.write(self.folder / MANIFEST)


def _with_levels(source: Source, config: RunConfig) -> SegmentConfig:
    """Fix the grey levels of the run on frames spread over it.

    Where it has more than 8 bits and the source can be read twice.
    """
    asked = config.segment.levels
    if asked not in ("auto", "run"):
        return config.segment
    frames = source.samples()
    first = next(frames, None)
    if first is None or (asked == "auto" and first.image.dtype == "uint8"):
        return config.segment
    levels = grey_range(itertools.chain([first], frames), config.field)
    return config.segment if levels is None else dataclasses.replace(config.segment, levels=levels)


def _calibration(source: Source, config: RunConfig) -> Calibration:
    specimen = config.specimen
    known = specimen.thickness_nm is not None
    return dataclasses.replace(
        source.calibration,
        field=None,  # found in every frame, the same way for every kind of source
        nm_per_px_sd=config.source.nm_per_px_sd or source.calibration.nm_per_px_sd,
        thickness_nm=specimen.thickness_nm if known else source.calibration.thickness_nm,
        thickness_sd_nm=(specimen.thickness_sd_nm or 0.0) if known else source.calibration.thickness_sd_nm,
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
