"""Loops and lines on one frame: what two networks find together that each finds alone, and what is counted twice.

    python benchmarks/combined.py

Drawn frames of seeds that no training saw. Finds pair with true defects at box IoU 0.3, whatever the class. True
length is covered where a found line lies within 3 px of it; area of found lines is false where no true line lies
within 5 px. In the scene `loops` no line has a truth: there only the area of lines on loops is told.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
import record
from numpy.typing import NDArray

from insitrack.io.boxes import box_iou
from insitrack.io.detections import Detections
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.models import load_segmenter
from insitrack.segment.scores.matching import pairs

SCENE = "synth:{kind}?seed={seed}&frames=2&size=512"
KINDS, SEEDS = ("lines", "pileup", "loops", "two_beam"), range(64_000, 64_006)
MODELS = ("loops", "lines", "loops+lines")
COVERED_PX, FALSE_PX = 3, 5
LINES = ("dislocation",)


def drawn(found: Detections, lines: bool, grow: int) -> NDArray[np.bool_]:
    """Where lines, or all else, lie, grown by some px."""
    rows = np.flatnonzero(np.isin(found.names(), LINES) == lines)
    image = np.zeros(found.shape, np.uint8)
    for mask in found.masks.take(rows).dense(found.shape):
        image |= mask.view(np.uint8)
    return cv2.dilate(image, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8)) > 0


def score(segment: Segmenter, movie: SynthSource) -> Counter[str]:
    """Count finds and areas of one frame."""
    frame, true = movie.frame(0), movie.truth(0)
    found = segment(frame)
    middle = np.zeros(true.shape, np.uint8)
    for line in movie.line_truth(0):
        if line.visible:
            cv2.polylines(middle, [np.rint(piece).astype(np.int32) for piece in line.pieces], False, 1)
    things = [part.take(np.flatnonzero(~np.isin(part.names(), LINES))) for part in (found, true)]
    n_pairs = 0
    if all(len(part) for part in things):
        overlap = box_iou(*(part.boxes.astype(np.float64) for part in things))
        n_pairs = len(pairs(overlap, 0.3, "hungarian")[0])
    lines, loops = drawn(found, True, 0), drawn(true, False, 2)
    near = cv2.dilate(middle, np.ones((2 * FALSE_PX + 1, 2 * FALSE_PX + 1), np.uint8)) > 0
    return Counter(
        found=len(things[0]),
        true=len(things[1]),
        pairs=n_pairs,
        length=int(middle.sum()),
        covered=int((middle.astype(bool) & drawn(found, True, COVERED_PX)).sum()),
        line_area=int(lines.sum()),
        false_area=int((lines & ~near).sum()),
        area_on_loops=int((lines & ~near & loops).sum()),
    )


def page(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Make the page."""
    rows = [
        [kind, model, one["found"], one["true"], *(_share(one, *of) for of in _SHARES)]
        for kind, models in results.items()
        for model, one in models.items()
    ]
    heads = ["scene", "model", "found", "true", *(words for _, _, words in _SHARES)]
    return "\n".join(
        [
            "# Loops and lines",
            "",
            *(__doc__ or "").split("\n\n")[2].splitlines(),
            "",
            *record.table(heads, rows),
        ]
    )


_SHARES = (
    ("pairs", "found", "precision"),
    ("pairs", "true", "recall"),
    ("covered", "length", "length covered"),
    ("false_area", "line_area", "area of lines false"),
    ("area_on_loops", "line_area", "false on loops"),
)


def _share(one: dict[str, float], part: str, whole: str, _: str) -> str:
    return f"{one[part] / one[whole]:.2f}" if one[whole] else ""


def main() -> None:
    """Measure and write the page."""
    given = record.options(__doc__).parse_args()
    kinds, seeds = (KINDS[:1], SEEDS[:1]) if given.smoke else (KINDS, SEEDS)
    segmenters = {name: load_segmenter(name, SegmentConfig(confidence=0.15)) for name in MODELS}
    results: dict[str, Any] = {}
    for kind in kinds:
        movies = [SynthSource(SCENE.format(kind=kind, seed=seed)) for seed in seeds]
        results[kind] = {
            name: dict(sum((score(segment, movie) for movie in movies), Counter()))
            for name, segment in segmenters.items()
        }
        for one in results[kind].values():
            for name in (
                "found",
                "true",
                "pairs",
                "length",
                "covered",
                "line_area",
                "false_area",
                "area_on_loops",
            ):
                one.setdefault(name, 0)
    record.keep(__file__, {"machine": record.machine(), **results}, page(results), given.results)


if __name__ == "__main__":
    main()
