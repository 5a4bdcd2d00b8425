"""`track edit`: tracks and outlines corrected by hand."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = "Correct tracks by hand and recompute all that follows from them; the run stays as it is."
EPILOG = "The new folder holds refined tables, outlines, movie, report and run.json with every edit; causal/ is that of the run."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track edit`."""
    parser.add_argument("run", metavar="RUN", help="output folder of a run")
    parser.add_argument(
        "edits",
        metavar="EDITS",
        help="CSV: action (merge, split, delete, class, restore, add, outline), track_id, other_id, frame,"
        " last_frame, defect_class, outline, as track review writes it; or the .xml of track export --to trackmate,"
        " corrected in TrackMate",
    )
    parser.add_argument(
        "--movie", metavar="MOVIE", help="where the movie of the run is now (default: where it was)"
    )
    parser.add_argument("--out", metavar="DIR", help="new folder (default: RUN_edited)")


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.report.headline import headlines
    from insitrack.io.tables.run_folder import check_folder
    from insitrack.tracker.analysis.edit import edit_run
    from insitrack.tracker.run.job.finished import manifest_of

    source = Path(options.run)
    folder = Path(options.out) if options.out else source.with_name(source.resolve().name + "_edited")
    check_folder(folder, overwrite=False)
    movie = Path(options.movie) if options.movie else None
    trail = edit_run(source, Path(options.edits), folder, movie, ["track", *given])
    changed = sum(int(str(one["observations"])) for one in trail)
    print(f"done: {len(trail)} edits, {changed} observations changed; open {folder / 'report.html'}")
    for headline in headlines(folder, manifest_of(folder)):
        print(headline.line())
    return 0
