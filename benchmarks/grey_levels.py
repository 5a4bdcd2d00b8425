"""Grey levels of 16-bit movies.

Fixed over the run, by its first frame, or by each frame; with a steady beam and with one that changes.

``python benchmarks/grey_levels.py`` writes grey_levels.json and grey_levels.md beside this file. Synthetic
movies of seeds that no training has seen, with exact truth; the FeCrAl movie (Shen et al. 2021, doi
10.1016/j.commatsci.2021.110560), which nobody has labelled, where it lies beside the project: of it the
scatter of the count. Both are made deep by taking every grey level as 100 of 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.io.sources import open_source
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.field import FieldFinder
from insitrack.segment.prepare.grey import grey_range
from insitrack.segment.scores.evaluate import score

HERE = Path(__file__)
MOVIE = HERE.resolve().parents[2] / "shared" / "data" / "fecral-video" / "fecral_insitu_400-699.mp4"
KINDS, SEEDS, FRAMES = ("two_beam", "loops", "diffuse"), (71_000, 71_001), 40
DEEP, DARK_CURRENT = 100, 500
SPREAD = 16
SIDE = 512

Beam = Callable[[float, np.random.Generator], float]
BEAMS: dict[str, Beam] = {
    "steady": lambda share, random: 1.0,
    "flickers by 3 %": lambda share, random: float(random.normal(1, 0.03)),
    "fades by 10 %": lambda share, random: 1 - 0.1 * share,
    "fades by 30 %": lambda share, random: 1 - 0.3 * share,
    "halves": lambda share, random: 1 - 0.5 * share,
    "doubles for the last sixth": lambda share, random: 2.0 if share > 5 / 6 else 1.0,
}
SMALL = {
    "KINDS": ("loops",),
    "SEEDS": (71_000,),
    "FRAMES": 6,
    "SIDE": 128,
    "BEAMS": {"halves": BEAMS["halves"]},
    "MOVIE": Path("none"),
}


def deep(frames: list[Frame], beam: Beam) -> list[Frame]:
    """Make 16-bit frames as a camera gives them under a beam."""
    random = np.random.default_rng(0)
    strength = [beam(i / max(1, len(frames) - 1), random) for i in range(len(frames))]
    pictures = [
        np.clip(DARK_CURRENT + frame.image * (DEEP * k), 0, 65535).astype(np.uint16)
        for frame, k in zip(frames, strength, strict=True)
    ]
    return [Frame(frame.index, frame.t_s, picture) for frame, picture in zip(frames, pictures, strict=True)]


def found_in(frames: list[Frame], levels: Any) -> list[Detections]:
    """Run the shipped model, at scale 1 and for dark defects, so that nothing but the grey levels differs."""
    finder = FieldFinder()
    items = ((frame, finder.update(frame.image), None) for frame in frames)
    return [
        found
        for found, _ in load_segmenter(
            "loops", SegmentConfig(scale=1.0, contrast="dark", levels=levels)
        ).stream(items)
        if found is not None
    ]


def ways(frames: list[Frame]) -> dict[str, Any]:
    """Make the settings that are compared."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, SPREAD).round().astype(int))
    return {
        "frame": "frame",
        "run, its first frame": "run",
        "run, 16 frames": grey_range(frames[i] for i in chosen),
    }


def step(found: list[Detections]) -> float:
    """Mean change of the count from frame to frame, share of the mean count."""
    counts = np.array([len(one) for one in found], float)
    return float(np.abs(np.diff(counts)).mean() / counts.mean())


def synthetic() -> list[dict[str, Any]]:
    """Score every way under every beam."""
    movies = []
    for kind in KINDS:
        for seed in SEEDS:
            source = SynthSource(
                f"synth:{kind}?seed={seed}&size={SIDE}&frames={FRAMES}&fps=4&overlay=2&start=.6&jumps=0"
            )
            frames = [item for item in source if isinstance(item, Frame)]
            movies.append((frames, [source.truth(frame.index) for frame in frames]))
    rows = []
    for beam, strength in BEAMS.items():
        pairs: dict[str, list[tuple[Detections, Detections]]] = {}
        steps: dict[str, list[float]] = {}
        for frames, truth in movies:
            made = deep(frames, strength)
            for way, levels in ways(made).items():
                found = found_in(made, levels)
                pairs.setdefault(way, []).extend(zip(found, truth, strict=True))
                steps.setdefault(way, []).append(step(found))
        for way, those in pairs.items():
            facts = score(those, 0.5).facts()
            count = sum(len(a) for a, _ in those) / sum(len(b) for _, b in those) - 1
            change = float(np.mean(steps[way]))
            rows.append(
                {
                    "beam": beam,
                    "levels": way,
                    "f1": facts["f1"],
                    "size_bias": facts["size_bias"],
                    "count_error": count,
                    "step": change,
                }
            )
    return rows


def real() -> list[dict[str, Any]]:
    """Count in the real movie, every fifth frame."""
    if not MOVIE.exists():
        return []
    frames = [item for item in open_source(MOVIE) if isinstance(item, Frame)][::5]
    rows = []
    for beam, strength in BEAMS.items():
        made = deep(frames, strength)
        for way, levels in ways(made).items():
            found = found_in(made, levels)
            rows.append(
                {
                    "beam": beam,
                    "levels": way,
                    "mean_count": float(np.mean([len(one) for one in found])),
                    "step": step(found),
                }
            )
    return rows


def main() -> None:
    given = record.options(__doc__).parse_args()
    if given.smoke:
        globals().update(SMALL)
    result = {"synthetic": synthetic(), "real": real()}
    lines = [
        "# Grey levels of deep movies",
        "",
        "`python benchmarks/grey_levels.py`",
        "",
        "Six synthetic movies that no training saw, mask IoU 0.5:",
        "",
    ]
    lines += [
        "| beam | levels | F1 | size bias | count | change of the count per frame |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["synthetic"]:
        numbers = f"{row['f1']:.3f} | {row['size_bias']:+.3f} | {row['count_error']:+.1%} | {row['step']:.1%}"
        lines.append(f"| {row['beam']} | {row['levels']} | {numbers} |")
    if result["real"]:
        lines += [
            "",
            "Real FeCrAl movie, not labelled, every fifth frame:",
            "",
            "| beam | levels | mean count | change per frame |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {row['beam']} | {row['levels']} | {row['mean_count']:.1f} | {row['step']:.1%} |"
            for row in result["real"]
        ]
    lines += ["", f"Machine: {record.machine()}."]
    record.keep(__file__, result, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
