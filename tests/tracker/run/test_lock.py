"""A run owns its folder: real processes meet in one, and the first is not disturbed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from insitrack.io.errors import OutputError
from insitrack.io.tables.columns import FRAMES
from insitrack.tracker.cli import main
from insitrack.tracker.run.lock import LOCK, OWNER, RunLock, reviewed_alone

SOURCE = "synth:loops?seed=9&frames=60&size=192&n=4"
SHORT = "synth:loops?seed=3&frames=3&size=128"
COMMAND = [sys.executable, "-m", "insitrack.tracker.cli"]


def started(out, source=SOURCE):
    """Start a run and wait until it has written frames."""
    run = subprocess.Popen(
        [*COMMAND, source, "--no-video", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (out / "frames.csv").exists() or (out / "frames.csv").read_text().count("\n") < 3:
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    return run


def refused(*arguments):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done
    assert done.stderr.startswith("track: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def tables(out):
    """Tables of a run; of the settings in time all but when by the clock they were given."""
    known = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    rows = [row.split(b",") for row in known["settings.csv"].splitlines()]
    known["settings.csv"] = b"\n".join(b",".join(row[:2] + row[3:]) for row in rows)
    return known


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Tables of the same run that nobody meets."""
    out = tmp_path_factory.mktemp("alone") / "run"
    assert main([SOURCE, "--no-video", "--out", str(out)]) == 0
    return tables(out)


def test_nothing_that_comes_to_the_folder_of_a_living_run_disturbs_it(tmp_path, undisturbed):
    out = tmp_path / "run"
    first = started(out)
    try:
        os.kill(first.pid, signal.SIGSTOP)  # it is alive for as long as the others try
        lines = [
            refused("resume", str(out)),
            refused(SHORT, "--overwrite", "--out", str(out)),
            refused(SHORT, "--out", str(out)),
        ]
    finally:
        os.kill(first.pid, signal.SIGCONT)
    _, complaints = first.communicate(timeout=300)
    assert first.returncode == 0, complaints
    for line in lines:
        assert f"process {first.pid}" in line
        assert "alive" in line
    assert tables(out) == undisturbed
    assert not {LOCK, OWNER, "resume.state"} & {path.name for path in out.iterdir()}


def test_of_two_runs_started_together_into_one_folder_one_is_done_and_one_is_refused(tmp_path):
    out = tmp_path / "run"
    runs = [
        subprocess.Popen(
            [*COMMAND, SHORT, "--no-video", "--out", str(out)], stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    complaints = [run.communicate(timeout=300)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], complaints
    assert FRAMES.read(out / "frames.csv")["frame"].tolist() == [0, 1, 2]
    assert json.loads((out / "run.json").read_text())["status"] == "done"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_the_folder_of_a_dead_run_is_taken_over(tmp_path, undisturbed):
    out = tmp_path / "run"
    first = started(out)
    first.kill()
    first.communicate()
    assert (out / OWNER).is_file()
    assert main(["resume", str(out)]) == 0
    assert tables(out) == undisturbed
    again = tmp_path / "again"
    again.mkdir()
    for name in (LOCK, OWNER):
        (again / name).write_text("left by a run that died")
    assert main([SHORT, "--no-video", "--out", str(again)]) == 0


def test_a_lock_that_another_computer_holds_counts_until_it_has_been_silent(tmp_path):
    owner = tmp_path / OWNER
    owner.write_text(json.dumps({"host": "microscope", "process": 12, "since": "2026-05-01T10:00:00+00:00"}))
    with pytest.raises(OutputError, match="process 12 on microscope"):
        RunLock(tmp_path).__enter__()
    os.utime(owner, (time.time() - 3600, time.time() - 3600))
    with RunLock(tmp_path):
        assert json.loads(owner.read_text())["process"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_one_process_cannot_hold_a_folder_twice(tmp_path):
    with RunLock(tmp_path), pytest.raises(OutputError, match="alive"):
        RunLock(tmp_path).__enter__()


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
@pytest.mark.parametrize(
    "name", ["run.lock", "run.owner", "frames.csv", "settings.csv.part", "raw", "causal", "causal/tracks.csv"]
)
def test_a_folder_whose_own_names_lead_elsewhere_is_refused_and_nothing_there_is_touched(tmp_path, name):
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.write_text("of somebody else")
    (run / name).parent.mkdir(parents=True)
    (run / name).symlink_to(outside)
    for enter in (RunLock, reviewed_alone):
        with pytest.raises(OutputError, match=f"{name}: is a link"), enter(run):
            pass
    assert outside.read_text() == "of somebody else"
    assert sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if not path.is_dir()) == [name]


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_link_of_the_user_that_no_run_writes_is_his_own_affair(tmp_path):
    (tmp_path / "movie.mp4").symlink_to("/data/movie.mp4")
    with RunLock(tmp_path):
        assert (tmp_path / "run.lock").is_file()
