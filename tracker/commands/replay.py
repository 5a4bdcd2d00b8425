"""`track replay`: send a movie as a camera would."""

from __future__ import annotations

import argparse

from insitrack.tracker.commands.arguments.parser import number, whole

DESCRIPTION = "Send a movie as a camera would, over HTTP on this computer, with the faults of real ones."
EPILOG = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track replay`."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="movie, folder of images or synth:SCENE")
    add("--port", type=whole, default=8090, help="port on 127.0.0.1 (default: 8090)")
    add("--fps", type=number, metavar="N", help="frames per second (default: as it was taken)")
    add("--loops", type=whole, default=1, metavar="N", help="how many times it is played (default: once)")
    kinds = "stall, drop, duplicate, reorder, resize, disconnect, corrupt"
    add(
        "--fault", action="append", default=[], metavar="KIND@FRAME:SECONDS", help=f"{kinds}; may be repeated"
    )


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
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
