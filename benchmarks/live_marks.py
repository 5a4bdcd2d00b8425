"""What a live run promises, tried many times: an end that comes, files that are read whole, a page that bears."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from live_runs import COMMAND, QUICK, control, rows_so_far

import insitrack
from insitrack.io.frames import Frame
from insitrack.io.live.camera import LiveSource
from insitrack.io.live.replay import parse_fault
from insitrack.io.live.settings import LiveConfig
from insitrack.io.sources import replay
from insitrack.io.tables.columns import SERIES
from insitrack.io.tables.records import SETTINGS
from insitrack.tests.support.rtsp_camera import RtspCamera
from insitrack.tracker.analysis.recompute import Recompute
from insitrack.tracker.analysis.table_run import open_run
from insitrack.tracker.run.config import load_config
from insitrack.tracker.series.conditions import read_conditions


def ends(folder: Path, n: int = 1) -> dict[str, object]:
    """Time from being asked to end to the beginning of the refinement, of sources that have fallen silent."""
    facts: dict[str, object] = {}
    ways = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None)
    kinds = ("watched folder", "empty folder", "lossless stream", "MJPEG stream", "RTSP stream")
    for kind in kinds[: None if n else 1]:
        for way in ways[: None if n else 1]:
            name = f"{kind}, {'stop on the page' if way is None else way.name}"
            facts[name] = _end_of(folder / f"{len(facts)}", kind, way)
    return facts


def _end_of(folder: Path, kind: str, way: signal.Signals | None) -> str:
    folder.mkdir()
    out, pictures = folder / "run", folder / "pictures"
    pictures.mkdir()
    if kind == "RTSP stream":
        camera: Any = RtspCamera(
            _Silent(np.random.default_rng(2).integers(90, 160, (13, 96, 96), np.uint8)), 20
        )
    else:
        faults = [parse_fault("stall@8:300")]
        camera = replay("synth:loops?frames=40&size=96&seed=3", fps=20, faults=faults)
    with camera:
        address = f"watch:{pictures}" if "folder" in kind else camera.address
        if kind == "MJPEG stream":
            address = camera.mjpeg_address
        run = subprocess.Popen(
            [*COMMAND, address, *QUICK, "--set", "live.stall_s=300", "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=(said := (folder / "said").open("w+")),
        )
        draw = np.random.default_rng(1)
        for number in range(6 if kind == "watched folder" else 0):
            tifffile.imwrite(pictures / "new.tmp", draw.integers(90, 160, (96, 96), np.uint8))
            (pictures / "new.tmp").rename(pictures / f"{number:03d}.tif")
        least = 0 if kind == "empty folder" else 4
        while not (out / "resume.state").exists() or rows_so_far(out) < least:
            if run.poll() is not None:
                return "did not begin"
            time.sleep(0.02)
        time.sleep(0.5)
        start = time.monotonic()
        if way is None:
            control((folder / "said").read_text(), {"action": "stop"})
        else:
            run.send_signal(way)
        while run.poll() is None and not (out / "causal").exists() and time.monotonic() - start < 30:
            time.sleep(0.005)
        took = time.monotonic() - start
        try:
            run.wait(60)
        except subprocess.TimeoutExpired:
            run.kill()
        said.close()
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return f"{took:.2f} s, exit status {run.returncode}, {manifest['status']}, tables {manifest['tables']}"


class _Silent(list[Any]):
    """Pictures of a camera that sends no more before the last of them, and keeps the connection."""

    def __getitem__(self, number: Any) -> Any:
        if number == len(self) - 1:
            threading.Event().wait(120)
        return super().__getitem__(number)


def writers(folder: Path, n: int = 200) -> dict[str, object]:
    """Files whose writer pauses in the middle, and one file that is overwritten again and again."""
    facts: dict[str, object] = {}
    random = np.random.default_rng(5)
    for name in ("pauses of 0 to 2 s", "overwritten in place"):
        place = folder / name.replace(" ", "_")
        place.mkdir()
        source = LiveSource(f"watch:{place}", LiveConfig(policy="all"))
        items: list[Any] = []
        reader = threading.Thread(target=lambda source=source, items=items: items.extend(source), daemon=True)
        reader.start()
        for number in range(n):
            data = _tiff(folder, random)
            if name.startswith("pauses"):
                with (place / f"{number:04d}.tif").open("wb") as stream:
                    cut = int(random.integers(8, len(data)))
                    stream.write(data[:cut])
                    stream.flush()
                    time.sleep(float(random.uniform(0, 2.0)))
                    stream.write(data[cut:])
            else:
                (place / "latest.tif").write_bytes(data)
                time.sleep(0.25)
        end = time.monotonic() + 20
        while len(items) < n and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.5)
        source.close()
        reader.join(20)
        pictures = sum(isinstance(item, Frame) for item in items)
        facts[name] = f"{n} written, {pictures} frames, {len(items) - pictures} damaged or lost"
    return facts


def _tiff(folder: Path, random: np.random.Generator) -> bytes:
    path = folder / "one.tif"
    tifffile.imwrite(path, random.integers(90, 160, (96, 96), np.uint8))
    return path.read_bytes()


def changes(folder: Path, n: int = 20) -> dict[str, object]:
    """Thickness, dose rate and material change during a run; every later number is compared with `causal/`."""
    told: list[str] = []
    settings = [*(text for text in QUICK if "=" in text), "output.video=false", "source.nm_per_px=0.4"]
    settings += ["specimen.thickness_nm=100", "specimen.material=fecral"]
    stop, out = threading.Event(), folder / "run"
    with replay("synth:two_beam?frames=900&size=192&seed=3&start=0.5", fps=20) as camera:
        work = threading.Thread(
            target=insitrack.track,
            args=(camera.address, out),
            kwargs={"config": load_config(assignments=settings), "alarm": told.append, "stop": stop},
        )
        work.start()
        while not any("watch it at" in line for line in told):
            time.sleep(0.05)
        for number in range(n):
            rows = rows_so_far(out)
            while rows_so_far(out) < rows + 2 + 3 * (number == 0):
                time.sleep(0.02)
            asked: dict[str, Any] = {"action": ("thickness", "dose_rate", "material")[number % 3]}
            asked |= {"value": (40 + 7.3 * number, 1e-4 * (number + 1), None)[number % 3]}
            asked |= {"text": ("pure_iron", "fecral")[number % 2]}
            control(told[0] if "watch it" in told[0] else "\n".join(told), asked)
        rows = rows_so_far(out)
        while rows_so_far(out) < rows + 5:
            time.sleep(0.02)
        stop.set()
        work.join()
    return {"changes": n, **_agreement(out)}


def _agreement(out: Path) -> dict[str, object]:
    """Count the rows that do not agree to the digit with what held at their frame."""
    held = read_conditions(out / SETTINGS.file)
    run = insitrack.Run(out)
    refined, causal = run.series, run.causal.series
    wrong = 0
    for table in (refined, causal):
        rows = table[(table["density_per_m3"] > 0) & (table["defect_class"] != "all")]
        thickness = np.array([held.foil(int(frame)).thickness_nm for frame in rows["frame"]])
        wrong += int(
            (abs(rows["density_per_m2"] / rows["density_per_m3"] * 1e9 / thickness - 1) > 2e-5).sum()
        )
    work = Recompute(open_run(out, "run"))
    text = "".join(SERIES.format(columns) for columns in work.series())
    same = (refined["n_counted"] == causal["n_counted"]) & (refined["field_nm2"] == causal["field_nm2"])
    columns = ["density_per_m3", "density_per_m3_lo", "density_per_m3_hi"]
    manifest = run.manifest
    recorded = [one for one in manifest["conditions"] if one["what"] == "thickness_nm"]
    report = (out / "report.html").read_text(encoding="utf-8")
    return {
        "lines_of_settings_csv": len(held.changes),
        "rows_of_another_thickness_than_held": wrong,
        "doses_that_differ_between_refined_and_causal": int(
            (refined["dose_dpa"].fillna(-1) != causal["dose_dpa"].fillna(-1)).sum()
        ),
        "rows_with_the_same_count": int(same.sum()),
        "of_them_with_another_density": int(
            (refined[same][columns].fillna(-1) != causal[same][columns].fillna(-1)).any(axis=1).sum()
        ),
        "dose_and_density_of_track_series_as_in_the_run": _same_columns(out, text),
        "thicknesses_in_run_json_methods_and_report": [
            len(recorded),
            sum(f"{float(one['value']):g} +-" in manifest["methods"] for one in recorded),
            sum(f"thickness_nm from frame {one['frame']} (" in report for one in recorded),
        ],
    }


def _same_columns(out: Path, text: str) -> bool:
    import io

    import pandas as pd

    made, was = pd.read_csv(io.StringIO(SERIES.header() + text)), SERIES.read(out / "series.csv")
    names = ["dose_dpa", "density_per_m2", "density_per_m3", "density_per_m3_lo", "density_per_m3_hi", "n"]
    return bool((made[names].fillna(-1).to_numpy() == was[names].fillna(-1).to_numpy()).all())


_CROWD = """
import resource, socket, sys, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
host, port, idle, slow, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
def connected():
    try:
        one = socket.create_connection((host, port), timeout=5)
        one.setblocking(False)
        return one
    except OSError:
        return None
