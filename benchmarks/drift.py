"""Drift of the stage against the truth.

Synthetic movies of unseen seeds, and real frames of which people measured the drift by hand.

``python benchmarks/drift.py [--ti FOLDER]`` with the folder of consecutive frames of in-situ annealed
titanium (Hirst et al. 2024). Writes drift.json, .md.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import record

from insitrack.io.frames import Frame
from insitrack.io.sources import open_source
from insitrack.io.synth.source import SynthSource
from insitrack.segment.prepare.field import FieldConfig, FieldFinder
from insitrack.tracker.link.drift import DriftEstimator
from insitrack.tracker.link.settings import DriftConfig

SMALL = {"KINDS": ("loops",), "SEEDS": range(500, 501), "SIDE": 128, "FRAMES": 4}
SIDE, FRAMES = 512, 60
KINDS = ("loops", "two_beam", "dense", "voids")
SEEDS = range(500, 505)
PEOPLE = {"1733-1739_full": (8.5, 10.3)}


def follow(source: object) -> tuple[np.ndarray, np.ndarray, float]:
    """Shift and quality of every frame, and the time that the registration takes, ms a frame."""
    estimator, finder = DriftEstimator(DriftConfig()), FieldFinder(FieldConfig())
    shifts, qualities, seconds = [], [], 0.0
    for item in source:
        if not isinstance(item, Frame):
            continue
        field = finder.update(item.image)
        start = time.perf_counter()
        found = estimator.update(item, field)
        seconds += time.perf_counter() - start
        shifts += [drift.shift_px for drift in found]
        qualities += [drift.quality for drift in found]
    left = estimator.finish()
    shifts += [drift.shift_px for drift in left]
    qualities += [drift.quality for drift in left]
    return np.array(shifts), np.array(qualities), 1e3 * seconds / max(1, len(shifts))


def synthetic() -> dict[str, dict[str, float]]:
    answer = {}
    for kind in KINDS:
        for jumps in (0, 1):
            errors, times, known = [], [], []
            for seed in SEEDS:
                movie = SynthSource(
                    f"synth:{kind}?seed={seed}&frames={FRAMES}&size={SIDE}&fps=7&drift=2&jumps={jumps}&faults=0"
                )
                found, quality, ms = follow(movie)
                true = np.array([movie.stage.shift_px(i / movie.fps) for i in range(len(found))])
                true -= true[0]
                errors.append(found - found[0] - true)
                known.append(quality > 0)
                times.append(ms)
            error, good = np.concatenate(errors), np.concatenate(known)
            name = f"{kind}, {'jumps' if jumps else 'no jumps'}"
            answer[name] = {
                "rms_px": float(np.sqrt((error**2).mean())),
                "rms_where_known_px": float(np.sqrt((error[good] ** 2).mean())),
                "median_px": float(np.median(np.abs(error))),
                "worst_px": float(np.abs(error).max()),
                "known": float(good.mean()),
                "ms_per_frame": float(np.mean(times)),
            }
            print(name, answer[name], flush=True)
    return answer


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--ti", type=Path)
    given = parser.parse_args()
    if given.smoke:
        globals().update(SMALL)
    facts: dict[str, object] = {"synthetic": synthetic()}
    if given.ti:
        real = {}
        for folder in sorted(given.ti.iterdir()):
            if folder.is_dir():
                shifts, quality, ms = follow(open_source(str(folder), frame_interval_s=1.0))
                real[folder.name] = {
                    "shift_px": shifts.round(2).tolist(),
                    "quality": quality.round(3).tolist(),
                    "people": PEOPLE.get(folder.name),
                    "ms": ms,
                }
                print(folder.name, real[folder.name])
        facts["real"] = real
    lines = [
        "# Drift of the stage",
        "",
        "`python benchmarks/drift.py --ti FOLDER`. Five synthetic movies of 60 frames a line, 512x512.",
        "",
    ]
    lines += [
        "| synthetic | rms, px | rms where known | median | worst | known | ms a frame |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in facts["synthetic"].items():
        lines.append(f"| {name} | " + " | ".join(f"{value:.3g}" for value in one.values()) + " |")
    for name, one in facts.get("real", {}).items():
        x, y = one["shift_px"][-1]
        told = f"; people: |x| {one['people'][0]}, |y| {one['people'][1]}" if one["people"] else ""
        lines.append(
            f"\nReal frames {name}: last frame against the first x {x:+.1f}, y {y:+.1f} px,"
            f" {math.hypot(x, y):.1f} px in all{told}."
        )
    record.keep(__file__, facts, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
