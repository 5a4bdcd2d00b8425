"""`track export`: the tracks of a run for another program."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = "Write the tracks of a run for another program."
EPILOG = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track export`."""
    parser.add_argument("run", metavar="RUN", help="output folder of a run")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="napari, trackmate or mot")
    parser.add_argument(
        "--out", metavar="FILE", help="file to write (default: RUN_FORMAT with the usual ending)"
    )


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.tables import columns
    from insitrack.io.tables.exchange import FORMATS, write_tracks

    source = Path(options.run)
    path = (
        Path(options.out)
        if options.out
        else source.with_name(f"{source.resolve().name}_{options.to}{FORMATS.get(options.to, '')}")
    )
    write_tracks(columns.TRACKS.read(source / columns.TRACKS.file), path, options.to)
    print(path)
    return 0
