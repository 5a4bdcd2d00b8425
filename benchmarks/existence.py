"""Which detections are believed: the probability of existence against the fixed confidence of before.

    python benchmarks/existence.py

Movies are drawn with seeds that no training saw and run twice, as shipped and with ``--conf 0.15``, the
default before; scored after the refinement, boxes at IoU 0.3, against every defect between the first and the
last frame in which it can be seen. Beside it stands the single confidence that the truth itself would choose.
Images are single micrographs of `left_out_sets.py`. The calibration error is that of ten bins.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import record
from end_to_end import there
from left_out_sets import Test, drawn, test_sets
from numpy.typing import NDArray

import insitrack
from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.io.tables.columns import read_candidates
from insitrack.segment.base import SegmentConfig
from insitrack.segment.models import find_model, load_segmenter
from insitrack.segment.scores.matching import box_iou, pairs
from insitrack.tracker.existence.evidence import Evidence, histogram
from insitrack.tracker.run.calibrated import calibrated
from insitrack.tracker.run.config import load_config

SCENE = "synth:{kind}?seed={seed}&frames={frames}&size=512&fps=4&overlay=2"
KINDS, SEEDS, FRAMES = ("loops", "two_beam", "diffuse", "dense"), (91_010, 91_011), 40
PICTURES = (
    "Ti, held frames",
    "316L, held crops",
    "particles of held materials",
    "nothing there: clean steel",
    "nothing there: gold",
)
PICTURES_OF_A_SET = 5
SMALL = {
    "KINDS": ("loops",),
    "SEEDS": (91_010,),
    "FRAMES": 2,
    "PICTURES": ("drawn, dense",),
    "PICTURES_OF_A_SET": 1,
}
BEFORE = 0.15
CONFIDENCES = (0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
BOX = ["x1_px", "y1_px", "x2_px", "y2_px"]

Floats = NDArray[np.float64]


@dataclass
class Score:
    """Finds, true defects and pairs, and how probable each find was."""

    found: int = 0
    true: int = 0
    hits: int = 0
    probability: list[Floats] = field(default_factory=list)
    right: list[NDArray[np.bool_]] = field(default_factory=list)

    def take(self, boxes: Floats, true: Floats, probability: Floats | None = None) -> None:
        """Take the boxes of one frame."""
        rows, _ = pairs(box_iou(boxes.astype(np.float32), true.astype(np.float32)), 0.3)
        self.found, self.true, self.hits = (
            self.found + len(boxes),
            self.true + len(true),
            self.hits + len(rows),
        )
        if probability is not None:
            self.probability.append(probability)
            self.right.append(np.isin(np.arange(len(boxes)), rows))

    @property
    def f1(self) -> float:
        """F1 of finding."""
        return 2 * self.hits / max(1, self.found + self.true)

    @property
    def count_error(self) -> float:
        """Relative error of the count."""
        return self.found / max(1, self.true) - 1

    @property
    def calibration(self) -> float:
        """Expected calibration error, ten bins."""
        p, y = np.concatenate(self.probability), np.concatenate(self.right)
        bins = np.minimum((10 * p).astype(int), 9)
        return float(sum(abs(p[bins == k].sum() - y[bins == k].sum()) for k in range(10)) / max(1, len(p)))

    def cell(self) -> str:
        """F1 and count error, or finds where there is nothing to find."""
        return f"{self.f1:.3f}, {self.count_error:+.0%}" if self.true else f"{self.found} false"


def of_movie(kind: str, seed: int) -> dict[str, Score]:
    """Scores of a drawn movie."""
    uri = SCENE.format(kind=kind, seed=seed, frames=FRAMES)
    movie = SynthSource(uri)
    true = [
        movie.truth_state(i).detections.boxes[alive].astype(np.float64)
        for i, alive in enumerate(there(movie))
    ]
    scores = {"shipped": Score(), "before": Score(), "frame by frame": Score()}
    with tempfile.TemporaryDirectory() as folder:
        run = insitrack.track(uri, Path(folder) / "run", video=False)
        before = insitrack.track(uri, Path(folder) / "before", video=False, confidence=BEFORE).tracks
        candidates = read_candidates(run.causal.folder, run.folder)
        tables = {"shipped": run.tracks, "before": before, "frame by frame": run.causal.tracks}
    candidates = candidates[candidates["observed"] == 1]
    tables |= {f"best {c:g}": candidates[candidates["score"] >= c] for c in CONFIDENCES}
    for name, table in tables.items():
        score = scores.setdefault(name, Score())
        for i, boxes in enumerate(true):
            rows = table[table["frame"] == i]
            known = rows["probability"].to_numpy() if name == "shipped" else None
            score.take(rows[BOX].to_numpy(np.float64), boxes, known)
    return scores


def of_pictures(pictures: list[Test]) -> dict[str, Score]:
    """Scores of single micrographs."""
    config = calibrated(load_config(), find_model("loops").calibration()).existence
    scores = {"shipped": Score(), "before": Score(), "all": Score()}
    for image, truth, _ in pictures[:PICTURES_OF_A_SET]:
        segment = load_segmenter("loops", SegmentConfig(confidence=config.candidate_score))
        found = segment(Frame(0, 0.0, np.ascontiguousarray(image[:1024, :1024])))
        score, boxes = found.scores.astype(np.float64), found.boxes.astype(np.float64)
        true = truth.boxes.astype(np.float64)
        true = true[(true[:, :2] + true[:, 2:]).max(axis=1) / 2 < 1024]
        odds = Evidence.of(histogram(score), config).log_odds(score)
        probability = 1 / (1 + np.exp(-odds))
        scores["all"].take(boxes, true, probability)
        scores["shipped"].take(boxes[probability >= config.keep], true)
        scores["before"].take(boxes[score >= BEFORE], true)
        for c in CONFIDENCES:
            scores.setdefault(f"best {c:g}", Score()).take(boxes[score >= c], true)
    return scores


def main() -> None:
    """Measure and write the page."""
    given = record.options(__doc__).parse_args()
    if given.smoke:
        globals().update(SMALL)
    measured = {f"{kind}, seed {seed}": of_movie(kind, seed) for kind in KINDS for seed in SEEDS}
    sets = drawn({"dense": 1}, 256) if given.smoke else test_sets()
    measured |= {name: of_pictures(sets[name]) for name in PICTURES if name in sets}
    facts, rows = {}, []
    for name, scores in measured.items():
        best = max((key for key in scores if key.startswith("best")), key=lambda key: scores[key].f1)
        judged = scores.get("all", scores["shipped"])
        facts[name] = {
            key: {"f1": round(scores[key].f1, 4), "count_error": round(scores[key].count_error, 4)}
            for key in ("before", "shipped", best)
        }
        facts[name]["calibration"] = {"error": round(judged.calibration, 4)}
        live = scores["frame by frame"].cell() if "frame by frame" in scores else ""
        chosen = f"{scores[best].cell()} at {best.split()[1]}" if judged.true else ""
        rows.append(
            [
                name,
                scores["before"].cell(),
                scores["shipped"].cell(),
                live,
                chosen,
                f"{judged.calibration:.2f}",
            ]
        )
        print(rows[-1], flush=True)
    heads = [
        "",
        f"--conf {BEFORE:g}",
        "shipped",
        "shipped, live",
        "best single confidence",
        "calibration error",
    ]
    page = ["# Existence", "", (__doc__ or "").split("\n\n")[2].replace("\n", " ").strip(), ""]
    page += ["F1 and error of the count; finds where there is no defect.", "", *record.table(heads, rows), ""]
    record.keep(__file__, {"machine": record.machine(), **facts}, "\n".join(page), given.results)


if __name__ == "__main__":
    main()
