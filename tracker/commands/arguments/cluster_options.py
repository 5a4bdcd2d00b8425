"""Options that say where the work is done."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from insitrack.tracker.commands.arguments.parser import whole

if TYPE_CHECKING:
    from insitrack.tracker.many.cluster import ClusterChoice


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Add workers, cluster and what a job of a queue may take."""
    add = parser.add_argument
    add("--workers", type=whole, metavar="N", help="worker processes on this machine, or jobs of a queue")
    add(
        "--cluster",
        metavar="WHERE",
        help="tcp://HOST:8786, a Dask scheduler that is there; or slurm, pbs, lsf, sge: jobs of a queue",
    )
    add("--queue", metavar="NAME", help="queue (partition) of the jobs")
    add(
        "--walltime",
        metavar="H:M:S",
        help="longest time of a job; a movie that is cut off goes on in the next one",
    )
    add("--job-cores", type=whole, metavar="N", help="cores of a job (default: 4)")
    add("--job-memory", metavar="SIZE", help="memory of a job (default: 8GB)")


def cluster_choice(options: argparse.Namespace) -> ClusterChoice:
    """Return what the options stand for."""
    from insitrack.tracker.many.cluster import ClusterChoice

    return ClusterChoice(
        where=options.cluster or "",
        workers=-1 if options.workers == 0 else options.workers or 0,
        queue=options.queue or "",
        walltime=options.walltime or "",
        cores=options.job_cores or 4,
        memory=options.job_memory or "8GB",
    )


@contextmanager
def workers_of(options: argparse.Namespace, purpose: str) -> Iterator[Any]:
    """Give what spreads the network of one movie over the workers that the options ask for; None without any.

    Raises
    ------
    InsitrackError
        If they cannot be had; nothing has started then.
    """
    choice = cluster_choice(options)
    if not choice.where and not choice.workers and not choice.queue and not choice.walltime:
        yield None
        return
    from insitrack.tracker.many.cluster import check_cluster

    check_cluster(choice, purpose)
    from insitrack.tracker.many.stretches import spread_over

    with spread_over(choice, lambda line: print(f"workers: {line}", file=sys.stderr)) as spread:
        yield spread
