"""`track batch`: many movies, on this machine or on a cluster."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insitrack.io.errors import OutputError, SettingsError
from insitrack.tracker.commands.arguments.cluster_options import add_cluster_options, cluster_choice
from insitrack.tracker.commands.arguments.parser import names
from insitrack.tracker.commands.arguments.run_options import add_run_options

if TYPE_CHECKING:
    from insitrack.tracker.many.movies import Movie
    from insitrack.tracker.many.status import MovieStatus

_LAST_PORT = 65535
DESCRIPTION = """\
Run many movies, on the processes of this machine or on a cluster, and compare what comes of them.

  track batch movies.csv --out night1 --workers 2                one row a movie: path, and any option of track as a column
  track batch night1/movies --out night1 --nm-per-px 0.37        all movies of a folder, with the same options
  track batch "*.dm4" --out night1 --cluster tcp://host:8786     on the workers of a Dask scheduler
  track batch movies.csv --out night1 --cluster slurm --queue short --walltime 2:00:00
"""

EPILOG = """\
Columns are named as options, with _ for -: path label nm_per_px thickness_nm dose_rate material start end stills ...; a setting as
section.key; others that only describe the movies are named by --facts. Written to DIR: status.csv, a folder with a normal run for every
movie, and of all together batch.csv, batch_series.parquet and batch.html. The same command again does only what is left.
Exit status: 0 all done, 1 a movie failed or the batch was stopped, 2 change something and retry.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track batch`."""
    add = parser.add_argument
    add("movies", metavar="TABLE.csv|FOLDER|PATTERN", help="the movies")
    add("--out", metavar="DIR", required=True, help="folder of the batch")
    add("--overwrite", action="store_true", help="run all movies anew, also those that are done")
    add_cluster_options(parser)
    add(
        "--view",
        metavar="HOST:PORT",
        help="where the page of the batch listens (default: a free port of this computer); none: nowhere",
    )
    add(
        "--facts",
        type=names,
        metavar="NAME,...",
        help="columns that only describe the movies, such as temperature_c",
    )
    add("--against", metavar="NAME", help="column against which batch.html compares the movies")
    add_run_options(parser)


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.tracker.commands.arguments.rows import movies_of
    from insitrack.tracker.many.cluster import check_cluster
    from insitrack.tracker.many.status import STATUS, taken_up
    from insitrack.tracker.many.together import check_against
    from insitrack.tracker.run.lock import RunLock

    out, choice = Path(options.out), cluster_choice(options)
    _place(options.view)
    check_cluster(choice, "track batch")
    movies = movies_of(options.movies, options, out, _facts(options))
    check_against(options.against or "", movies)
    _check_out(out, movies, overwrite=options.overwrite)
    with RunLock(out):
        states = taken_up(Path() if options.overwrite else out / STATUS.file, movies)
        return _run(options, states, out)


def _facts(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the columns that only describe the movies; that of --against is one where it is no option."""
    facts = tuple(options.facts or ())
    known = {*vars(options), "path", "label", "dose", "time", *facts}
    return facts if not options.against or options.against in known else (*facts, options.against)


def _check_out(out: Path, movies: list[Movie], *, overwrite: bool) -> None:
    """Refuse a folder that holds something else than this batch."""
    from insitrack.tracker.many.status import STATUS, read_rows_of

    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {out}: is a file; expected a folder, new or of this batch")
    if overwrite or not out.is_dir():
        return
    if any(out.iterdir()) and not (out / STATUS.file).is_file():
        raise OutputError(
            f"--out {out}: exists, is not empty and holds no batch; choose another folder or add --overwrite"
        )
    of_batch = {row["movie"] for row in read_rows_of(out / STATUS.file)}
    for one in movies:
        if one.name not in of_batch and one.folder.is_dir() and any(one.folder.iterdir()):
            raise OutputError(f"{one.where}: {one.folder} is not of this batch; give the row another label")


def _run(options: argparse.Namespace, states: list[MovieStatus], out: Path) -> int:
    from insitrack.tracker.commands.arguments.progress import stop_on_interrupt
    from insitrack.tracker.many.batch import Batch
    from insitrack.tracker.many.cluster import connected

    left = [one for one in states if one.status == "waiting"]
    if left:
        print(f"batch: {len(left)} of {len(states)} movies to do; starting the workers", file=sys.stderr)
        with stop_on_interrupt() as stop, connected(cluster_choice(options), len(left)) as client:
            batch = Batch(client, states, out, stop, _say)
            _watched(batch, options, out)
    return _end(options, states, out)


def _watched(batch: Any, options: argparse.Namespace, out: Path) -> None:
    """Run a batch with its page and its lines of progress."""
    from contextlib import ExitStack

    from insitrack.tracker.many.view import BatchView

    with ExitStack() as stack:
        if options.view != "none":
            host, port = _place(options.view)
            page = stack.enter_context(BatchView(batch, out.resolve().name, host=host, port=port))
            _say(f"watch it at {page.address}")
        over = threading.Event()
        stack.callback(over.set)
        threading.Thread(target=_progress, args=(batch, over), daemon=True).start()
        batch.run()


def _place(view: str | None) -> tuple[str, int]:
    """Return host and port of the page; `none`, or no wish at all, is a free port of this computer."""
    host, _, port = (view if view and view != "none" else "127.0.0.1:0").rpartition(":")
    if not host or not port.isdigit() or int(port) > _LAST_PORT:
        raise SettingsError(f"--view {view}: expected HOST:PORT, for example 127.0.0.1:8000, or none")
    return host.strip("[]"), int(port)


def _progress(batch: Any, over: threading.Event) -> None:
    """Print a line about the whole batch now and then."""
    while not over.wait(10.0):
        facts = batch.overview()
        left = facts["left_s"]
        _say(
            ", ".join(f"{n} {name}" for name, n in facts["counts"].items() if n)
            + f"; {facts['frames_per_s']:.1f} frames/s"
            + ("" if left is None else f", about {left / 60:.0f} min left")
        )


def _end(options: argparse.Namespace, states: list[MovieStatus], out: Path) -> int:
    """Write what comes of all movies together, and say how it ended."""
    from insitrack.tracker.many.together import write_together

    facts, against = _facts(options), options.against or ""
    for note in write_together(states, out, facts, against):
        print(f"warning: {note}", file=sys.stderr)
    n = {name: sum(one.status == name for one in states) for name in ("done", "failed", "stopped")}
    for one in states:
        if one.status == "failed":
            print(f"failed: {one.movie.name}: {one.why}", file=sys.stderr)
    words = [f"{n['done']} of {len(states)} movies done"]
    words += [f"{n[name]} {name}" for name in ("failed", "stopped") if n[name]]
    if n["stopped"]:
        words.append("the same command goes on")
    print("; ".join(words) + f"; open {out / 'batch.html'}")
    return 0 if n["done"] == len(states) else 1


def _say(line: str) -> None:
    print(f"batch: {line}", file=sys.stderr)
