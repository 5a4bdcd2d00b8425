"""The parts of one run, put together: settings and a source in, an output folder out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from insitrack.io.detections import Detections
from insitrack.io.draw.kept import KeptFramesSink
from insitrack.io.draw.movie_writer import count_pictures
from insitrack.io.draw.registered import RegisteredMovieSink
from insitrack.io.draw.sinks import AnnotatedMovieSink, PictureSink
from insitrack.io.files.unchanged import SourceFiles
from insitrack.io.frames import Source
from insitrack.io.manifest import RunManifest, without_password
from insitrack.io.results import TrackedFrame
from insitrack.io.tables.run_folder import MANIFEST, MOVIE, MOVIE_BEFORE, REGISTERED, REPORT
from insitrack.io.tables.sink import Sink, TableSink
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.given import GivenSegmenter
from insitrack.segment.models import load_segmenter
from insitrack.tracker.existence.live import LiveExistence
from insitrack.tracker.link.drift import DriftEstimator, SeparatePictures
from insitrack.tracker.link.given import IdGiver, linker_of
from insitrack.tracker.link.view_scale import ViewScale
from insitrack.tracker.run import loop
from insitrack.tracker.run.calibrated import calibrated
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.closing import Closing, now
from insitrack.tracker.run.job.conditions import begin_record
from insitrack.tracker.run.job.finished import Run
from insitrack.tracker.run.job.live import LiveParts, live_parts
from insitrack.tracker.run.job.opening import (
    calibration_facts,
    camera_of,
    find_calibration,
    prepare_folder,
    restore,
    segment_settings,
)
from insitrack.tracker.run.live.triggers import Fired
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.run.state import State, StateWriter
from insitrack.tracker.run.tally import Tally
from insitrack.tracker.run.warnings import of_micrographs
from insitrack.tracker.trust.live import LiveTrust

Spread = Callable[[Segmenter, SegmentConfig, str], Segmenter]
"""Puts another segmenter in place of that of a run, by its settings and the name of its model."""


@dataclass(frozen=True, slots=True)
class Given:
    """Parts of a run that were handed over as objects.

    Parameters
    ----------
    segmenter : callable, optional
        In place of the model, see `GivenSegmenter`.
    linker : IdGiver or str, optional
        In place of our own, see `linker_of`.
    """

    segmenter: Callable[..., Detections] | None = None
    linker: IdGiver | str | None = None

    @property
    def resumable(self) -> bool:
        """Whether another process could make the same parts from the settings."""
        return self.segmenter is None and self.linker is None

    def notes(self) -> list[str]:
        """Say what a reader of the run cannot see from its settings."""
        if self.linker is None:
            return []
        name = self.linker if isinstance(self.linker, str) else type(self.linker).__name__
        return [f"linked by {name}, which was given in place of the linker of insitrack"]


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
        spread: Spread | None = None,
        given: Given | None = None,
        on_trigger: Callable[[Fired], None] | None = None,
    ) -> None:
        self.on_trigger = on_trigger
        self._live: LiveParts | None = None
        self.uri, self.source, self.config, self.folder, self.alarm = uri, source, config, folder, alarm
        self.files = SourceFiles(uri)  # as they are before they are hashed and read
        settings = segment_settings(source, config)
        self.given = given or Given()
        self.segmenter: Segmenter = (
            load_segmenter(config.model, settings)
            if self.given.segmenter is None
            else GivenSegmenter(self.given.segmenter)
        )
        if spread is not None:
            self.segmenter = spread(self.segmenter, settings, config.model)
        self.linker = linker_of(self.given.linker, config.link)
        self.config = config = calibrated(config, self.segmenter.describe())
        self.calibration = find_calibration(source, config)
        self.notes = self.given.notes()
        self.meter = meter_for(config, self.calibration, self.segmenter.class_names)
        self.manifest = RunManifest(
            command=[without_password(word) for word in command],
            source=source.describe(),
            model=self.segmenter.describe(),
            calibration=calibration_facts(self.calibration, config),
            settings=config.plain(),
            started=now(),
            **describe_choices(config, self.meter, self.segmenter.describe()),
        )

    def execute(
        self,
        progress: Callable[[Tally, int | None], None] | None,
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
        try:
            return self._execute(progress, stop or threading.Event(), state)
        finally:
            if self._live is not None and self._live.view is not None:
                self._live.view.close(f"the run is {self.manifest.status}", self.folder / REPORT)

    def _execute(
        self,
        progress: Callable[[Tally, int | None], None] | None,
        stop: threading.Event,
        state: State | None,
    ) -> Run:
        linker, drift, goes_on = self.linker, self._drift(), None
        existence, trust = LiveExistence(self.config.judged), LiveTrust()
        given = self.config.source
        scale = ViewScale(self.calibration, given.view_nm_per_px, stills=given.stills)
        if state is not None:
            of_run = state, self.folder, self.config
            goes_on = restore(*of_run, linker, self.meter, (existence, trust), drift, scale)
            self.notes += _late_beginnings(self.config, goes_on.next_index)
        record = begin_record(self.folder, self.meter, state)
        prepare_folder(self.folder, state)
        record()
        pictures = self._pictures(None if state is None else state.first.tracked)
        sinks: list[Sink] = [TableSink(self.folder, append=state is not None), pictures]
        if self.config.output.registered:
            sinks.append(RegisteredMovieSink(self.folder / REGISTERED))
        self._put_live(sinks, stop)
        live = self._live
        if self.config.output.raw and live is not None:
            sinks.append(KeptFramesSink(self.folder))
        movie = self._live_movie()
        if self.config.output.video and live is not None:
            sinks.append(movie)  # of a file it is drawn last, from the final tables
        keeper = self._keeper(pictures, movie)
        self.manifest.write(self.folder / MANIFEST)
        told = None if progress is None else (lambda tally: progress(tally, self.source.n_frames))
        closing = self._closing()
        try:
            tally = loop.run(
                self.source,
                self.segmenter,
                linker,
                self.meter,
                sinks,
                existence=existence,
                trust=trust,
                calibration=scale,
                fields=self.config.field,
                drift=drift,
                sizes=self.config.measure,
                progress=told,
                stop=stop,
                live=live is not None,
                keep_state=keeper.write if self.given.resumable else None,
                goes_on=goes_on,
            )
            closing.notes += scale.warnings
            stopped = live is None and stop.is_set()
            closing.finish(tally, pictures, stopped=stopped, stop=stop, live=live, progress=told)
        except BaseException as error:
            with contextlib.suppress(Exception):  # the first error tells more
                closing.fail(error)
            raise
        keeper.remove()
        return Run(self.folder)

    def _drift(self) -> DriftEstimator:
        """Make what follows the stage, or takes each frame by itself."""
        return SeparatePictures() if self.config.source.stills else DriftEstimator(self.config.drift)

    def _closing(self) -> Closing:
        return Closing(
            self.source,
            self.segmenter,
            self.config,
            self.calibration,
            self.folder,
            self.manifest,
            self.meter,
            self.notes,
            self.files,
        )

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

    def _put_live(self, sinks: list[Sink], stop: threading.Event) -> None:
        """Put what a live run has more than a file behind the tables."""
        camera = camera_of(self.source)
        if camera is None:
            if self.config.live.triggers:
                self.notes.append("live.triggers: only a live run is watched; nobody was told of anything")
            return
        self.segmenter.for_live()
        of_run = self.folder, self.config, self.meter, self.calibration.nm_per_px
        self._live = live_parts(sinks, camera, *of_run, stop, self.alarm, self.on_trigger)

    def _pictures(self, first: TrackedFrame | None) -> PictureSink:
        """First and last frame for the report; the first may be that of a run that goes on."""
        timed = not of_micrographs(self.source, self.config)
        return PictureSink(nm_per_px=self.calibration.nm_per_px, first=first, timed=timed)

    def _live_movie(self) -> AnnotatedMovieSink:
        """Movie drawn as it happens, behind what was there before the run was cut off; nothing waits for it."""
        return AnnotatedMovieSink(
            self.folder / MOVIE,
            nm_per_px=self.calibration.nm_per_px,
            when_behind="drop",
            n_before=count_pictures(self.folder / MOVIE_BEFORE),
        )


def _late_beginnings(config: RunConfig, next_index: int) -> list[str]:
    """Warn of what does not hold the frames before the cut."""
    if not (config.output.registered and next_index):
        return []
    return [f"{REGISTERED} begins at frame {next_index}, where the run went on after it was cut off"]
