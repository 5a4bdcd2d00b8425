"""A night with the live page, compressed: many frames with faults, three viewers, memory of run and page.

    python benchmarks/live_night.py [--frames 288000] [--minutes 480] [--fps 30]

A small scene is sent as a camera would send it, ten frames a second by its own clock, as fast as asked here. One
viewer looks in a real browser and opens the page again in the middle, one takes everything without drawing it, one
is asleep. Ends after so many frames or minutes. Writes live_night.json and live_night.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import record
from live_runs import COMMAND, QUICK

from insitrack.io.live.replay import random_faults
from insitrack.io.sources import replay
from insitrack.io.tables.columns import FRAMES
from insitrack.tests.support.browser import BROWSER, Browser

SCENE, LENGTH = "synth:two_beam?frames=200&size=96&seed=3&start=0.5", 200


def rss_mb(process: int) -> float:
    """Memory of a process now, MB."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


class Viewer(threading.Thread):
    """Takes events, frames and curves as a page does, and draws nothing."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address, self.n_messages = address, 0

    def run(self) -> None:
        """Take them until the run ends."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self.address}events", timeout=60) as events,
        ):
            for line in events:
                if line.startswith(b"data"):
                    self.n_messages += 1
                    for path in ("picture", "curves?span=whole&each=1", "notes"):
                        urllib.request.urlopen(self.address + path, timeout=60).read()


def night(folder: Path, frames: int, minutes: float, fps: float, every_s: float) -> dict[str, object]:
    """Run, look, and note memory now and then."""
    faults = random_faults(max(1, frames // 2000), frames, seed=5)
    said = (folder / "said").open("w+")
    with replay(SCENE, fps=fps, faults=faults, loops=-(-frames // LENGTH)) as camera:
        options = [
            *QUICK,
            "--nm-per-px",
            "0.4",
            "--thickness-nm",
            "100",
            "--material",
            "fecral",
            "--dose-rate",
            "1e-4",
        ]
        options += [
            "--frame-interval-s",
            "0.1",
            "--set",
            "live.give_up_s=5",
            "--set",
            "live.stall_s=30",
            "--trigger",
            "n > 0",
        ]
        run = subprocess.Popen(
            [*COMMAND, camera.address, *options, "--out", str(folder / "run")], stdout=said, stderr=said
        )
        address = _address(folder / "said", run)
        asleep = socket.create_connection(("127.0.0.1", int(address.rstrip("/").rsplit(":", 1)[1])))
        asleep.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        viewer = Viewer(address)
        viewer.start()
        page = Browser(folder / "browser", address, 1400, 1100) if BROWSER else None
        samples, again = [], None
        end = time.monotonic() + 60 * minutes
        try:
            if page is not None:
                page.until("typeof plots !== 'undefined' && plots.drawn", 180)
                page.value("document.getElementById('span').value = 'whole'; 0")
            while run.poll() is None and time.monotonic() < end:
                time.sleep(every_s)
                with contextlib.suppress(OSError, IndexError):
                    samples.append(_sample(run.pid, address, page))
                half = len(samples) > 2 and (
                    samples[-1]["frames"] > frames / 2 or time.monotonic() > end - 30 * minutes
                )
                if page is not None and again is None and half:
                    again = _again(page)
            run.send_signal(signal.SIGINT)
            status = run.wait(600)
        finally:
            run.kill()
            asleep.close()
            if page is not None:
                page.close()
    said.close()
    manifest = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    numbers = FRAMES.read(folder / "run" / FRAMES.file)["frame"].to_numpy()
    return _facts(samples, manifest, numbers, status, viewer.n_messages, again, frames)


def _address(said: Path, run: subprocess.Popen[bytes]) -> str:
    while run.poll() is None:
        for line in said.read_text().splitlines():
            if "watch it at" in line:
                return line.split()[-1]
        time.sleep(0.1)
    raise RuntimeError(said.read_text())


def _sample(process: int, address: str, page: Browser | None) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}events", timeout=60) as events:
        status = json.loads(events.readline()[6:])["status"]
    sample = {"frames": status["captured"], "run_mb": round(rss_mb(process), 1)}
    if page is not None:
        page.call("HeapProfiler.collectGarbage")
        sample["page_mb"] = round(page.call("Runtime.getHeapUsage")["usedSize"] / 2**20, 2)
        sample["nodes"] = page.value("document.getElementsByTagName('*').length")
    return sample


def _again(page: Browser) -> str:
    """Open the page again; say whether it shows the same as before."""
    shown = (
        "JSON.stringify([document.getElementById('held').textContent, marks.all.map(mark => mark.text),"
        " Array.from(plots.data.t).filter(Number.isFinite).slice(0, 50)])"
    )
    page.value("document.getElementById('span').value = 'whole'; plots.refresh()")
    time.sleep(5)
    before = json.loads(page.value(shown))
    page.call("Page.reload")
    time.sleep(2)
    page.until("typeof plots !== 'undefined' && plots.drawn && document.readyState === 'complete'", 180)
    page.value("document.getElementById('span').value = 'whole'; plots.refresh()")
    time.sleep(5)
    after = json.loads(page.value(shown))
    # frames came meanwhile, and the last point grows with them
    n_both = min(len(before[2]), len(after[2])) - 1
    before[2], after[2] = before[2][:n_both], after[2][:n_both]
    same = [one == other for one, other in zip(before, after, strict=True)]
    return "the same settings, marks and curves" if all(same) else f"settings, marks, curves the same: {same}"


def _facts(
    samples: list[dict[str, Any]],
    manifest: dict[str, Any],
    numbers: np.ndarray[Any, Any],
    status: int,
    n_messages: int,
    again: str | None,
    asked: int,
) -> dict[str, object]:
    live = manifest["results"]["live"]
    facts: dict[str, object] = {
        "machine": record.machine(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "frames asked for": asked,
        "captured": live["captured"],
        **{name: live[name] for name in ("processed", "dropped", "damaged", "gap")},
        "every frame of the run once in frames.csv": bool((np.diff(numbers) == 1).all()) and not numbers[0],
        "ended": f"exit status {status}, {manifest['status']}, tables {manifest['tables']}",
        "messages that the second viewer took": n_messages,
        "the page opened again in the middle": again or "not tried",
    }
    for name, words in (
        ("run_mb", "memory of the run, MB"),
        ("page_mb", "heap of the page, MB"),
        ("nodes", "elements of the page"),
    ):
        values = [one[name] for one in samples if name in one]
        for share in (0.25, 0.5, 0.75, 1.0) if values else ():
            one = min(len(values) - 1, round(share * len(values)))
            facts[f"{words}, after {share:.0%}"] = values[one]
    return facts


def main() -> None:
    """Run the night and write the page."""
    parser = record.options(__doc__)
    parser.add_argument("--frames", type=int, default=288_000)
    parser.add_argument("--minutes", type=float, default=480.0)
    parser.add_argument("--fps", type=float, default=30.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        what = (60, 0.5, 20.0, 1.0) if given.smoke else (given.frames, given.minutes, given.fps, 10.0)
        facts = night(Path(made), *what)
    lines = [
        "# A night with the live page",
        "",
        (__doc__ or "").split("\n\n")[2].replace("\n", " "),
        "",
        "| | |",
        "|---|---|",
    ]
    record.keep(
        __file__,
        facts,
        "\n".join([*lines, *(f"| {name} | {value} |" for name, value in facts.items())]),
        given.results,
    )


if __name__ == "__main__":
    sys.exit(main())
