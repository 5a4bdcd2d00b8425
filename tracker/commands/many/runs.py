"""`track runs`: the catalogue of the runs below a folder."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from insitrack.io.errors import SettingsError, nearest
from insitrack.tracker.commands.arguments.parser import names

DESCRIPTION = """\
List, filter and compare all runs below a folder; nothing has to be started or kept up to date.

  track runs lab                                                     all runs, their last known values
  track runs lab --where "material = 'fecral' and trust > 0.8" --sort -density_per_m3
  track runs lab --compare night1/a,night1/b                         what is different between runs
  track runs lab --open night1/a                                     the report of a run, in the browser
  track runs tonight --page                                          a page: what runs now, side by side, and what ended last
  track runs lab --sql "select run, max(n) from series group by run"
"""

EPILOG = """\
Tables for --sql: runs (one row each), and of all runs together series, summary, kinetics, events, frames, tracks, each with a column
run. It can only read, and only below the folder. What is known of each run is kept in .insitrack_runs.json there.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track runs`."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="folder with runs in it, at any depth")
    add("--where", default="", metavar="CONDITION", help="runs for which this holds, as in SQL")
    add("--columns", type=names, metavar="NAME,...", help="columns that are shown; all: every one")
    add("--sort", default="", metavar="NAME", help="column by which to sort; -NAME: the largest first")
    add(
        "--compare",
        type=names,
        metavar="RUN,RUN",
        help="the columns in which these runs differ, side by side",
    )
    add("--open", metavar="RUN", help="open the report of a run in the browser")
    add("--sql", metavar="SELECT", help="a question of your own")
    add("--csv", action="store_true", help="print as CSV")
    add(
        "--page",
        action="store_true",
        help="a page in the browser: runs that go on now side by side, reports of those that ended last",
    )
    add(
        "--view",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="where that page listens (default: a free port of this computer)",
    )


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.extras import require

    if options.page:
        return _serve(Path(options.folder), options.view)
    require("cluster", "duckdb", purpose="track runs")
    from insitrack.tracker.many.catalogue import Catalogue

    catalogue = Catalogue(Path(options.folder), lambda line: print(f"runs: {line}", file=sys.stderr))
    if options.open:
        return _open(catalogue.root / _known(options.open, catalogue))
    if options.compare:
        heads, rows = _differences(catalogue, [_known(name, catalogue) for name in options.compare])
    elif options.sql:
        heads, rows = catalogue.ask(options.sql)
    else:
        columns = catalogue.columns if options.columns == ("all",) else options.columns or ()
        heads, rows = catalogue.select(options.where, columns, options.sort)
    _print(heads, rows, as_csv=options.csv)
    return 0


def _serve(root: Path, view: str) -> int:
    from insitrack.io.pages.server import listens_at
    from insitrack.tracker.many.beamtime import BeamTime
    from insitrack.tracker.many.beamtime_page import BeamTimeServer

    host, port = listens_at(view)
    server = BeamTimeServer(BeamTime(root), host=host, port=port)
    server.start()
    print(f"watch it at {server.address}; Ctrl-C ends the page", flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        server.stop()
    return 0


def _known(name: str, catalogue: Any) -> str:
    known = [row["run"] for row in catalogue.rows]
    if name not in known:
        near = nearest(name, known)
        raise SettingsError(
            f"{name}: no such run below {catalogue.root}" + (f"; did you mean {near}?" if near else "")
        )
    return name


def _open(folder: Path) -> int:
    import webbrowser

    report = folder / "report.html"
    if not report.is_file():
        raise SettingsError(f"{report}: no such file; the run has no report")
    print(report)
    webbrowser.open(report.as_uri())
    return 0


def _differences(catalogue: Any, chosen: list[str]) -> tuple[list[str], list[Any]]:
    """Columns in which runs differ, a row each, with a column for every run."""
    rows = {row["run"]: row for row in catalogue.rows}
    names_of_rows = [name for name in catalogue.columns if name != "run"]
    values = [(name, *(rows[one].get(name) for one in chosen)) for name in names_of_rows]
    return ["", *chosen], [row for row in values if len({repr(value) for value in row[1:]}) > 1]


def _print(heads: list[str], rows: list[Any], *, as_csv: bool) -> None:
    cells = [[_cell(value) for value in row] for row in rows]
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([heads, *cells])
        return
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    for row in [heads, *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"{len(rows)} row{'s' * (len(rows) != 1)}", file=sys.stderr)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return "" if value is None else " ".join(str(value).split())
