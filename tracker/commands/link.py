"""`track link`: link detections made elsewhere, same linker, same tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from insitrack.io.errors import SettingsError
from insitrack.tracker.commands.arguments.options import (
    add_output_options,
    add_settings_options,
    add_specimen_options,
    specimen_settings,
)
from insitrack.tracker.commands.arguments.parser import frame_size, number

DESCRIPTION = """\
Link detections made elsewhere into tracks, and write the tables of a run: tracks, series, summary, events, frames, kinetics, a report.

  track link detections.csv --nm-per-px 0.37 --frame-interval-s 0.145 --out linked
  track link spots.csv --nm-per-px 0.37                 spots as TrackMate exports them
  track link detections.csv --linker trackpy            the same input linked by trackpy, to compare
  track link tracks.csv --linker given                  ids that the table has (track_id, TRACK_ID, particle) are kept
"""

EPILOG = """\
Columns: frame x_px y_px size_px, optionally t_s defect_class score x1_px y1_px x2_px y2_px track_id; or TrackMate's spots; or trackpy's features.
A frame without a row is empty only where --frames, or a frames.csv beside the table, says that it was looked at.
There are no images: the drift of the stage is taken from the defects themselves.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track link`."""
    add = parser.add_argument
    add("detections", metavar="DETECTIONS", help="CSV table, or TrackMate XML with --linker given")
    add_output_options(parser, default="named after the table, here")
    add(
        "--linker",
        choices=("insitrack", "trackpy", "given"),
        default="insitrack",
        help="who links (default: insitrack)",
    )
    add("--size", metavar="WxH", help="size of the frames, px (default: what holds every detection)")
    add(
        "--frame-interval-s", type=number, metavar="S", help="time between frames (default: t_s of the table)"
    )
    add(
        "--frames",
        metavar="N|FIRST:LAST[:STEP]|CSV|rows",
        help="frames that were looked at (default: frames.csv beside the table, else those that have a row)",
    )
    add("--length-unit", metavar="UNIT", help="unit of positions where the table does not say: px, nm, um")
    add("--time-unit", metavar="UNIT", help="unit of times where the table does not say: s, ms, min, h")
    add_specimen_options(parser)
    add_settings_options(parser)


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.exchange.trackmate_file import read_trackmate
    from insitrack.io.tables.read_detections import read_detections
    from insitrack.io.tables.run_folder import check_folder, default_folder
    from insitrack.tracker.analysis.link_table import link
    from insitrack.tracker.run.config import load_config

    config = load_config(
        Path(options.config) if options.config else None,
        options.set,
        {
            **specimen_settings(options),
            "source.frame_interval_s": options.frame_interval_s,
        },
    )
    path = Path(options.detections)
    folder = (
        Path(options.out) if options.out else Path(default_folder(str(path)).name.replace("_track", "_link"))
    )
    check_folder(folder, options.overwrite)
    if path.resolve().parent == folder.resolve():
        raise SettingsError(f"--out {folder}: {path.name} lies there; choose another folder")
    source = config.source
    read = read_trackmate if path.suffix == ".xml" else read_detections
    table, ids = read(
        path,
        nm_per_px=source.nm_per_px,
        frame_interval_s=source.frame_interval_s,
        shape=frame_size(options.size),
        frames=options.frames,
        length_unit=options.length_unit,
        time_unit=options.time_unit,
    )
    done = link(
        table, folder, config, linker=options.linker, given_ids=ids, command=["track", *given], name=str(path)
    )
    print(f"frames: {len(table.times)}, from {table.frames_from}", file=sys.stderr)
    for line in done.manifest["warnings"]:
        print(f"warning: {line}", file=sys.stderr)
    print(f"done: {len(table.times)} frames, {len(done.summary)} tracks; open {done.folder / 'report.html'}")
    return 0
