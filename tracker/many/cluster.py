"""Workers: processes of this machine, an existing Dask scheduler, or jobs of a queue."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from insitrack.io.errors import SettingsError
from insitrack.io.extras import require

QUEUES = {
    "slurm": ("SLURMCluster", "sbatch"),
    "pbs": ("PBSCluster", "qsub"),
    "lsf": ("LSFCluster", "bsub"),
    "sge": ("SGECluster", "qsub"),
}
"""Class of dask-jobqueue for each kind of queue, and the command that submits a job."""
_CONNECT_S = 5.0
_CARE_EVERY_S = 2.0
MOST_JOBS = 16
"""Jobs of a queue, unless another number is asked for."""
_ASKS_TO_STOP = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterChoice:
    """Where the work is done.

    Parameters
    ----------
    where : str
        Empty for processes of this machine, ``tcp://host:8786``, or one of `QUEUES`.
    workers : int
        Processes here, or jobs of a queue; 0: a process for every four cores here, a job a movie of a queue.
    queue, walltime : str
        Name of the queue, and the longest time of a job; empty as the cluster has them.
    cores : int
        Cores of a job.
    memory : str
        Memory of a job.
    """

    where: str = ""
    workers: int = 0
    queue: str = ""
    walltime: str = ""
    cores: int = 4
    memory: str = "8GB"


def check_cluster(choice: ClusterChoice, purpose: str) -> None:
    """Make sure that the workers can be had, before anything starts.

    Raises
    ------
    InsitrackError
        If a package, the scheduler or the queue is missing.
    """
    packages = ["dask", "distributed", *(["dask_jobqueue"] if choice.where in QUEUES else [])]
    require("cluster", *packages, purpose=purpose)
    if choice.workers < 0:
        raise SettingsError(f"--workers {choice.workers}: expected a positive number")
    if choice.where in QUEUES:
        program = QUEUES[choice.where][1]
        if shutil.which(program) is None:
            raise SettingsError(
                f"--cluster {choice.where}: no {program} on this machine; run it where jobs are submitted, or use"
                " --workers N"
            )
        return
    if choice.queue or choice.walltime:
        raise SettingsError("--queue and --walltime: only with --cluster slurm, pbs, lsf or sge")
    if choice.where:
        _check_address(choice)


def _check_address(choice: ClusterChoice) -> None:
    parts = urlsplit(choice.where)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("tcp", "tls", "ws", "wss") or not host or not port:
        raise SettingsError(
            f"--cluster {choice.where}: expected tcp://HOST:PORT of a Dask scheduler, or {', '.join(QUEUES)}"
        )
    if choice.workers:
        raise SettingsError(
            f"--workers {choice.workers}: the scheduler at {choice.where} has its own workers"
        )
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except OSError as error:
        raise SettingsError(
            f"--cluster {choice.where}: no scheduler there ({error}); start one with: dask scheduler"
        ) from error


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@contextmanager
def connected(choice: ClusterChoice, most: int) -> Iterator[Any]:
    """Give a client whose workers come as they can; at the end those that were started here are ended.

    Parameters
    ----------
    choice : ClusterChoice
        Where; `check_cluster` has looked at it.
    most : int
        More workers have nothing to do.

    Yields
    ------
    distributed.Client

    Raises
    ------
    SettingsError
        If the scheduler does not answer.
    """
    import dask
    from distributed import Client

    calm = {"distributed.logging": {"distributed": "critical"}, "distributed.comm.timeouts.connect": "10s"}
    with dask.config.set(calm):
        for name in (
            "distributed",
            "distributed.nanny",
            "distributed.scheduler",
            "distributed.worker",
            "tornado",
        ):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if choice.where and choice.where not in QUEUES:
            try:
                client = Client(choice.where, timeout=_CONNECT_S, set_as_default=False)
            except (OSError, TimeoutError, ValueError) as error:
                first = (str(error).splitlines() or [""])[0]
                raise SettingsError(
                    f"--cluster {choice.where}: no Dask scheduler answers ({first})"
                ) from error
            with client:
                yield client
            return
        cluster = _queued(choice, most) if choice.where else _local(choice, most)
        kept = nullcontext() if choice.where else kept_up(cluster, len(cluster.workers))
        with cluster, kept, Client(cluster, set_as_default=False) as client:
            client.register_plugin(_deaf_plugin())
            yield client


def _local(choice: ClusterChoice, most: int) -> Any:
    """Start processes of this machine, which share its cores."""
    from distributed import LocalCluster

    cores = usable_cores()
    n_workers = max(1, min(choice.workers or max(1, cores // 4), most))
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=max(1, cores // n_workers),
        processes=True,
        memory_limit=0,  # a run has its own bounds, and a worker that is ended for its size loses work
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )


@contextmanager
def kept_up(cluster: Any, n_workers: int, every_s: float = _CARE_EVERY_S) -> Iterator[None]:
    """Start processes of this machine again that are gone for good.

    Dask starts a process that died again, and gives it up where that lasts longer than 15 s, as on a machine that does
    much else, or where the new one dies as it starts: nobody would be left, and movies would wait for ever.

    Parameters
    ----------
    cluster : distributed.LocalCluster
        Its `workers` are those that have not been given up.
    n_workers : int
        How many there shall be.
    every_s : float
        Time between two looks, s.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(every_s):
            if len(cluster.workers) < n_workers:
                cluster.scale(n_workers)

    thread = threading.Thread(target=look, name="insitrack-workers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(every_s)


def _queued(choice: ClusterChoice, most: int) -> Any:
    """Jobs of a queue; one that ends before the work is submitted again."""
    import dask_jobqueue

    n_jobs = min(choice.workers or MOST_JOBS, most)
    options: dict[str, Any] = {"cores": choice.cores, "processes": 1, "memory": choice.memory}
    options |= {"queue": choice.queue} if choice.queue else {}
    options |= {"walltime": choice.walltime} if choice.walltime else {}
    cluster = getattr(dask_jobqueue, QUEUES[choice.where][0])(
        **options, scheduler_options={"dashboard_address": None}
    )
    cluster.adapt(minimum_jobs=n_jobs, maximum_jobs=n_jobs)
    return cluster


def _deaf_plugin() -> Any:
    """Make workers deaf to Ctrl-C in the terminal: the batch that hears it ends them in order."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):  # type: ignore[misc]
        name = "insitrack-deaf"

        def setup(self, worker: Any) -> None:
            for number in _ASKS_TO_STOP:
                signal.signal(number, signal.SIG_IGN)

    return Deaf()
