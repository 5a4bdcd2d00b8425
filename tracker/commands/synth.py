"""`track synth`: a drawn movie with its exact truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from insitrack.tracker.commands.arguments.parser import whole

DESCRIPTION = "Draw a synthetic movie and write it with its exact truth."
EPILOG = "What may follow a whole address, synth:SCENE?key=value&..., stands in configs/synth.toml."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track synth`."""
    from insitrack.io.synth.settings import ranges

    add = parser.add_argument
    kinds = ", ".join(ranges()["scene"])
    add("scene", nargs="?", default="loops", help=f"{kinds} (default: loops); or a whole synth: address")
    add("--out", required=True, metavar="DIR", help="folder for movie.mp4, truth.csv and truth.json")
    add("--seed", type=whole, default=0, help="of everything random (default: 0)")
    add("--frames", type=whole, default=100, help="number of frames (default: 100)")
    add("--size", default="512", metavar="N or WxH", help="size of the frames, px (default: 512)")
    add(
        "--lossless",
        action="store_true",
        help="write movie.mkv with every grey level exact, in place of movie.mp4",
    )
    add("--overwrite", action="store_true", help="write into a folder that holds something")


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
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
