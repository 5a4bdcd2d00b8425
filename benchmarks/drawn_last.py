"""What it costs to keep every outline and to draw the movie last, from the refined tables.

    python benchmarks/drawn_last.py [--frames 80] [--size 512] [--movie FILE] [--against FOLDER]

`--against` is the parent folder of another checkout named ``insitrack``, for example of a version that drew while
it found; the two run by turns. Processor time of whole jobs, each in a process of its own, and how much of it
goes where. Writes benchmarks/drawn_last.json and benchmarks/drawn_last.md.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import record

PARTS = {
    "outlines as run lengths, line by line": ("insitrack.io.tables.outlines.masks", "rows_of"),
    "outlines packed": ("insitrack.tracker.hindsight.rewrite", "pack_stream"),
    "outlines under final ids, misses filled in": ("insitrack.tracker.hindsight.rewrite", "write_masks"),
    "last pass: frames read again, with their final defects": (
        "insitrack.tracker.run.job.closing",
        "draw_frames",
    ),
    "of which final defects of a frame": ("insitrack.io.draw.final", "FinalFrames.of"),
    "drawing": ("insitrack.io.draw.annotate", "Annotator.paint"),
    "encoding": ("insitrack.io.draw.movie_writer", "MovieWriter.write"),
}
ADDED = [words for words in PARTS if words.startswith(("outlines", "last pass"))]
"""What a job did not do that drew while it found."""
TIMED = """
import importlib, json, sys, time
import insitrack
spent = {}
for words, (module, name) in json.loads(sys.argv[3]).items():
    *owner, name = name.split(".")
    place = importlib.import_module(module)
    place = getattr(place, owner[0]) if owner else place
    inner = getattr(place, name)
    def timed(*arguments, inner=inner, words=words, **options):
        start = time.thread_time()
        try:
            return inner(*arguments, **options)
        finally:
            spent[words] = spent.get(words, 0.0) + time.thread_time() - start
    setattr(place, name, timed)
insitrack.track(sys.argv[1], sys.argv[2], nm_per_px=0.5, thickness_nm=100.0, material="fecral")
print("RESULT", json.dumps(spent))
"""


def processor_s(
    movie: Path, folder: Path, root: Path | None, parts: dict[str, Any]
) -> tuple[float, dict[str, float]]:
    """Run a whole job in a process of its own; its processor time, s, and that of some parts."""
    env = os.environ | ({} if root is None else {"PYTHONPATH": str(root)})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", TIMED, str(movie), str(folder), json.dumps(parts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(done.stderr[-2000:])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, json.loads(lines[0].removeprefix("RESULT "))


def measure(movie: Path, against: Path | None, repeats: int) -> dict[str, Any]:
    """Measure jobs by turns; the least of each, and the parts of the last one."""
    import pandas as pd

    times: dict[str, list[float]] = {"now": [], "before": []}
    with tempfile.TemporaryDirectory() as name:
        for k in range(repeats):
            if against is not None:
                times["before"].append(processor_s(movie, Path(name) / f"old{k}", against, {})[0])
            spent, parts = processor_s(movie, Path(name) / f"new{k}", None, PARTS)
            times["now"].append(spent)
        masks = Path(name) / f"new{repeats - 1}" / "masks.parquet"
        rows = pd.read_parquet(masks, columns=["frame", "observed"])
        return {
            "movie": movie.name,
            "frames": int(rows["frame"].nunique()),
            "rows": len(rows),
            "filled": int((rows["observed"] == 0).sum()),
            "bytes_per_row": masks.stat().st_size / len(rows),
            "now_s": min(times["now"]),
            "before_s": min(times["before"]) if times["before"] else None,
            "parts_s": parts,
        }


def page(facts: list[dict[str, Any]]) -> str:
    """Print the figures for people."""
    lines = [
        "# Outlines kept, movie drawn last",
        "",
        f"Processor time of whole jobs, s; {record.machine()}.",
        "",
    ]
    for one in facts:
        before, parts = one["before_s"], one["parts_s"]
        against = (
            ""
            if before is None
            else f", of the other version, which lacks all else that came since, {before:.1f} s"
        )
        added = sum(parts[words] for words in ADDED if words in parts)
        lines += [
            f"{one['movie']}: {one['frames']} frames, {one['rows']} rows ({one['filled']} filled in),"
            f" {one['bytes_per_row']:.0f} bytes a row in masks.parquet. Whole job {one['now_s']:.1f} s{against}."
            f" Outlines and the last pass are {added:.2f} s of it, {added / one['now_s']:.1%}; drawing and encoding"
            " are not counted, for a job that draws while it finds does them, too.",
            "",
            *record.table(
                ["part", "s", "share"],
                [
                    [words, f"{spent:.2f}", f"{spent / one['now_s']:.1%}"]
                    for words, spent in one["parts_s"].items()
                ],
            ),
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = record.options(__doc__)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--movie", type=Path, action="append", default=[], help="also of this one")
    parser.add_argument("--against", type=Path, help="parent folder of another checkout")
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    if given.smoke:
        given.frames, given.size, given.repeats = 4, 128, 1
    from insitrack.io.synth.files import write_synth

    with tempfile.TemporaryDirectory() as name:
        scene = f"synth:two_beam?frames={given.frames}&size={given.size}&seed=5"
        write_synth(scene, Path(name) / "drawn")
        drawn = (Path(name) / "drawn" / "movie.mp4").rename(Path(name) / f"drawn_{given.size}.mp4")
        facts = [measure(movie, given.against, given.repeats) for movie in (drawn, *given.movie)]
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
