"""What Gundersen's rule loses because slivers of defects at the border are not found, by size.

    python benchmarks/border.py

The rule counts a defect that the right or the upper border cuts, however little of it is in view. Drawn frames tell
what lies there: for every defect that these borders cut (and the other two do not), whether the shipped model finds
what is in view, against the share that it finds of defects that no border cuts. `s` is the width of the strip along
these borders in which nothing would have to be found for the same loss; the count is too low by s/W + s/H.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import record

from insitrack.io.arrays import Bools, Floats
from insitrack.io.boxes import box_iou
from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.io.synth.truth import Truth
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import load_segmenter
from insitrack.segment.scores.matching import pairs

KINDS = ("loops", "two_beam")
SEEDS = range(71_000, 71_060)
SIDE, LEAST_IOU = 256, 0.1
SIZES_PX = (0.0, 12.0, 20.0, 32.0, np.inf)
SMALL = {"KINDS": ("loops",), "SEEDS": range(71_000, 71_002), "SIDE": 128}


def looked_at() -> list[tuple[Truth, Detections]]:
    """Truth and detections of one frame of each movie."""
    model = load_segmenter("loops", SegmentConfig(scale=1.0, contrast="dark"))
    answer = []
    for kind in KINDS:
        movies = [
            SynthSource(f"synth:{kind}?seed={seed}&frames=1&size={SIDE}&start=0.9&jumps=0&faults=0&overlay=0")
            for seed in SEEDS
        ]
        frames = [Frame(i, float(i), movie.frame(0).image) for i, movie in enumerate(movies)]
        found = [one for one, _ in model.stream((frame, None, None) for frame in frames) if one is not None]
        answer += list(zip([movie.truth_state(0) for movie in movies], found, strict=True))
    return answer


def is_found(truth: Truth, found: Detections) -> Bools:
    """For every true defect, whether a detection lies on what is in view of it."""
    answer = np.zeros(len(truth.detections), bool)
    if len(found) and len(answer):
        answer[pairs(box_iou(found.boxes, truth.detections.boxes), LEAST_IOU)[1]] = True
    return answer


def cut(truth: Truth) -> tuple[Bools, Bools]:
    """Which defects no border cuts, and which the right or the upper one cuts and no other."""
    height, width = truth.detections.shape
    x1, y1, x2, y2 = truth.detections.boxes.T
    left_or_lower = (x1 <= 0) | (y2 >= height)
    right_or_upper = (x2 >= width) | (y1 <= 0)
    return ~left_or_lower & ~right_or_upper, ~left_or_lower & right_or_upper


def lost(frames: list[tuple[Truth, Detections]], low_px: float, high_px: float) -> dict[str, Any]:
    """Count one class of sizes, and say how wide a strip without finds would lose as many."""
    whole, slivers, found_whole, found_slivers = 0, 0, 0, 0
    in_view: list[Floats] = []
    for truth, found in frames:
        mine = (truth.major_px >= low_px) & (truth.major_px < high_px)
        hit, (inside, sliver) = is_found(truth, found), cut(truth)
        whole, slivers = whole + int((mine & inside).sum()), slivers + int((mine & sliver).sum())
        found_whole += int((mine & inside & hit).sum())
        found_slivers += int((mine & sliver & hit).sum())
        sides = truth.detections.boxes[mine & sliver & hit]
        in_view.append(np.minimum(sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1]))
    answer = {
        "size_px": f"{low_px:g} to {high_px:g}" if np.isfinite(high_px) else f"over {low_px:g}",
        "whole": whole,
        "found_of_whole": found_whole,
        "cut": slivers,
        "found_of_cut": found_slivers,
        "narrowest_found_px": float(np.percentile(np.concatenate(in_view), 5)) if found_slivers else None,
        "strip_px": None,
        "strip_sd_px": None,
        "loss_at_512_px": None,
    }
    if not found_whole or not slivers:
        return answer
    recall = found_whole / whole
    height, width = frames[0][0].detections.shape
    per_px = (whole + slivers) / (height * width)  # what the rule counts
    strip_px = (slivers - found_slivers / recall) / (per_px * (width + height))
    error = np.sqrt(slivers * recall * (1 - recall)) / recall / (per_px * (width + height))
    return answer | {
        "strip_px": round(strip_px, 2),
        "strip_sd_px": round(float(error), 2),
        "loss_at_512_px": round(2 * strip_px / 512, 4),
    }


def page(rows: list[dict[str, Any]], n_frames: int) -> str:
    """Write the figures for people."""
    heads = ["size, px", "found of whole ones", "found of those cut", "s, px", "loss in 512 x 512 px"]
    table = [
        [
            row["size_px"],
            f"{row['found_of_whole']} of {row['whole']}",
            f"{row['found_of_cut']} of {row['cut']}",
            "" if row["strip_px"] is None else f"{row['strip_px']:.1f} +- {row['strip_sd_px']:.1f}",
            "" if row["strip_px"] is None else f"{row['loss_at_512_px']:.1%}",
        ]
        for row in rows
    ]
    return "\n".join(
        [
            "# Slivers at the border",
            "",
            f"`python benchmarks/border.py`: {n_frames} drawn frames of {SIDE} x {SIDE} px ({', '.join(KINDS)}),"
            f" shipped model; {record.machine()}.",
            "",
            *record.table(heads, table),
            "",
            "Size: the longest axis of the whole defect. Cut: by the right or the upper border alone. s: width of the"
            " strip along these borders in which nothing would have to be found for the same loss, with the standard"
            " deviation of its counting.",
        ]
    )


def main() -> None:
    """Measure and write the page."""
    given = record.options(__doc__).parse_args()
    if given.smoke:
        globals().update(SMALL)
    frames = looked_at()
    rows = [lost(frames, low, high) for low, high in pairwise(SIZES_PX)]
    rows.append(lost(frames, 0.0, np.inf) | {"size_px": "all"})
    facts = {
        "machine": record.machine(),
        "kinds": KINDS,
        "frames": len(frames),
        "side_px": SIDE,
        "rows": rows,
    }
    record.keep(__file__, facts, page(rows, len(frames)), given.results)


if __name__ == "__main__":
    main()
