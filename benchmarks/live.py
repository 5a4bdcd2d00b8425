"""Live runs under load: delay, overload, faults, kills, a full disk, viewers; and what they promise.

    python benchmarks/live.py [latency overload faults kill disk viewers together living dead ends
    writers changes records crowd]   (or page: only write the page again)

Loopback only; camera and analysis share this machine. Results of parts that are not run again are kept.
"""

from __future__ import annotations

import filecmp
import inspect
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import live_marks
import live_owners
import numpy as np
import record

import insitrack
from insitrack.io.frames import Frame
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.replay import Replay, random_faults
from insitrack.io.live.settings import LiveConfig
from insitrack.io.sources import replay
from insitrack.io.synth.files import write_synth
from insitrack.io.tables import columns
from insitrack.tracker.run.config import load_config

SETTINGS = ["specimen.thickness_nm=100", "specimen.material=fecral", "live.give_up_s=1", "output.view="]
SMALL = {"SIZE": 128, "LENGTH": 24}
SIZE, LENGTH = 512, 250


def movie(folder: Path, size: int = 0, frames: int = 0) -> str:
    """Write a lossless movie to send."""
    size, frames = size or SIZE, frames or LENGTH
    path = folder / f"made_{size}_{frames}"
    if not path.exists():
        write_synth(f"synth:two_beam?seed=61000&frames={frames}&size={size}&start=0.6", path, lossless=True)
    return str(path / "movie.mkv")


def live_run(
    folder: Path, camera: Replay, extra: list[str] = (), stop: threading.Event | None = None
) -> insitrack.Run:
    """Run on a camera that is not there."""
    config = load_config(assignments=[*SETTINGS, *extra])
    return insitrack.track(camera.address, folder / f"run_{time.monotonic_ns()}", config=config, stop=stop)


def latency(folder: Path, minutes: float = 10.0) -> dict[str, object]:
    """Delay from capture to row on disk, 512 x 512 px at 25 frames a second, annotated movie written.

    The first 100 frames left out.
    """
    loops = round(minutes * 60 * 25 / 250)
    with replay(movie(folder), fps=25, loops=loops) as camera:
        run = live_run(folder, camera, ["refine.enabled=false"])
    facts = run.manifest["results"]["live"]
    return {"minutes": minutes, **facts, "peak_memory_mb": run.manifest["results"]["peak_memory_mb"]}


def overload(folder: Path) -> dict[str, object]:
    """Four times more frames than the machine takes: newest keeps the delay bounded."""
    with replay(movie(folder, 1024, 60), fps=0) as camera:
        whole = live_run(folder, camera, ["live.policy=all", "refine.enabled=false", "output.video=false"])
    rate = whole.manifest["results"]["frames_per_s"]
    with replay(movie(folder, 1024, 60), fps=4 * rate, loops=int(60 * 4 * rate / 60)) as camera:
        run = live_run(folder, camera, ["refine.enabled=false", "output.video=false"])
    facts = run.manifest["results"]["live"]
    exact = facts["captured"] == facts["processed"] + facts["dropped"] + facts["damaged"]
    return {
        "machine_frames_per_s": rate,
        "sent_frames_per_s": round(4 * rate, 1),
        **facts,
        "sum_exact": exact,
        "peak_memory_mb": run.manifest["results"]["peak_memory_mb"],
    }


def faults(folder: Path, n: int = 200) -> dict[str, object]:
    """Two hundred random faults in one run."""
    wrong = random_faults(n, 12 * n, seed=7)
    with replay(
        movie(folder, 256, 240) if n == 200 else movie(folder), fps=60, faults=wrong, loops=10
    ) as camera:
        source = LiveSource(camera.mjpeg_address, LiveConfig(give_up_s=2.0, stall_s=1.0))
        items = list(source)
        source.close()
    counts = {
        status: sum(getattr(item, "status", "") == status for item in items)
        for status in ("dropped", "damaged", "gap")
    }
    pictures = sum(isinstance(item, Frame) for item in items)
    times = np.array([item.t_s for item in items])
    gaps = [
        times[i + 1] - times[i - 1]
        for i, item in enumerate(items[:-1])
        if getattr(item, "status", "") == "gap" and i
    ]
    return {
        "faults": n,
        "captured": source.n_captured,
        "pictures": pictures,
        **counts,
        "reconnects": source.n_reconnects,
        "sum_exact": source.n_captured == pictures + counts["dropped"] + counts["damaged"],
        "times_rise": bool((np.diff(times) > 0).all()),
        "longest_interruption_s": round(float(max(gaps, default=0.0)), 2),
    }


