"""Peak memory of a long run against a short one: it must not grow with the length of the movie.

    python benchmarks/memory.py [--short 500] [--long 10000]

writes benchmarks/memory.json and benchmarks/memory.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SIZE = 256
RUN = """
import sys, insitrack
run = insitrack.track(sys.argv[1], sys.argv[2], nm_per_px=0.5, thickness_nm=100.0, material="fecral")
print("RESULT", run.manifest["results"]["peak_memory_mb"], run.manifest["results"]["processed"], run.manifest["results"]["detections"])
"""


def draw_movie(path: Path, frames: int) -> None:
    """Draw a few hundred frames and play them to and fro: drawing ten thousand would take longer than analysing them."""
    from insitrack.io.frames import Frame
    from insitrack.io.sources import open_source
    from insitrack.io.video import MovieWriter

    drawn = [item.image for item in open_source(f"synth:loops?seed=5&frames=250&size={SIZE}&n=40") if isinstance(item, Frame)]
    period = drawn + drawn[-2:0:-1]
    with MovieWriter(path, playback_fps="timestamps") as writer:
        for i in range(frames):
            writer.write(period[i % len(period)], i / 25)


def peak_mb(movie: Path, folder: Path) -> tuple[float, int, int]:
    """Run the whole job in a process of its own; its peak resident memory after report and manifest."""
    done = subprocess.run([sys.executable, "-c", RUN, str(movie), str(folder)], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(done.stderr[-2000:])
    _, peak, processed, detections = lines[0].split()
    return float(peak), int(processed), int(detections)


def measure(short: int, long: int) -> dict[str, Any]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="memory_") as name:
        for frames in (short, long):
            movie = Path(name) / f"{frames}.mp4"
            draw_movie(movie, frames)
            peak, processed, detections = peak_mb(movie, Path(name) / f"run{frames}")
            rows.append({"frames": processed, "detections": detections, "peak_mb": peak})
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    return {"machine": machine, "command": "python " + " ".join(["benchmarks/memory.py", *sys.argv[1:]]), "movie": f"{SIZE} x {SIZE}", "runs": rows}


def page(result: dict[str, Any]) -> str:
    first, last = result["runs"][0], result["runs"][-1]
    lines = ["# Peak memory against the length of the movie", "", f"{result['movie']} px. {result['machine']}. `{result['command']}`.", ""]
    lines += ["| frames | detections | peak memory, MB |", "|---|---|---|"]
    lines += [f"| {row['frames']} | {row['detections']} | {row['peak_mb']:.0f} |" for row in result["runs"]]
    growth = last["peak_mb"] / first["peak_mb"] - 1
    lines += ["", f"The peak of the long run against that of the short one: {growth:+.1%}; at most +10 % is wanted.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=500)
    parser.add_argument("--long", type=int, default=10_000)
    options = parser.parse_args()
    result = measure(options.short, options.long)
    (HERE / "memory.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (HERE / "memory.md").write_text(page(result), encoding="utf-8")
    print(page(result))


if __name__ == "__main__":
    main()
