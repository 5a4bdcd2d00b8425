"""Where the work is done: jobs of a queue as far as that can be seen without one, and processes here."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from insitrack.io.errors import SettingsError
from insitrack.io.extras import MissingExtraError
from insitrack.tracker.many.cluster import QUEUES, ClusterChoice, check_cluster, connected, kept_up
from insitrack.tracker.many.worker import worker_facts

SBATCH = """#!/bin/sh
# stands in for Slurm: keeps the script, and runs it here
cp "$1" {here}/job.sh
setsid sh {here}/job.sh > {here}/job.log 2>&1 &
echo $! >> {here}/jobs
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -TERM -- -"$job" 2>/dev/null; done; true
"""


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_that_is_not_here_is_refused_by_the_name_of_its_command(
    queue: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=QUEUES[queue][1]):
        check_cluster(ClusterChoice(where=queue), "track batch")


def test_without_its_packages_a_queue_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "insitrack.io.extras.find_spec", lambda name: None if name == "dask_jobqueue" else name
    )
    with pytest.raises(MissingExtraError, match=r"dask_jobqueue.*insitrack\[cluster\]"):
        check_cluster(ClusterChoice(where="slurm"), "track batch")


def test_processes_that_dask_gave_up_are_started_again_and_none_beside_those_that_are_there() -> None:
    class GivenUp:
        """Cluster that loses its second worker, and gets it back when it is asked to."""

        def __init__(self) -> None:
            self.workers, self.asked = {0: "here"}, list[int]()

        def scale(self, n_workers: int) -> None:
            self.asked.append(n_workers)
            self.workers = dict.fromkeys(range(n_workers), "here")

    cluster = GivenUp()
    with kept_up(cluster, 2, every_s=0.01):
        end = time.monotonic() + 10
        while not cluster.asked and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
    assert cluster.asked == [2]


@pytest.mark.slow
def test_jobs_are_submitted_with_queue_and_walltime_and_a_job_that_ends_is_submitted_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("dask_jobqueue")
    for name, text in (("sbatch", SBATCH.format(here=tmp_path)), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    choice = ClusterChoice(
        where="slurm", workers=1, queue="short", walltime="00:10:00", cores=1, memory="2GB"
    )
    check_cluster(choice, "track batch")
    try:
        with connected(choice, 3) as client:
            client.wait_for_workers(1, timeout=120)
            script = (tmp_path / "job.sh").read_text(encoding="utf-8")
            assert "-p short" in script
            assert "-t 00:10:00" in script
            (facts,) = client.run(worker_facts).values()
            assert facts["sees"]
            first = int((tmp_path / "jobs").read_text(encoding="utf-8").split()[0])
            os.killpg(first, signal.SIGKILL)
            end = time.monotonic() + 120
            while len((tmp_path / "jobs").read_text(encoding="utf-8").split()) < 2 and time.monotonic() < end:
                time.sleep(0.2)
            assert len((tmp_path / "jobs").read_text(encoding="utf-8").split()) >= 2
    finally:
        for job in map(int, (tmp_path / "jobs").read_text(encoding="utf-8").split()):
            try:
                os.killpg(job, signal.SIGKILL)
            except ProcessLookupError:
                continue


def test_a_scheduler_that_is_there_gives_its_workers_and_keeps_them(client: Any) -> None:
    choice = ClusterChoice(where=client.scheduler.address)
    check_cluster(choice, "track batch")
    with connected(choice, 1) as other:
        assert len(other.run(worker_facts)) == 1
    assert len(client.run(worker_facts)) == 1