def kill(folder: Path, n: int = 50) -> dict[str, object]:
    """Kill a run of a file at random moments, and go on."""
    source, random = movie(folder), np.random.default_rng(1)
    command = [sys.executable, "-m", "insitrack.tracker.cli"]
    options = ["--thickness-nm", "100", "--material", "fecral"]
    whole, cut = folder / "whole", folder / "cut"
    start = time.monotonic()
    subprocess.run([*command, source, *options, "--out", str(whole)], check=True, capture_output=True)
    length = time.monotonic() - start
    same = anew = lost = unreadable = 0
    for _ in range(n):
        shutil.rmtree(cut, ignore_errors=True)
        worker = subprocess.Popen(
            [*command, source, *options, "--out", str(cut)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(float(random.uniform(0.15, 0.95)) * length)
        worker.kill()
        worker.wait()
        try:
            rows = [
                len(table.read(cut / table.file))
                for table in columns.TABLES.values()
                if (cut / table.file).exists()
            ]
            unreadable += len(rows) not in (0, 5)
        except insitrack.io.errors.InsitrackError:
            unreadable += 1
        went = subprocess.run([*command, "resume", str(cut)], capture_output=True, text=True)
        if went.returncode:
            anew += 1  # ended, or killed before it began
            continue
        names = [*columns.TABLES, "causal/tracks.csv", "causal/series.csv"]
        good = all(filecmp.cmp(whole / name, cut / name, shallow=False) for name in names)
        same, lost = same + good, lost + (not good)
    return {
        "kills": n,
        "resumed_byte_for_byte": same,
        "different": lost,
        "ended_or_not_begun": anew,
        "unreadable": unreadable,
    }


def disk(folder: Path) -> dict[str, object]:
    """Run into a full disk, then make room and go on."""
    place = folder / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True
    ).returncode:
        return {"not_run": "a small disk cannot be mounted here"}
    command = [sys.executable, "-m", "insitrack.tracker.cli"]
    try:
        first = subprocess.run(
            [*command, movie(folder), "--no-video", "--out", str(place / "run")],
            capture_output=True,
            text=True,
        )
        readable = len(columns.FRAMES.read(place / "run" / "frames.csv"))
        shutil.copytree(place / "run", folder / "roomy")
        went = subprocess.run([*command, "resume", str(folder / "roomy")], capture_output=True, text=True)
        line = (
            first.stderr.strip().splitlines()[-1].replace(str(folder), "FOLDER")
            if first.stderr.strip()
            else ""
        )
        return {
            "exit_status": first.returncode,
            "told": line,
            "frames_readable": readable,
            "resumed": went.returncode == 0,
            "why": went.stderr[-200:],
        }
    finally:
        subprocess.run(["umount", str(place)], capture_output=True)


def viewers(folder: Path) -> dict[str, object]:
    """Rate of the analysis with ten viewers and without, in turns.

    Of a camera with 25 frames a second, and as fast as frames are taken.
    """
    answer: dict[str, object] = {}
    for fps, loops in ((25.0, 2), (0.0, 3)):
        rates: dict[int, list[float]] = {0: [], 10: []}
        for turn in range(6):
            n = 10 * (turn % 2)
            with replay(movie(folder), fps=fps, loops=loops) as camera:
                told: list[str] = []
                policy = "newest" if fps else "all"
                told_settings = [
                    "refine.enabled=false",
                    "output.video=false",
                    f"live.policy={policy}",
                    "segment.scale=1.0",
                    "segment.contrast=dark",
                ]
                config = load_config(assignments=[*SETTINGS[:-1], *told_settings])
                over = threading.Event()
                watch = threading.Thread(target=_watch, args=(told, n, over), daemon=True)
                watch.start()
                run = insitrack.track(
                    camera.address, folder / f"view_{fps}_{turn}", config=config, alarm=told.append
                )
                over.set()
                watch.join()
            rates[n].append(run.manifest["results"]["frames_per_s"])
        name = f"camera_of_{fps:g}_a_second" if fps else "as_fast_as_frames_are_taken"
        answer[f"{name}_alone"], answer[f"{name}_with_ten"] = rates[0], rates[10]
        answer[f"{name}_change"] = f"{np.median(rates[10]) / np.median(rates[0]) - 1:+.1%}"
    return answer


_CLIENTS = """
import sys, threading, urllib.request
def client(address):
    try:
        with urllib.request.urlopen(address + 'events', timeout=10) as answer:
            n = 0
            for line in answer:
                if line.startswith(b'data'):
                    urllib.request.urlopen(address + 'picture?outlines=1&ids=1', timeout=10).read()
                    n += 1
                    if n % 4 == 0:
                        urllib.request.urlopen(address + 'curves?span=recent&each=0', timeout=10).read()
    except OSError:
        pass
for _ in range(int(sys.argv[2])):
    threading.Thread(target=client, args=(sys.argv[1],)).start()
"""


def _watch(told: list[str], n: int, over: threading.Event) -> None:
    """Run ten clients in a process of their own, each like a page.

    They take events and a frame four times a second, and the curves once.
    """
    while not over.is_set() and not (
        address := next((line.split()[-1] for line in told if "watch it at" in line), "")
    ):
        time.sleep(0.02)
    if n and not over.is_set():
        clients = subprocess.Popen(
            [sys.executable, "-c", _CLIENTS, address, str(n)], stderr=subprocess.DEVNULL
        )
        over.wait()
        clients.kill()
        clients.wait()


def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    told = Path("/proc/cpuinfo")
    names = (
        [
            line.partition(":")[2].strip()
            for line in told.read_text().splitlines()
            if line.startswith("model name")
        ]
        if told.exists()
        else []
    )
    return names[0] if names else platform.machine()


PARTS = {
    "latency": latency,
    "overload": overload,
    "faults": faults,
    "kill": kill,
    "disk": disk,
    "viewers": viewers,
    "together": live_owners.together,
    "living": live_owners.living,
    "dead": live_owners.dead,
    "ends": live_marks.ends,
    "writers": live_marks.writers,
    "changes": live_marks.changes,
    "records": live_owners.records,
    "crowd": live_marks.crowd,
}
TEXTS = {name: inspect.getdoc(part) or "" for name, part in PARTS.items()}


def main() -> None:
    """Run what was asked for and write the page."""
    parser = record.options(__doc__)
    parser.add_argument("parts", nargs="*", choices=(*PARTS, "page", []), help="what to run (default: all)")
    given = parser.parse_args()
    parts = given.parts or list(PARTS)
    if given.smoke:
        globals().update(SMALL)
        PARTS["kill"], PARTS["faults"] = partial(kill, n=1), partial(faults, n=4)
        for name in ("together", "living", "dead"):
            PARTS[name] = partial(PARTS[name], n=1)
        PARTS["ends"] = partial(live_marks.ends, n=0)
        PARTS["writers"] = partial(live_marks.writers, n=3)
        PARTS["changes"] = partial(live_marks.changes, n=3)
        PARTS["records"] = partial(live_owners.records, n=1, flips=5)
        PARTS["crowd"] = partial(live_marks.crowd, seconds=1.0, idle=60, slow=20)
        parts = [
            "kill",
            "faults",
            "together",
            "living",
            "dead",
            "ends",
            "writers",
            "changes",
            "records",
            "crowd",
        ]
    path = given.results / "live.json"
    results = record.earlier(__file__, given.results)
    machine = f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory() as made:
        for name in [] if parts == ["page"] else parts:
            part = Path(made) / name.replace(" ", "_")  # no part may meet the files of another
            part.mkdir()
            results[name] = {**PARTS[name](part), "machine": machine}
            print(name, json.dumps(results[name]), flush=True)
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# Live runs",
        "",
        "`python benchmarks/live.py`, loopback only; the camera that is not there runs on the same cores.",
        "",
    ]
    for name in PARTS:
        if name in results:
            lines += [
                f"## {name.capitalize()}",
                "",
                TEXTS[name],
                "",
                "| | |",
                "|---|---|",
            ]
            lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in results[name].items()] + [""]
    record.keep(__file__, results, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
