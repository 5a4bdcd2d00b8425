"""How the network is shown a picture: at its own scale, at the one that was found, in three scales.

``python benchmarks/views.py [--model NAME]`` writes views.json and views.md beside this file.

Pictures are those of `left_out_sets.py`: no training has seen them, nor others of the same frames, series and
materials. Each is shown to the network in four ways: as it is; as a frame of a movie, at the scale that was found
(an enlarged one only where it pays for the time); as a micrograph at the scale that was found, in one look; and as
a micrograph by the default command, where two neighbouring scales have a say. F1 at IoU 0.3 at the default
confidence. On-zone pictures have boxes of <111> loops only, and not of all: only the recall means something, and
they are not in the mean.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np
import record
from left_out_sets import Test, drawn, test_sets

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import find_model
from insitrack.segment.networks.yolo import YoloSegmenter
from insitrack.segment.scores.evaluate import compare, field_of
from insitrack.segment.scores.matching import pairs

IOU = 0.3
ON_ZONE = "on zone, boxed <111>"
WAYS: dict[str, tuple[SegmentConfig, int]] = {
    "as it is": (SegmentConfig(scale=1.0, looks=1), 1),
    "frame of a movie": (SegmentConfig(looks=1), 3),
    "micrograph, one look": (SegmentConfig(looks=1), 1),
    "micrograph": (SegmentConfig(), 1),
}
"""Settings, and how often the picture is repeated: three frames are a movie."""


def look(segment: YoloSegmenter, test: Test, repeats: int) -> tuple[Detections, float, float]:
    """Return what is found in a picture, the scale that was taken, and the time that it took, s."""
    frame = Frame(0, 0.0, np.ascontiguousarray(test[0]))
    field = field_of(frame)
    begun = time.perf_counter()
    found, _ = next(segment.stream((frame, field, i) for i in range(repeats)))
    assert found is not None
    return found, segment.describe()["view"]["scale"], time.perf_counter() - begun


def measure(sets: dict[str, list[Test]], model: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores of every way on every set."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for way, (config, repeats) in WAYS.items():
        segment = YoloSegmenter(find_model(model), config)
        for name, tests in sets.items():
            n_right = n_found = n_true = 0
            scales: Counter[str] = Counter()
            seconds = 0.0
            for test in tests:
                found, scale, took = look(segment, test, repeats)
                n_right += len(pairs(compare("", found, test[1], test[2]).iou, IOU)[0])
                n_found, n_true, seconds = n_found + len(found), n_true + len(test[1]), seconds + took
                scales[f"{scale:g}"] += 1
            out.setdefault(name, {})[way] = {
                "pictures": len(tests),
                "there": n_true,
                "found": n_found,
                "f1": round(2 * n_right / max(1, n_found + n_true), 3),
                "recall": round(n_right / n_true, 3) if n_true else None,
                "scales": dict(sorted(scales.items(), key=lambda item: float(item[0]))),
                "seconds": round(seconds, 2),
            }
            print(way, name, out[name][way], flush=True)
    return out


def page(facts: dict[str, Any]) -> str:
    """Write the figures as Markdown."""
    sets, ways = facts["sets"], list(WAYS)
    counted = [name for name in sets if sets[name][ways[0]]["there"] and name != ON_ZONE]
    rows = [
        [name, sets[name][ways[0]]["pictures"], sets[name][ways[0]]["there"]]
        + [_cell(sets[name][way], on_zone=name == ON_ZONE) for way in ways]
        + [", ".join(f"{n} at {scale}" for scale, n in sets[name]["micrograph"]["scales"].items())]
        for name in sets
    ]
    means = {way: np.mean([sets[name][way]["f1"] for name in counted]) for way in ways}
    seconds = {way: sum(sets[name][way]["seconds"] for name in sets) for way in ways}
    rows.append(["mean of the sets", "", "", *(f"**{means[way]:.3f}**" for way in ways), ""])
    rows.append(
        [
            "time, times that of the first",
            "",
            "",
            *(f"{seconds[way] / seconds[ways[0]]:.1f}" for way in ways),
            "",
        ]
    )
    about = (__doc__ or "").split("\n\n")
    return "\n".join(
        [
            "# How the network is shown a picture",
            "",
            about[2].replace("\n", " ").replace("``", "`").strip(),
            "",
            "F1 and error of the count; on zone the recall; where nothing is there, false finds per picture. The time of a"
            " frame of a movie holds the search for the scale on three frames, which a movie pays once.",
            "",
            *record.table(["set", "pictures", "there", *ways, "scales of the micrographs"], rows),
            "",
            f"Model {facts['model']}; {facts['machine']}.",
        ]
    )


def _cell(score: dict[str, Any], *, on_zone: bool) -> str:
    if not score["there"]:
        return f"{score['found'] / score['pictures']:.1f}"
    if on_zone:
        return f"{score['recall']:.2f}"
    return f"{score['f1']:.3f} ({score['found'] / score['there'] - 1:+.0%})"


def main() -> None:
    """Measure and write the page."""
    parser = record.options(__doc__)
    parser.add_argument("--model", default="loops")
    given = parser.parse_args()
    sets = drawn({"loops": 1, "bubbles": 1}, 256) if given.smoke else test_sets()
    facts: dict[str, Any] = {"machine": record.machine(), "model": find_model(given.model).sha256[:12]}
    facts["sets"] = measure(sets, given.model)
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
