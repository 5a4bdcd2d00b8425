"""The `track` command. Heavy libraries are imported only by the subcommand that needs them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from insitrack.io.errors import InsitrackError, SettingsError
from insitrack.tracker.commands.options import add_specimen_options, specimen_settings

if TYPE_CHECKING:
    from insitrack.io.tables.run_folder import Run

_DESCRIPTION = """\
Find, follow and measure crystal defects in in-situ electron-microscope movies.

  track movie.mp4                                      everything into movie_track/
  track movie.mp4 --nm-per-px 0.37 --thickness-nm 100 --material fecral --dose-rate 1e-3
  track "synth:loops?seed=7&frames=60"                 a movie that the tool draws itself
  track camera:0 --nm-per-px 0.37                      live, with a page in the browser; also rtsp://... or watch:FOLDER
  track replay movie.mp4 --fps 25                      send a movie as a camera would, to try that out
  track synth loops --seed 7 --frames 200 --out DIR    the same as files, with the truth
  track link detections.csv --out DIR                  link detections made elsewhere: same linker, same tables
  track series RUN [RUN ...] --thickness-nm 80         from the tables alone: other settings, fits, comparison, figures for a paper
  track resume RUN                                     go on with a run that was cut off
  track edit RUN edits.csv                             merge, split, delete, re-class tracks by hand; into a new folder
  track export RUN --to trackmate --out tracks.xml     tracks for napari, TrackMate or MOT programs
  track eval LABELS --model loops                      scores of a model on labelled pictures
  track train LABELS                                   a model of your own from your own labels
  track doctor                                         what is installed, and a self-test
  track doctor movie.mp4                               what a source is, and the scale bar burnt into it
"""

_EPILOG = """\
SOURCE is a movie, a folder or glob of images, a TIFF stack, synth:SCENE?key=value, or live: camera:0, rtsp://..., http://..., srt://...,
watch:FOLDER (into which a microscope writes), screen:LEFT,TOP,WIDTH,HEIGHT. A live run ends with Ctrl-C or in its browser view.
Written to the output folder: tracks.csv series.csv summary.csv events.csv frames.csv annotated.mp4 report.html run.json
Exit status: 0 done, 1 the run failed, 2 change something and retry.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] == "synth":
            return _synth(_synth_parser().parse_args(given[1:]))
        if given and given[0] == "eval":
            from insitrack.tracker.commands import eval

            return eval.run(eval.make_parser(_Parser).parse_args(given[1:]), given)
        if given and given[0] == "link":
            from insitrack.tracker.commands import link

            return link.run(link.make_parser(_Parser).parse_args(given[1:]), given)
        if given and given[0] == "series":
            from insitrack.tracker.commands import series as series_command

            return series_command.run(series_command.make_parser(_Parser).parse_args(given[1:]), given)
        if given and given[0] == "resume":
            return _resume(_resume_parser().parse_args(given[1:]))
        if given and given[0] == "replay":
            return _replay(_replay_parser().parse_args(given[1:]))
        if given and given[0] == "edit":
            return _edit(_edit_parser().parse_args(given[1:]))
        if given and given[0] == "export":
            return _export(_export_parser().parse_args(given[1:]))
        if given and given[0] == "train":
            from insitrack.tracker.commands import train

            return train.run(train.make_parser(_Parser).parse_args(given[1:]))
        if given and given[0] == "doctor":
            source = _doctor_parser().parse_args(given[1:]).source
            from insitrack.tracker.commands.doctor import doctor, examine

            return doctor() if source is None else examine(source)
        return _track(_track_parser().parse_args(given), given)
    except InsitrackError as error:
        print(f"track: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(
            "track: stopped at once; a run that had begun left what it had done in its output folder",
            file=sys.stderr,
        )
        return 1


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments on one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise SettingsError(f"{message}; see {self.prog} --help")


