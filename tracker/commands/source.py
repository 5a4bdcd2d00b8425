"""`track SOURCE`: a movie or a camera in, everything that is known of its defects out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from insitrack.io.errors import SettingsError
from insitrack.tracker.commands.arguments.cluster_options import add_cluster_options, workers_of
from insitrack.tracker.commands.arguments.options import add_on_trigger_option, add_output_options
from insitrack.tracker.commands.arguments.run_options import add_run_options, run_settings

if TYPE_CHECKING:
    from insitrack.io.tables.run_folder import Run

DESCRIPTION = """\
Find, follow and measure crystal defects in in-situ electron-microscope movies.

  track movie.mp4                                      everything into movie_track/
  track movie.mp4 --nm-per-px 0.37 --thickness-nm 100 --material fecral --dose-rate 1e-3
  track "synth:loops?seed=7&frames=60"                 a movie that the tool draws itself
  track camera:0 --nm-per-px 0.37                      live, with a page in the browser; also rtsp://... or watch:FOLDER
  track replay movie.mp4 --fps 25                      send a movie as a camera would, to try that out
  track synth loops --seed 7 --frames 200 --out DIR    the same as files, with the truth
  track link detections.csv --out DIR                  link detections made elsewhere: same linker, same tables
  track series RUN [RUN ...] --thickness-nm 80         from the tables alone: other settings, fits, comparison, figures for a paper
  track batch TABLE.csv --out DIR --workers 4          many movies, here or on a cluster; one movie there: --workers, --cluster
  track runs DIR                                       all runs below a folder: list, filter, compare
  track resume RUN                                     continue a run that was cut off
  track edit RUN edits.csv                             correct tracks and outlines by hand; into a new folder
  track review RUN                                     the same by mouse and keys, in the browser
  track annotate RUN --beside --out talk.gif           a run drawn again: other colours, classes, times; MP4 or GIF
  track export RUN --to trackmate --out tracks.xml     tracks for napari, TrackMate or MOT programs
  track eval LABELS --model loops                      scores of a model on labelled images
  track label movie.mp4 --out labels/                  label a few frames, the model's outlines as a start
  track train LABELS                                   a model of your own from your own labels
  track doctor                                         what is installed, and a self-test
  track doctor movie.mp4                               what a source is, and the scale bar burnt into it
"""

EPILOG = """\
SOURCE is a movie, a folder or glob of images, a TIFF stack, synth:SCENE?key=value, or live: camera:0, rtsp://..., http://..., srt://...,
watch:FOLDER (into which a microscope writes), screen:LEFT,TOP,WIDTH,HEIGHT. A live run ends with Ctrl-C or in its browser view.
Written to the output folder: tracks.csv series.csv summary.csv events.csv frames.csv masks.parquet annotated.mp4 report.html run.json
Exit status: 0 done, 1 the run failed, 2 change something and retry.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track SOURCE`."""
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="movie, folder, glob, TIFF stack, synth:SCENE; live: camera:0, rtsp://, http://, srt://, watch:FOLDER",
    )
    add_output_options(parser, default="named after the source, here")
    add_run_options(parser)
    add_cluster_options(parser)
    add(
        "--view",
        metavar="HOST:PORT",
        help="where the browser view of a live run listens (default: a free port of this computer); none: nowhere",
    )
    add(
        "--trigger",
        action="append",
        metavar="CONDITION",
        help='be told of it in a live run: "density_per_m2 > 2e15 for 10 s", "silent_s > 30", "saturation"; may be repeated',
    )
    add_on_trigger_option(parser)


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.tracker.commands.arguments.progress import ProgressBar, stop_on_interrupt
    from insitrack.tracker.run.live.callers import Callers
    from insitrack.tracker.run.track import track

    config = run_settings(options)
    if options.on_trigger and not config.live.triggers:
        raise SettingsError("--on-trigger: there is no trigger to call it; add --trigger CONDITION")
    callers = Callers(options.on_trigger or (), alarm)
    with (
        workers_of(options, "track --cluster") as spread,
        stop_on_interrupt() as stop,
        ProgressBar(options.start or 0.0, options.end) as bar,
    ):
        done = track(
            options.source,
            options.out,
            config=config,
            overwrite=options.overwrite,
            progress=bar.update,
            stop=stop,
            command=["track", *given],
            alarm=alarm,
            spread=spread,
            on_trigger=callers,
        )
    callers.finish()
    return tell(done)


def tell(run: Run) -> int:
    """Print warnings and what was done; return the exit status."""
    from insitrack.io.report.headline import headlines, separate_micrographs

    manifest = run.manifest
    results = manifest["results"]
    for warning in manifest["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    n, rows = results["processed"], results["refined"].get("tracks", results["tracks"])
    counts = (
        f"{n} frame{'s' * (n != 1)}, {rows} track{'s' * (rows != 1)}, {results['frames_per_s']:.1f} frames/s"
    )
    if separate_micrographs(manifest):
        counts = f"{n} micrograph{'s' * (n != 1)}, {rows} defect{'s' * (rows != 1)}"
    print(f"{manifest['status']}: {counts}; open {run.folder / 'report.html'}")
    for headline in headlines(run.folder, manifest):
        print(headline.line())
    return 0


def alarm(line: str) -> None:
    """Print what goes wrong with a live source."""
    print(f"live: {line}", file=sys.stderr)
