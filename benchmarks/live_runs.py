"""Runs that the marks of a live run are tried on: started as a user would, asked, and looked at."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

from insitrack.io.tables.records import SETTINGS

COMMAND = [sys.executable, "-m", "insitrack.tracker.cli"]
SOURCE = "synth:loops?seed=9&frames=24&size=128&n=4"
QUICK = ["--no-video", "--set", "segment.scale=1.0", "--set", "segment.contrast=dark"]


def started(out: Path, *more: str) -> subprocess.Popen[str]:
    """Start a run, and wait until it has written frames."""
    run = subprocess.Popen(
        [*COMMAND, SOURCE, *QUICK, "--out", str(out), *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (out / "frames.csv").exists() or (out / "frames.csv").read_text().count("\n") < 3:
        if run.poll() is not None:
            raise RuntimeError(run.communicate()[1])
        time.sleep(0.01)
    return run


def tables_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.csv")) if path.name != SETTINGS.file}


def refused(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 2 and done.stderr.startswith("track: ") and done.stderr.count("\n") == 1


@cache
def alone() -> dict[str, bytes]:
    """Tables of the same run that nobody meets."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "alone"
        subprocess.run([*COMMAND, SOURCE, *QUICK, "--out", str(out)], check=True, capture_output=True)
        return tables_of(out)


def ask(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def control(said: str, body: dict[str, Any]) -> float:
    """Ask the page of a run for something; return how long it took, s."""
    address = next(word for line in said.splitlines() if "watch it at" in line for word in line.split()[-1:])
    request = urllib.request.Request(
        f"{address}control", data=json.dumps(body).encode(), headers={"X-Insitrack": "1"}
    )
    start = time.monotonic()
    urllib.request.urlopen(request, timeout=20).read()
    return time.monotonic() - start


def rows_so_far(out: Path) -> int:
    path = out / "frames.csv"
    return path.read_text().count("processed") if path.exists() else 0
