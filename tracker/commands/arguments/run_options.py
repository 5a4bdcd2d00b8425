"""Options of `track SOURCE` that say how frames become results: also those of every movie of a batch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from insitrack.tracker.commands.arguments.options import (
    add_settings_options,
    add_specimen_options,
    add_trust_option,
    specimen_settings,
)
from insitrack.tracker.commands.arguments.parser import names, number, whole

if TYPE_CHECKING:
    from insitrack.tracker.run.config import RunConfig


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add frames, specimen, model and settings."""
    add = parser.add_argument
    add(
        "--frame-interval-s",
        type=number,
        metavar="S",
        help="time between frames (default: the file's timestamps)",
    )
    add_specimen_options(parser)
    add_trust_option(parser)
    add("--model", metavar="NAME", help="segmentation model: a shipped name or an ONNX file (default: loops)")
    add("--conf", type=number, metavar="0..1", help="least confidence of a detection")
    add(
        "--only",
        type=names,
        metavar="CLASS,...",
        help="look for these classes only, for example loop_111,loop_100,black_dot",
    )
    add("--start", type=number, metavar="S", help="first time to process")
    add("--end", type=number, metavar="S", help="last time to process")
    add("--every", type=whole, metavar="N", help="process every N-th frame")
    add(
        "--stills",
        action="store_true",
        help="separate micrographs, no movie: nothing is linked, one row each, means over them",
    )
    add("--no-video", action="store_true", help="write no annotated movie")
    add_settings_options(parser)


def run_settings(options: argparse.Namespace) -> RunConfig:
    """Resolve the settings that the options stand for.

    Raises
    ------
    SettingsError
        If one is unknown or has an impossible value.
    """
    from insitrack.tracker.run.config import load_config

    view = getattr(options, "view", None)
    return load_config(
        Path(options.config) if options.config else None,
        options.set,
        {
            **specimen_settings(options),
            "series.least_trust": options.trust_anyway,
            "source.frame_interval_s": options.frame_interval_s,
            "source.start_s": options.start,
            "source.end_s": options.end,
            "source.every": options.every,
            "source.stills": True if options.stills else None,
            "segment.confidence": options.conf,
            "segment.classes": options.only,
            "model": options.model,
            "output.video": False if options.no_video else None,
            "output.view": "" if view == "none" else view,
            "live.triggers": getattr(options, "trigger", None),
        },
    )
