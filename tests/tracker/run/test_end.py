"""A live run that is asked to end ends, whether or not another frame comes, and is then refined."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tifffile

import insitrack
from insitrack.io.live.replay import parse_fault
from insitrack.io.sources import replay
from insitrack.io.tables.columns import FRAMES
from insitrack.tracker.run.config import load_config

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_whose_source_has_fallen_silent_ends_by_a_signal(tmp_path, number):
    folder, out = tmp_path / "pictures", tmp_path / "run"
    folder.mkdir()
    command = [
        sys.executable,
        "-m",
        "insitrack.tracker.cli",
        f"watch:{folder}",
        "--no-video",
        "--out",
        str(out),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        draw = np.random.default_rng(1)
        n_written = 0
        while run.poll() is None and not (
            (out / "frames.csv").exists() and (out / "frames.csv").read_text().count("processed") >= 3
        ):
            if n_written < 5 and (out / "frames.csv").exists():
                picture = draw.integers(90, 160, (128, 128), np.uint8)
                tifffile.imwrite(folder / f"new_{n_written}.tmp", picture)
                (folder / f"new_{n_written}.tmp").rename(folder / f"{n_written:03d}.tif")
                n_written += 1
            time.sleep(0.1)
        run.send_signal(number)
        _, said = run.communicate(timeout=60)  # without the end of a silent source it waits for ever
    assert run.returncode == 0, said
    manifest = json.loads((out / "run.json").read_text())
    assert (manifest["status"], manifest["tables"]) == ("done", "refined")
    assert len(FRAMES.read(out / "frames.csv")) >= 3
    assert (out / "report.html").is_file()


@pytest.mark.parametrize("asked", [{}, {"frame_interval_s": 0.1}, {"every": 2}])
def test_a_run_of_a_stream_that_says_nothing_for_minutes_ends_when_asked(tmp_path, asked):
    settings = ["output.video=false", "live.stall_s=300", "segment.scale=1.0", "segment.contrast=dark"]
    stop, n_frames = threading.Event(), [0]
    with replay(
        "synth:loops?frames=40&size=96&seed=3", fps=20, faults=[parse_fault("stall@6:300")]
    ) as camera:
        run = threading.Thread(
            target=insitrack.track,
            args=(camera.address, tmp_path / "run"),
            kwargs={
                "config": load_config(assignments=settings),
                "stop": stop,
                "progress": lambda tally, _: n_frames.__setitem__(0, tally.frames),
                **asked,
            },
        )
        run.start()
        while n_frames[0] < 5:
            time.sleep(0.05)
        stop.set()
        run.join(timeout=60)  # a wait for the next frame would last five minutes
        assert not run.is_alive()
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (manifest["status"], manifest["tables"]) == ("done", "refined")
