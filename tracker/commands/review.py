"""`track review`: a finished run corrected in the browser."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DESCRIPTION = "Look at a finished run in the browser and correct it by mouse and keys; a new run follows from the edits."
EPILOG = """\
Edits are kept in RUN/edits.csv as they are made, and taken up again the next time. "Write new run" does what
track edit RUN RUN/edits.csv does, into a folder of its own: nothing of the run is changed. The page is for this
computer; with --view HOST:PORT others need the token in its address. It ends with Ctrl-C.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track review`."""
    add = parser.add_argument
    add("run", metavar="RUN", help="output folder of a run")
    add("movie", nargs="?", metavar="MOVIE", help="where its movie is now (default: where it was)")
    add("--out", metavar="DIR", help="folder of the new run (default: RUN_edited, or the next that is free)")
    add(
        "--view",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="where the page is served (default: this computer alone, a free port)",
    )
    add(
        "--token",
        metavar="WORD",
        help="what others must know, for --view with another host (default: made up)",
    )
    add("--no-browser", action="store_true", help="do not open the page, only print its address")


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.tracker.review.open import reviewing

    movie = Path(options.movie) if options.movie else None
    out = Path(options.out) if options.out else None
    with reviewing(
        Path(options.run), movie, out, view=options.view, token=options.token, warn=_warn
    ) as server:
        print(f"review: {server.address}", flush=True)
        if not options.no_browser:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.wait()
        except KeyboardInterrupt:
            print(f"\ndone: {server.n_edits} edits in {Path(options.run) / 'edits.csv'}")
    return 0


def _warn(line: str) -> None:
    print(f"track: {line}", file=sys.stderr)