def split_names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _track_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="track",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help=(
            "movie, folder, glob, TIFF stack, synth:SCENE; live: camera:0, rtsp://, http://, srt://,"
            " watch:FOLDER"
        ),
    )
    add("--out", metavar="DIR", help="output folder (default: named after the source, here)")
    add("--overwrite", action="store_true", help="replace an earlier run in the same folder")
    add(
        "--frame-interval-s",
        type=float,
        metavar="S",
        help="time between frames (default: the file's timestamps)",
    )
    add_specimen_options(parser)
    add("--model", metavar="NAME", help="segmentation model: a shipped name or an ONNX file (default: loops)")
    add("--conf", type=float, metavar="0..1", help="least confidence of a detection")
    add(
        "--only",
        type=split_names,
        metavar="CLASS,...",
        help="look for these classes only, for example loop_111,loop_100,black_dot",
    )
    add("--start", type=float, metavar="S", help="first time to process")
    add("--end", type=float, metavar="S", help="last time to process")
    add("--every", type=int, metavar="N", help="process every N-th frame")
    add("--no-video", action="store_true", help="write no annotated movie")
    add(
        "--view",
        metavar="HOST:PORT",
        help=(
            "where the browser view of a live run listens (default: a free port of this computer); none:"
            " nowhere"
        ),
    )
    add("--config", metavar="FILE", help="settings in TOML; configs/default.toml lists them all")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, for example segment.confidence=0.4; may be repeated",
    )
    add("--version", action="version", version=_version())
    return parser


def _synth_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="track synth", description="Draw a synthetic movie and write it with its exact truth."
    )
    parser.add_argument(
        "scene",
        nargs="?",
        default="loops",
        help="a kind of scene: loops, two_beam, voids, precipitates ... (docs/synthetic.md), or a synth: address",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for movie.mp4, truth.csv and truth.json"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", default="512", metavar="N or WxH", help="size of the picture, px")
    parser.add_argument(
        "--lossless",
        action="store_true",
        help="write movie.mkv with every grey level exact, in place of movie.mp4",
    )
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds something")
    return parser


def _doctor_parser() -> argparse.ArgumentParser:
    words = (
        "Tell what is installed, which processor and codecs are used, and run a ten-frame self-test; or"
        " examine a source and its scale bar."
    )
    parser = _Parser(prog="track doctor", description=words)
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help="movie, folder or file of a microscope to examine"
    )
    return parser


def _edit_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="track edit",
        description=(
            "Put tracks right by hand and work out anew all that follows from them; the run stays as it is."
        ),
    )
    parser.add_argument("run", metavar="RUN", help="output folder of a run")
    parser.add_argument(
        "edits",
        metavar="EDITS",
        help="CSV: action (merge, split, delete, class), track_id, other_id, frame, defect_class",
    )
    parser.add_argument("--out", metavar="DIR", help="new folder (default: RUN_edited)")
    return parser


def _export_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="track export", description="Write the tracks of a run for another program.")
    parser.add_argument("run", metavar="RUN", help="output folder of a run")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="napari, trackmate or mot")
    parser.add_argument(
        "--out", metavar="FILE", help="file to write (default: RUN_FORMAT with the usual ending)"
    )
    return parser


def _edit(options: argparse.Namespace) -> int:
    from pathlib import Path

    from insitrack.io.tables.run_folder import check_folder
    from insitrack.tracker.run.edit import edit_run

    run = Path(options.run)
    folder = Path(options.out) if options.out else run.with_name(run.resolve().name + "_edited")
    check_folder(folder, overwrite=False)
    trail = edit_run(run, Path(options.edits), folder)
    print(
        f"done: {len(trail)} edits, {sum(int(str(one['sights'])) for one in trail)} sights changed; open"
        f" {folder / 'report.html'}"
    )
    return 0


def _export(options: argparse.Namespace) -> int:
    from pathlib import Path

    from insitrack.io.tables import columns
    from insitrack.io.tables.exchange import FORMATS, write_tracks

    run = Path(options.run)
    path = (
        Path(options.out)
        if options.out
        else run.with_name(f"{run.resolve().name}_{options.to}{FORMATS.get(options.to, '')}")
    )
    write_tracks(columns.TRACKS.read(run / columns.TRACKS.file), path, options.to)
    print(path)
    return 0


def _version() -> str:
    from insitrack import __version__

    return f"insitrack {__version__}"


