"""What comes after the last frame, and how a run is entered in `run.json`, however it ended."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insitrack.io.draw.annotate import AnnotationStyle
from insitrack.io.draw.final import FinalFrames, draw_frames, final_frame
from insitrack.io.draw.movie_writer import join_movies
from insitrack.io.draw.sinks import AnnotatedMovieSink, PictureSink
from insitrack.io.errors import InsitrackError, OutputError
from insitrack.io.files.folder import list_folder
from insitrack.io.files.unchanged import SourceFiles
from insitrack.io.frames import Calibration, Source
from insitrack.io.manifest import RunManifest
from insitrack.io.report.run_report import write_report
from insitrack.io.tables.columns import KINETICS, MSD
from insitrack.io.tables.outlines.masks import MASKS, STREAM, pack_stream
from insitrack.io.tables.run_folder import MANIFEST, MOVIE, MOVIE_BEFORE
from insitrack.segment.base import Segmenter
from insitrack.tracker.hindsight.rewrite import refine_run, warn_of_loss
from insitrack.tracker.run.config import RunConfig
from insitrack.tracker.run.job.live import LiveParts
from insitrack.tracker.run.job.opening import start_beyond_end
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.run.methods import describe_choices
from insitrack.tracker.run.tally import Tally
from insitrack.tracker.run.warnings import of_micrographs, run_warnings
from insitrack.tracker.series.conditions import calibration_in_time
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.micrographs import write_micrographs
from insitrack.tracker.trust.reasons import refused_of_run

_STOPPED = "stopped before the source had ended, as was asked for"


class Closing:
    """Joins the movie, refines the tables, writes report and manifest of a run.

    Parameters
    ----------
    source, segmenter, config, calibration
        Of the run.
    folder : Path
        Output folder.
    manifest : RunManifest
        Gets how the run ended.
    meter : SeriesMeter
        As it is after the last frame.
    notes : list of str
        Warnings of the run itself.
    files : SourceFiles
        As they were before the first frame.
    """

    def __init__(
        self,
        source: Source,
        segmenter: Segmenter,
        config: RunConfig,
        calibration: Calibration,
        folder: Path,
        manifest: RunManifest,
        meter: SeriesMeter,
        notes: list[str],
        files: SourceFiles,
    ) -> None:
        self.source, self.segmenter, self.config, self.calibration = source, segmenter, config, calibration
        self.folder, self.manifest, self.meter, self.notes = folder, manifest, meter, notes
        self._files, self._changed = files, list[str]()

    def finish(
        self,
        tally: Tally,
        pictures: PictureSink,
        *,
        stopped: bool,
        stop: threading.Event,
        live: LiveParts | None,
        progress: Callable[[Tally], None] | None = None,
    ) -> None:
        """Do everything that comes after the last frame."""
        start_s = self.config.source.start_s
        if start_s is not None and tally.last_s < start_s and tally.skipped == tally.frames and not stopped:
            raise start_beyond_end(self.source, start_s, tally.last_s)  # of a camera it is known only now
        self._note_changes()
        self._join_movie()
        refined = self._refine()
        refused = refused_of_run(self.folder, self.config.series.least_trust)
        self.notes = [refused.line, *self.notes] if refused.line else self.notes
        self.manifest.warnings = run_warnings(
            self.source, self.segmenter, self.config, tally, [*self.meter.warnings, *self.notes]
        )
        results = {**_results(tally), "refined": refined, **refused.facts()}
        if self.config.source.stills:
            results |= self._write_micrographs()
        if live is not None:
            results["live"] = {**live.status.results(), "changes": live.controls.changes}
        self._settle("stopped" if stopped else "done", _STOPPED if stopped else "", results)
        if live is None and self.config.output.video:
            self._draw_movie(tally, None if stopped else stop, progress)
        try:
            drawn = pictures.pictures(
                lambda frame: final_frame(self.folder, frame, self.segmenter.class_names)
            )
            write_report(self.folder, drawn, self.manifest)
        except OutputError as error:  # tables and movie are whole without it
            self.manifest.warnings.append(str(error))
        self.manifest.write(self.folder / MANIFEST)

    def _write_micrographs(self) -> dict[str, Any]:
        """Write what is known of every micrograph, and means over them."""
        path = Path(str(self.source.describe().get("path", "")))
        files = list_folder(path).files if path.is_dir() else []
        names = ["" if file is None else file.name for file in files]
        n = write_micrographs(self.folder, names if len(names) >= (self.source.n_frames or 0) else [])
        for table in (KINETICS, MSD):
            (self.folder / table.file).unlink(missing_ok=True)
        return {"micrographs": n, "kinetics": "none: separate micrographs have no births, deaths or growth"}

    def fail(self, error: BaseException) -> None:
        """Enter in the manifest that an error ended the run, and which."""
        self._note_changes()
        self._settle(*_ended_by(error), {})
        self.manifest.write(self.folder / MANIFEST)

    def _note_changes(self) -> None:
        """Look whether the source was changed while it was read."""
        self._changed = self._files.changes(self.manifest.source)
        self.notes += [
            f"{line}: the results are of what was read, by its hash results.frames_read_sha256"
            for line in self._changed
        ]

    def _draw_movie(
        self, tally: Tally, stop: threading.Event | None, progress: Callable[[Tally], None] | None
    ) -> None:
        """Draw the movie from the final tables; without it the run is complete, and it can be drawn later."""
        n_frames, later = tally.frames, f"track annotate {self.folder} draws it from the movie"

        def tell(n_drawn: int) -> None:
            tally.drawn = n_drawn
            if progress is not None:
                progress(tally)

        if self._changed:  # other frames than those that were analysed must not carry these outlines
            self.manifest.warnings.append(
                f"{MOVIE} was not drawn: the source changed while it was read; {later}"
            )
            return
        try:
            final = FinalFrames(self.folder, self.segmenter.class_names)
            style = AnnotationStyle(timed=not of_micrographs(self.source, self.config))
            with AnnotatedMovieSink(
                self.folder / MOVIE, nm_per_px=self.calibration.nm_per_px, style=style
            ) as movie:
                n_drawn = draw_frames(
                    self.source, final, [movie], n_frames=n_frames, stop=stop, progress=tell
                )
        except InsitrackError as error:
            self.manifest.warnings.append(f"{MOVIE} was not drawn: {error}; {later}")
            return
        if n_drawn < n_frames:
            self.manifest.warnings.append(f"{MOVIE} ends at frame {n_drawn} of {n_frames}; {later}")

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

    def _refine(self) -> dict[str, float]:
        """Refine tables and outlines if that is wanted; `run.json` says which kind they are."""
        facts = self._refined() if self.config.refine.enabled else {}
        if not facts:
            pack_stream(self.folder / STREAM.file, self.folder / MASKS.file, doubted=False)
        return facts

    def _refined(self) -> dict[str, float]:
        meter = meter_for(self.config, self.calibration, self.segmenter.class_names)
        meter.follow(self.meter.conditions)  # as they were set while it ran
        facts = refine_run(
            self.folder,
            self.config.refine,
            meter,
            self.config.judged,
            self.config.measure,
            self.config.segment.least_class,
        )
        self.notes += warn_of_loss(facts)
        if facts:
            self.manifest.tables, self.meter = "refined", meter
        else:
            self.meter.diagnostics.notes.append(
                f"more than refine.max_rows = {self.config.refine.max_rows} rows: the tables are causal, not"
                " refined; raise it"
            )
        return facts

    def _settle(self, status: str, reason: str, results: dict[str, Any]) -> None:
        """Enter in the manifest how the run ended."""
        self.manifest.status, self.manifest.reason = status, reason
        self.manifest.finished, self.manifest.results = now(), results
        self.manifest.model = self.segmenter.describe()
        for name, value in describe_choices(self.config, self.meter, self.manifest.model).items():
            setattr(self.manifest, name, value)
        self.manifest.calibration = calibration_in_time(self.manifest.calibration, self.meter.conditions)
        self.manifest.source = self.source.describe()
        if self._changed:
            self.manifest.source["changed_while_read"] = self._changed


def _ended_by(error: BaseException) -> tuple[str, str]:
    """Say what an error makes of a run, and why, in one line."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", str(error) or "stopped at once, by a second Ctrl-C"
    first = (str(error).splitlines() or [""])[0]
    return "failed", first if isinstance(error, InsitrackError) else f"{type(error).__name__}: {first}"


def _results(tally: Tally) -> dict[str, Any]:
    names = ("frames", "processed", "damaged", "dropped", "skipped", "gap", "detections", "tracks")
    return {
        **{name: getattr(tally, name) for name in names},
        "frames_read_sha256": tally.read_sha256,
        "frames_per_s": round(tally.frames_per_s, 3),
        "peak_memory_mb": _peak_memory_mb(),
    }


def _peak_memory_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def now() -> str:
    """Date and time, to the second, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
