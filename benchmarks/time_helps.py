"""What the tracks add to the single frames.

F1 of what stands in the tables, frame by frame, against the thresholds that decide it.

A weak detection is believed where it continues a track (``segment.confidence``), a stronger one is needed to
begin a track (``link.birth_score``). ``python benchmarks/time_helps.py [--model loops]`` runs synthetic
movies of seeds that no training has seen through the loop of `track`, with many pairs of both, chooses on one
half of the movies and reports on the other. Writes time_helps.json and .md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import record

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.io.results import TrackedFrame
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.field import FieldConfig
from insitrack.segment.scores.evaluate import score
from insitrack.tracker.link.drift import DriftEstimator
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.measure.measure import MeasureConfig
from insitrack.tracker.run.loop import run
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig

MOVIES = {"two_beam": 4, "loops": 4, "diffuse": 2, "dense": 1, "mixed": 1}
FRAMES = 24
SIDE = 512
LEAST = 0.05
SMALL = {
    "MOVIES": {"dense": 1},
    "FRAMES": 4,
    "SIDE": 192,
    "CONFIDENCES": (0.1, 0.2),
    "BIRTHS": (0.0, 0.3),
}
CONFIDENCES = (0.05, 0.08, 0.1, 0.15, 0.2, 0.25)
BIRTHS = (0.0, 0.15, 0.2, 0.25, 0.3, 0.4)


class Replay:
    """A segmenter that repeats what another found, above a confidence."""

    def __init__(self, found: list[Detections], confidence: float) -> None:
        self.class_names = found[0].class_names
        self._found, self._confidence = found, confidence

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what was found in the frame."""
        found = self._found[frame.index]
        return found.take(found.scores >= self._confidence)

    def for_live(self) -> None:
        """Nothing to do: no benchmark runs live."""

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Any]]
    ) -> Iterator[tuple[Detections | None, Any]]:
        """Run over frames in order."""
        for frame, field, tag in items:
            yield None if frame is None else self(frame, field), tag

    def describe(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}


class Collect:
    """A sink that keeps what stands in the tables as seen."""

    def __init__(self) -> None:
        self.frames: list[Detections] = []

    def __enter__(self) -> Collect:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def write(self, tracked: TrackedFrame) -> None:
        """Keep one frame."""
        self.frames.append(tracked.detections.take(tracked.observed))

    def finish(self, remaining: object) -> None:
        """Nothing is left to write."""


def movies(first_seed: int) -> Iterator[SynthSource]:
    """Make the movies of one half."""
    for kind, count in MOVIES.items():
        for seed in range(first_seed, first_seed + count):
            yield SynthSource(
                f"synth:{kind}?seed={seed}&size={SIDE}&frames={FRAMES}&fps=4&overlay=2&start=.6&jumps=0"
            )


def tabled(source: SynthSource, found: list[Detections], confidence: float, birth: float) -> list[Detections]:
    """Return the defects that the tables of a run hold as seen, frame by frame."""
    sink = Collect()
    meter = SeriesMeter(SeriesConfig(), source.calibration, class_names=found[0].class_names)
    run(
        source,
        Replay(found, confidence),
        Linker(replace(LinkConfig(), birth_score=birth)),
        meter,
        [sink],
        calibration=source.calibration,
        fields=FieldConfig(),
        drift=DriftEstimator(),
        sizes=MeasureConfig(),
    )
    return sink.frames


def scores(
    half: list[tuple[SynthSource, list[Detections], list[Detections]]], confidence: float, birth: float
) -> dict[str, float]:
    pairs = []
    for source, found, true in half:
        pairs += list(zip(tabled(source, found, confidence, birth), true, strict=True))
    facts = score(pairs, 0.3).facts()
    count = sum(len(a) for a, _ in pairs) / max(1, sum(len(b) for _, b in pairs)) - 1
    return {name: round(float(facts[name]), 4) for name in ("precision", "recall", "f1")} | {
        "count_error": round(count, 4)
    }


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--model", default="loops")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.smoke:
        globals().update(SMALL)
    halves = []
    for first_seed in (40_000, 41_000):
        half = []
        for source in movies(first_seed):
            segment = load_segmenter(given.model, SegmentConfig(confidence=LEAST, threads=given.threads))
            found = [
                one
                for one, _ in segment.stream((source.frame(i), None, None) for i in range(FRAMES))
                if one is not None
            ]
            half.append((source, found, [source.truth(i) for i in range(FRAMES)]))
        halves.append(half)
    chosen_on, reported_on = halves
    grid = {(c, b): scores(chosen_on, c, b) for c in CONFIDENCES for b in BIRTHS if b == 0 or b > c}
    best = max(grid, key=lambda key: grid[key]["f1"])
    alone = max((key for key in grid if key[1] == 0), key=lambda key: grid[key]["f1"])
    rows = {f"single frames, confidence {alone[0]:g}": scores(reported_on, *alone)}
    rows[f"confidence {best[0]:g}, birth {best[1]:g}"] = scores(reported_on, *best)
    default = (SegmentConfig().least_score, LinkConfig().birth_score)
    rows[f"as shipped: confidence {default[0]:g}, birth {default[1]:g}"] = scores(reported_on, *default)
    told = {f"{c:g}, {b:g}": row for (c, b), row in grid.items()}
    facts = {"model": given.model, "movies": MOVIES, "frames": FRAMES, "chosen_on": told, "reported_on": rows}
    lines = ["# What the tracks add to the single frames", ""]
    lines += [
        "`python benchmarks/time_helps.py`. Pooled over all frames of synthetic movies, mask IoU 0.3.",
        "",
    ]
    lines += [
        "| on the other half of the movies | precision | recall | F1 | count error |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | " + " | ".join(f"{value:.3f}" for value in row.values()) + " |"
        for name, row in rows.items()
    ]
    lines += [
        "",
        "| F1 on the half to choose on: confidence | " + " | ".join(f"birth {b:g}" for b in BIRTHS) + " |",
    ]
    lines += ["|" + "---|" * (1 + len(BIRTHS))]
    lines += [
        f"| {c:g} | " + " | ".join(f"{grid[c, b]['f1']:.3f}" if (c, b) in grid else "" for b in BIRTHS) + " |"
        for c in CONFIDENCES
    ]
    record.keep(__file__, facts, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
