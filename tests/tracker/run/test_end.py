"""A live run that is asked to end ends, whether or not another picture comes, and is then refined."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from insitrack.io.tables.columns import FRAMES

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