held = [connected() for _ in range(idle + slow)]
end = time.monotonic() + seconds
while time.monotonic() < end:
    for i in range(idle + slow):
        try:
            if held[i] is None:
                held[i] = connected()
            if i >= idle:
                held[i].send(b'G')
            elif held[i].recv(1) == b'':
                held[i].close(); held[i] = None
        except BlockingIOError:
            pass
        except (OSError, AttributeError):
            held[i] = None
    time.sleep(1.0)
"""


def _answers(host: str, port: int) -> bool:
    """Whether the page of a run is still there: it goes when the last frame has been written."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def crowd(folder: Path, seconds: float = 60.0, idle: int = 1100, slow: int = 500) -> dict[str, object]:
    """Rate of the analysis with idle and slow connections to the page, and alone; then the operator's stop."""
    told: list[str] = []
    stop, out = threading.Event(), folder / "run"
    settings = [*(text for text in QUICK if "=" in text), "output.video=false"]
    with replay("synth:loops?frames=60&size=96&seed=3", fps=10, loops=200) as camera:
        work = threading.Thread(
            target=insitrack.track,
            args=(camera.address, out),
            kwargs={"config": load_config(assignments=settings), "alarm": told.append, "stop": stop},
        )
        work.start()
        while rows_so_far(out) < 20:
            time.sleep(0.05)
        address = next(line.split()[-1] for line in told if "watch it at" in line)
        host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
        rates = {}
        for name, crowded in (("alone", False), ("crowded", True)):
            many = (
                subprocess.Popen(
                    [sys.executable, "-c", _CROWD, host, port, str(idle), str(slow), str(seconds + 30)]
                )
                if crowded
                else None
            )
            time.sleep(min(5.0, seconds / 4))
            before, start = rows_so_far(out), time.monotonic()
            time.sleep(seconds)
            rates[name] = (rows_so_far(out) - before) / (time.monotonic() - start)
        start = time.monotonic()
        with contextlib.suppress(OSError):
            control("\n".join(told), {"action": "stop"})
        answered = time.monotonic() - start
        while _answers(host, int(port)) and time.monotonic() - start < 30:
            time.sleep(0.01)
        ended = time.monotonic() - start
        work.join()
        if many is not None:
            many.kill()
            many.wait()
    return {
        "seconds": seconds,
        "idle_connections": idle,
        "slow_connections": slow,
        "frames_per_s_alone": round(rates["alone"], 2),
        "frames_per_s_crowded": round(rates["crowded"], 2),
        "change": f"{rates['crowded'] / rates['alone'] - 1:+.1%}",
        "stop_answered_s": round(answered, 2),
        "stop_ended_the_analysis_and_its_page_s": round(ended, 2),
        "status": insitrack.Run(out).manifest["status"],
    }
