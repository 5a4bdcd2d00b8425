"""Peak memory of a long run against a short one, and of large frames.

It must grow neither with the movie nor with the network's view.

    python benchmarks/memory.py [--short 500] [--long 10000]       # length of the movie
    python benchmarks/memory.py --sides 1024 2048 4096             # size of the frames, the segmenter alone

writes benchmarks/memory.json and benchmarks/memory.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import record

SIZE = 256
RUN = """
import sys, insitrack
run = insitrack.track(sys.argv[1], sys.argv[2], nm_per_px=0.5, thickness_nm=100.0, material="fecral")
print("RESULT", run.manifest["results"]["peak_memory_mb"], run.manifest["results"]["processed"], run.manifest["results"]["detections"])
"""


def draw_movie(path: Path, frames: int) -> None:
    """Draw a few hundred frames and play them to and fro.

    Drawing ten thousand would take longer than analysing them.
    """
    from insitrack.io.draw.movie_writer import MovieWriter
    from insitrack.io.frames import Frame
    from insitrack.io.sources import open_source

    drawn = [
        item.image
        for item in open_source(f"synth:loops?seed=5&frames={min(frames, 250)}&size={SIZE}&n=40")
        if isinstance(item, Frame)
    ]
    period = drawn + drawn[-2:0:-1]
    with MovieWriter(path, playback_fps="timestamps") as writer:
        for i in range(frames):
            writer.write(period[i % len(period)], i / 25)


def peak_mb(movie: Path, folder: Path) -> tuple[float, int, int]:
    """Run the whole job in a process of its own; its peak resident memory after report and manifest."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(movie), str(folder)], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        raise SystemExit(done.stderr[-2000:])
    _, peak, processed, detections = lines[0].split()
    return float(peak), int(processed), int(detections)


LARGE = """
import resource, sys
import numpy as np
from insitrack.io.frames import Frame
from insitrack.io.sources import open_source
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
side, tile_px = int(sys.argv[1]), int(sys.argv[2])
small = next(iter(open_source("synth:dense?seed=5&frames=1&size=512&overlay=0&polarity=dark"))).image
image = np.tile(np.block([[small, small[:, ::-1]], [small[::-1], small[::-1, ::-1]]]), (side // 1024, side // 1024))
segment = load_segmenter(config=SegmentConfig(scale=1.0, contrast="dark", tile_px=tile_px))
found = [len(detections) for detections, _ in segment.stream((Frame(i, float(i), image.copy()), None, i) for i in range(3))]
print("RESULT", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, found[-1])
"""


def measure_sides(sides: list[int]) -> dict[str, Any]:
    """Peak memory of the segmenter on three frames of each size, in tiles and (up to 2048 px) whole."""
    rows = []
    for side in sides:
        for tile_px in (0, side) if 1024 < side <= 2048 else (0,):
            done = subprocess.run(
                [sys.executable, "-c", LARGE, str(side), str(tile_px)],
                capture_output=True,
                text=True,
                check=False,
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
            if not lines:
                raise SystemExit(done.stderr[-2000:])
            _, peak, found = lines[0].split()
            rows.append(
                {
                    "side_px": side,
                    "whole": tile_px > 0 or side <= 1024,
                    "detections": int(found),
                    "peak_mb": float(peak),
                }
            )
    return {"command": "python " + " ".join(["benchmarks/memory.py", *sys.argv[1:]]), "runs": rows}


def page_of_sides(result: dict[str, Any]) -> str:
    lines = [
        "## Peak memory against the size of the frame",
        "",
        f"The segmenter alone, three frames. `{result['command']}`.",
        "",
    ]
    lines += ["| side, px | | detections | peak memory, MB |", "|---|---|---|---|"]
    for row in result["runs"]:
        how = "whole" if row["whole"] else "tiles"
        lines.append(f"| {row['side_px']} | {how} | {row['detections']} | {row['peak_mb']:.0f} |")
    return "\n".join([*lines, ""])


def measure(short: int, long: int) -> dict[str, Any]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="memory_") as name:
        for frames in (short, long):
            movie = Path(name) / f"{frames}.mp4"
            draw_movie(movie, frames)
            peak, processed, detections = peak_mb(movie, Path(name) / f"run{frames}")
            rows.append({"frames": processed, "detections": detections, "peak_mb": peak})
    return {
        "machine": record.machine(),
        "command": "python " + " ".join(["benchmarks/memory.py", *sys.argv[1:]]),
        "movie": f"{SIZE} x {SIZE}",
        "runs": rows,
    }


def page(result: dict[str, Any]) -> str:
    first, last = result["runs"][0], result["runs"][-1]
    lines = [
        "# Peak memory against the length of the movie",
        "",
        f"{result['movie']} px. {result['machine']}. `{result['command']}`.",
        "",
    ]
    lines += ["| frames | detections | peak memory, MB |", "|---|---|---|"]
    lines += [f"| {row['frames']} | {row['detections']} | {row['peak_mb']:.0f} |" for row in result["runs"]]
    growth = last["peak_mb"] / first["peak_mb"] - 1
    lines += [
        "",
        f"The peak of the long run against that of the short one: {growth:+.1%}; at most +10 % is wanted.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--short", type=int, default=500)
    parser.add_argument("--long", type=int, default=10_000)
    parser.add_argument(
        "--sides", type=int, nargs="*", help="measure frames of these sizes instead, px, multiples of 1024"
    )
    options = parser.parse_args()
    if options.smoke:
        options.short, options.long = 4, 8
    stored = options.results / "memory.json"
    result = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
    if options.sides:
        result["large_frames"] = measure_sides(options.sides)
    else:
        result = measure(options.short, options.long) | {
            key: result[key] for key in ("large_frames",) if key in result
        }
    text = page(result) if "runs" in result else ""
    text += "\n" + page_of_sides(result["large_frames"]) if "large_frames" in result else ""
    record.keep(__file__, result, text, options.results)


if __name__ == "__main__":
    main()
