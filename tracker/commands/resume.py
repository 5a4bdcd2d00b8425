"""`track resume`: continue a run that was cut off."""

from __future__ import annotations

import argparse
from pathlib import Path

from insitrack.tracker.commands.arguments.cluster_options import add_cluster_options, workers_of
from insitrack.tracker.commands.arguments.options import add_on_trigger_option

DESCRIPTION = "Go on with a run that was cut off, by a crash, a full disk or a power cut."
EPILOG = (
    "Of a movie the tables come out as if it had never been cut off; of a camera what was missed is a gap."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track resume`."""
    parser.add_argument("run", metavar="RUN", help="output folder of the run")
    add_cluster_options(parser)
    add_on_trigger_option(parser)


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.tracker.commands.arguments.progress import ProgressBar, stop_on_interrupt
    from insitrack.tracker.commands.source import alarm, tell
    from insitrack.tracker.run.live.callers import Callers
    from insitrack.tracker.run.resume import resume

    callers = Callers(options.on_trigger or (), alarm)
    with (
        workers_of(options, "track resume --cluster") as spread,
        stop_on_interrupt() as stop,
        ProgressBar() as bar,
    ):
        done = resume(
            Path(options.run), progress=bar.update, stop=stop, alarm=alarm, spread=spread, on_trigger=callers
        )
    callers.finish()
    return tell(done)
