"""Classes of defects: right, wrong, or left open as `defect`, in single frames by the limit and in whole runs.

    python benchmarks/defect_types.py

Drawn scenes of seeds that no training saw. Every find that pairs with a true defect at box IoU 0.3 is compared;
`loop` is right for a loop of either kind, and either kind for `loop`. In runs, `before` names a class for every
defect (``segment.least_class = 0``), `after` is the default, and every row of ``tracks.csv`` counts.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import record
from numpy.typing import NDArray

import insitrack
from insitrack.io.boxes import box_iou
from insitrack.io.detections import UNTYPED, Detections
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
from insitrack.segment.scores.matching import pairs
from insitrack.tracker.run.config import load_config

SCENE = "synth:{kind}?seed={seed}&frames={frames}&size={side}&faults=0&jumps=0"
KINDS, SEEDS = ("loops", "two_beam", "voids", "precipitates", "mixed"), range(65_001, 65_005)
SIDE, SMALL = 320, 128
RUN_KINDS, RUN_SEEDS, RUN_FRAMES = ("loops", "voids", "mixed"), range(65_001, 65_002), 6
LIMITS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
LEAST = {"before": 0.0, "after": 0.4}
LOOPS = ("loop", "loop_111", "loop_100")


def alike(found: str, true: str) -> bool:
    """Tell whether a class is right."""
    return found == true or ("loop" in (found, true) and found in LOOPS and true in LOOPS)


def paired(boxes: NDArray[np.float64], true: Detections) -> list[tuple[int, str]]:
    """Rows of boxes that are true defects, with the class of each."""
    if not len(boxes) or not len(true):
        return []
    rows, of = pairs(box_iou(boxes, true.boxes.astype(np.float64)), 0.3)
    names = true.names()
    return [(row, names[k]) for row, k in zip(rows.tolist(), of.tolist(), strict=True)]


def in_frames(kinds: tuple[str, ...], seeds: range, side: int) -> list[tuple[float, bool]]:
    """Probability of its class and whether it is right, for every find that pairs."""
    config = SegmentConfig(confidence=0.1, least_class=0.0, scale=1.0, contrast="dark", looks=1)
    segment, answer = load_segmenter("loops", config), []
    for kind in kinds:
        for seed in seeds:
            movie = SynthSource(SCENE.format(kind=kind, seed=seed, frames=2, side=side))
            found = segment(movie.frame(0))
            names, chances = found.names(), found.class_probability
            assert chances is not None
            for row, true in paired(found.boxes.astype(np.float64), movie.truth(0)):
                answer.append((float(chances[row].max()), alike(names[row], true)))
    return answer


def in_run(uri: str, least: float) -> Counter[str]:
    """Rows of a run that are right, wrong and open."""
    answer: Counter[str] = Counter()
    config = load_config(assignments=[f"segment.least_class={least:g}"])
    movie = SynthSource(uri)
    with tempfile.TemporaryDirectory() as folder:
        tracks = insitrack.track(uri, Path(folder) / "run", config=config, video=False).tracks
    for i in range(movie.n_frames or 0):
        mine = tracks[tracks["frame"] == i]
        boxes = mine[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
        for row, true in paired(boxes, movie.truth(i)):
            name = str(mine["defect_class"].iloc[row])
            answer["open" if name == UNTYPED else "right" if alike(name, true) else "wrong"] += 1
    return answer


def by_limit(found: list[tuple[float, bool]]) -> dict[str, dict[str, float]]:
    """Share of the finds that each limit leaves open, and how many are right below it and above."""
    chance, right = np.array([one[0] for one in found]), np.array([one[1] for one in found], bool)
    answer = {}
    for limit in LIMITS if len(found) else ():
        typed = chance >= limit
        answer[f"{limit:g}"] = {
            "open": round(float((~typed).mean()), 3),
            "right_below": round(float(right[~typed].mean()), 3) if (~typed).any() else 0.0,
            "right_above": round(float(right[typed].mean()), 3) if typed.any() else 0.0,
        }
    return answer


def page(n: int, limits: dict[str, dict[str, float]], runs: dict[str, dict[str, Counter[str]]]) -> str:
    """Make the page."""
    first = [[limit, *(f"{value:.0%}" for value in one.values())] for limit, one in limits.items()]
    what = ("right", "wrong", "open")
    second = [
        [kind, name, one.total(), *(f"{one[part] / max(1, one.total()):.0%}" for part in what)]
        for kind, both in runs.items()
        for name, one in both.items()
    ]
    return "\n".join(
        [
            *("# Classes", "", *(__doc__ or "").split("\n\n")[2].splitlines(), ""),
            *(f"Single frames, {n} finds:", ""),
            *record.table(["limit", "left open", "right below it", "right above it"], first),
            *("", "Runs:", ""),
            *record.table(["scene", "", "rows", *what], second),
        ]
    )


def main() -> None:
    """Measure and write the page."""
    given = record.options(__doc__).parse_args()
    kinds, seeds = (KINDS[:1], SEEDS[:1]) if given.smoke else (KINDS, SEEDS)
    side = SMALL if given.smoke else SIDE
    found = in_frames(kinds, seeds, side)
    limits, runs = by_limit(found), dict[str, dict[str, Counter[str]]]()
    for kind in RUN_KINDS[: 1 if given.smoke else None]:
        runs[kind] = {}
        for name, least in LEAST.items():
            frames = 2 if given.smoke else RUN_FRAMES
            uris = [SCENE.format(kind=kind, seed=seed, frames=frames, side=side) for seed in RUN_SEEDS]
            runs[kind][name] = sum((in_run(uri, least) for uri in uris), Counter())
    facts: dict[str, Any] = {"machine": record.machine(), "finds": len(found), "limits": limits, "runs": runs}
    record.keep(__file__, facts, page(len(found), limits, runs), given.results)


if __name__ == "__main__":
    main()
