"""`track annotate`: a finished run drawn again, from its final tables."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from insitrack.io.errors import OutputError, SettingsError
from insitrack.tracker.commands.arguments.parser import names, number, whole

DESCRIPTION = "Draw a finished run again: other colours, classes or times, beside the raw frames, MP4 or GIF."
EPILOG = """\
What is drawn are the ids and classes of tracks.csv and the outlines of masks.parquet. The frames come from the
movie of the run, or from raw/, where a live run with --set output.raw=true keeps them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track annotate`."""
    add = parser.add_argument
    add("run", metavar="RUN", help="output folder of a run")
    add("movie", nargs="?", metavar="MOVIE", help="where its movie is now (default: where it was)")
    add("--out", metavar="FILE", help="file to write, .mp4 or .gif (default: RUN_annotated.mp4)")
    add("--overwrite", action="store_true", help="replace the file")
    add("--only", type=names, default=(), metavar="CLASS,...", help="draw these classes only")
    add("--colours", default="", metavar="CLASS=#RRGGBB,...", help="colours in place of the usual ones")
    add("--no-ids", action="store_true", help="write no ids")
    add("--stroke", type=whole, metavar="PX", help="width of lines (default: 1, and 2 above 1536 px)")
    add("--beside", action="store_true", help="put the frame as it is to the left")
    add("--start", type=number, metavar="S", help="first time to draw")
    add("--end", type=number, metavar="S", help="last time to draw")
    add("--every", type=whole, default=1, metavar="N", help="draw every N-th frame")
    add("--width", type=whole, default=640, metavar="PX", help="width of a GIF (default: 640)")


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.draw.annotate import AnnotationStyle
    from insitrack.tracker.analysis.redraw import Redrawing, annotate

    source = Path(options.run)
    out = Path(options.out) if options.out else source.with_name(f"{source.resolve().name}_annotated.mp4")
    if out.exists() and not options.overwrite:
        raise OutputError(f"--out {out}: exists; choose another name or add --overwrite")
    if options.every < 1 or options.width < 64:
        raise SettingsError(f"--every {options.every}, --width {options.width}: expected >= 1, >= 64")
    style = AnnotationStyle(
        max_ids=0 if options.no_ids else AnnotationStyle().max_ids,
        stroke_px=options.stroke,
        colours=_colours(options.colours),
        beside=options.beside,
    )
    how = Redrawing(
        style=style,
        only=options.only,
        start_s=options.start,
        end_s=options.end,
        every=options.every,
        width_px=options.width,
    )
    n_drawn = annotate(source, Path(options.movie) if options.movie else None, out, how)
    print(f"done: {n_drawn} frames; open {out}")
    return 0


def _colours(text: str) -> dict[str, tuple[int, int, int]]:
    """Read colours by class."""
    colours = {}
    for part in names(text):
        name, _, code = part.partition("=")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", code.strip()):
            raise SettingsError(f"--colours {part}: expected CLASS=#RRGGBB, for example loop_111=#ff8800")
        value = int(code.strip()[1:], 16)
        colours[name.strip()] = (value >> 16, value >> 8 & 255, value & 255)
    return colours