def _synth(options: argparse.Namespace) -> int:
    from pathlib import Path

    from insitrack.io.synth.files import write_synth
    from insitrack.io.tables.run_folder import check_folder

    uri = (
        options.scene
        if options.scene.startswith("synth:")
        else f"synth:{options.scene}?seed={options.seed}&frames={options.frames}&size={options.size}"
    )
    folder = Path(options.out)
    check_folder(folder, options.overwrite)
    write_synth(uri, folder, lossless=options.lossless)
    print(f"{folder}: {'movie.mkv' if options.lossless else 'movie.mp4'}, truth.csv, truth.json")
    return 0


def _track(options: argparse.Namespace, given: list[str]) -> int:
    from pathlib import Path

    from insitrack.tracker.commands.progress import ProgressBar, stop_on_interrupt
    from insitrack.tracker.run.config import load_config
    from insitrack.tracker.run.track import track

    config = load_config(
        Path(options.config) if options.config else None,
        options.set,
        {
            **specimen_settings(options),
            "source.frame_interval_s": options.frame_interval_s,
            "source.start_s": options.start,
            "source.end_s": options.end,
            "source.every": options.every,
            "segment.confidence": options.conf,
            "segment.classes": options.only,
            "model": options.model,
            "output.video": False if options.no_video else None,
            "output.view": "" if options.view == "none" else options.view,
        },
    )
    with stop_on_interrupt() as stop, ProgressBar() as bar:
        how: dict[str, Any] = {
            "progress": bar.update,
            "stop": stop,
            "command": ["track", *given],
            "alarm": _alarm,
        }
        run = track(options.source, options.out, config=config, overwrite=options.overwrite, **how)
    return _tell(run)


def _resume_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="track resume",
        description="Go on with a run that was cut off, by a crash, a full disk or a power cut.",
    )
    parser.add_argument("run", metavar="RUN", help="output folder of the run")
    return parser


def _resume(options: argparse.Namespace) -> int:
    from pathlib import Path

    from insitrack.tracker.commands.progress import ProgressBar, stop_on_interrupt
    from insitrack.tracker.run.resume import resume

    with stop_on_interrupt() as stop, ProgressBar() as bar:
        return _tell(resume(Path(options.run), progress=bar.update, stop=stop, alarm=_alarm))


def _tell(run: Run) -> int:
    """Print warnings and what was done."""
    manifest = run.manifest
    results = manifest["results"]
    for warning in manifest["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    done = manifest["status"]
    counts = (
        f"{results['processed']} frames, {results['refined'].get('tracks', results['tracks'])} tracks,"
        f" {results['frames_per_s']:.1f} frames/s"
    )
    print(f"{done}: {counts}; open {run.folder / 'report.html'}")
    return 0


def _alarm(line: str) -> None:
    print(f"live: {line}", file=sys.stderr)


def _replay_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="track replay",
        description=(
            "Send a movie as a camera would, over HTTP on this computer, with the faults of real ones."
        ),
    )
    parser.add_argument("source", metavar="SOURCE", help="movie, folder of images or synth:SCENE")
    parser.add_argument("--port", type=int, default=8090, help="port on 127.0.0.1 (default: 8090)")
    parser.add_argument("--fps", type=float, metavar="N", help="frames per second (default: as it was taken)")
    parser.add_argument(
        "--loops", type=int, default=1, metavar="N", help="how many times it is played (default: once)"
    )
    kinds = "stall, drop, duplicate, reorder, resize, disconnect, corrupt"
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND@FRAME:SECONDS", help=f"{kinds}; may be repeated"
    )
    return parser


def _replay(options: argparse.Namespace) -> int:
    from insitrack.io.live.replay import parse_fault
    from insitrack.io.sources import replay

    faults = [parse_fault(text) for text in options.fault]
    with replay(
        options.source, port=options.port, fps=options.fps, faults=faults, loops=options.loops
    ) as camera:
        print(f"{camera.address} (lossless) or {camera.mjpeg_address}; Ctrl-C ends", flush=True)
        while not camera.ended.wait(1.0):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
