"""`track label`: frames to label, chosen and outlined by a model, on a page in the browser."""

from __future__ import annotations

import argparse
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from insitrack.tracker.commands.arguments.parser import number, whole

if TYPE_CHECKING:
    from insitrack.tracker.labelling.store import LabelStore

DESCRIPTION = """\
Label a few frames of your material, with the model's outlines as a start, and train on them.

  track label movie.mp4 --frames 16 --out labels/        16 crops: where the model doubts, and that differ
  track label movie.mp4 --out labels/                    take up where you stopped
  track label movie.mp4 --out labels/ --as anna          the same crops once more, by somebody else
  track eval labels/labels_anna.json --also labels/labels.json    how far both agree
  track train labels/                                    a model that knows your material

The page opens on this computer alone. Everything is saved as you go; Ctrl+C ends.
"""
EPILOG = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track label`."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="movie, folder, image or stack, or synth:SCENE")
    add("--frames", type=whole, metavar="N", help="how many crops to label (default: 16)")
    add("--out", default="labels", metavar="DIR", help="folder of the labels (default: labels)")
    add("--as", dest="annotator", default="", metavar="NAME", help="who labels: a file for each name")
    add("--model", default="loops", metavar="NAME", help="whose outlines are the start (default: loops)")
    add("--crop-px", type=whole, default=512, metavar="PX", help="side of the crops (default: 512)")
    add("--nm-per-px", type=number, metavar="NM", help="width of a pixel (default: what the file says)")
    add(
        "--view",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="address of the page (default: a free port here)",
    )
    add("--no-page", action="store_true", help="choose and outline only; label later")


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.pages.server import listens_at
    from insitrack.tracker.labelling.job import open_labels
    from insitrack.tracker.labelling.settings import LabelSettings

    host, port = listens_at(options.view)
    chosen = LabelSettings(
        frames=16 if options.frames is None else options.frames,
        crop_px=options.crop_px,
        model=options.model,
        annotator=options.annotator,
    )
    folder = Path(options.out)
    store = open_labels(
        options.source, folder, chosen, frames=options.frames, nm_per_px=options.nm_per_px, say=_say
    )
    if not options.no_page:
        _serve(store, host, port)
    train = ["track", "train", str(store.path if options.annotator else folder)]
    again = ["track", "label", options.source, "--out", str(folder)]
    again += ["--as", options.annotator] if options.annotator else []
    then = shlex.join(train if store.n_done > 1 else again)
    print(f"done: {store.n_done} of {len(store.crops)} images are labelled in {store.path}; next: {then}")
    return 0


def _serve(store: LabelStore, host: str, port: int) -> None:
    """Show the page until somebody presses Ctrl+C."""
    from insitrack.io.errors import OutputError
    from insitrack.tracker.labelling.server import LabelServer

    ended, faults = threading.Event(), []

    def failed(error: BaseException) -> None:
        faults.append(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        ended.set()

    server = LabelServer(store, host=host, port=port, failed=failed)
    server.start()
    _say(f"page: {server.address}  (Ctrl+C ends; everything is saved as you go)")
    try:
        while not ended.wait(0.5):  # a wait without a limit hears no Ctrl+C on Windows
            pass
    except KeyboardInterrupt:
        _say("")
    finally:
        server.stop()
    if faults:
        raise OutputError(f"the page ended ({faults[0]}); the labels are kept: start the command again")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
