"""What each new kind of training image gives, at equal numbers of images, on what was held out.

``python benchmarks/left_out.py DATA --out WORK`` writes the sets of `training_pictures` into DATA (if they are
not there), goes on from the shipped network with each mixture of `MIXTURES` and scores it on `left_out_sets`.
Results are appended to left_out.json, from which left_out.md is written; ``--score NAME CHECKPOINT`` scores a
checkpoint as it is, ``--smoke`` runs everything small in seconds and writes nothing beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from left_out_sets import Test, drawn, test_sets
from training_pictures import SHARES, listed, write_list, write_sets

from insitrack.io.frames import Frame
from insitrack.io.manifest import file_sha256
from insitrack.segment.base import SegmentConfig
from insitrack.segment.card import ModelCard
from insitrack.segment.networks.yolo import YoloSegmenter
from insitrack.segment.scores.evaluate import compare, field_of
from insitrack.segment.scores.matching import pairs
from insitrack.segment.training.export import export, load_checkpoint
from insitrack.segment.training.yolo import TrainSettings, train

SHIPPED = Path(__file__).resolve().parents[1] / "segment" / "weights" / "loops.pt"
DEFAULT, FLOOR = 0.15, 0.03
CUTS = np.round(np.concatenate([np.arange(FLOOR, 0.3, 0.01), np.arange(0.3, 0.8, 0.02)]), 2)
OLD = ("synth", "onzone", "ti", "316l")
LEVERS = {
    "computed cavities": ("void",),
    "clean steel, with drawn defects and without": ("onreal", "neg"),
    "laths, needles, cuboids": ("ppt",),
    "particles without a type": ("arda",),
    "mottle with real spectra": ("mottle",),
}
MIXTURES = {
    "more of the same": {name: SHARES[name] for name in OLD},
    **{f"and {lever}": {name: SHARES[name] for name in (*OLD, *sets)} for lever, sets in LEVERS.items()},
    "everything": SHARES,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said of one image, as far as the scores need it."""

    scores: np.ndarray
    names: np.ndarray
    iou: np.ndarray
    true: np.ndarray


def answers(segment: Any, tests: list[Test]) -> list[Answer]:
    """Run over images; a candidate counts from `FLOOR`."""
    out = []
    for image, truth, overlap in tests:
        frame = Frame(0, 0.0, image)
        found = segment(frame, field_of(frame))
        iou = compare("", found, truth, overlap).iou
        names = [np.array(part.names(), np.str_) for part in (found, truth)]
        out.append(Answer(found.scores.astype(np.float64), names[0], iou, names[1]))
    return out


def at(cut: float, given: list[Answer], least_iou: float = 0.3) -> tuple[int, int, int]:
    """Found, matched and rightly typed at a confidence, pooled over images."""
    n_found = n_matched = n_typed = 0
    for one in given:
        kept = one.scores >= cut
        rows, columns = pairs(one.iou[kept], least_iou)
        n_found, n_matched = n_found + int(kept.sum()), n_matched + len(rows)
        n_typed += int((one.names[kept][rows] == one.true[columns]).sum())
    return n_found, n_matched, n_typed


def average_precision(given: list[Answer], n_true: int, least_iou: float = 0.3) -> float:
    """Mean precision at the ranks of the hits, all images ranked together: needs no cut."""
    hits, scores = [], []
    for one in given:
        free = np.ones(len(one.true), bool)
        for row in np.argsort(-one.scores).tolist():
            overlap = np.where(free, one.iou[row], 0.0)
            hit = bool(len(overlap)) and float(overlap.max()) >= least_iou
            free[int(overlap.argmax()) if hit else slice(0, 0)] = False
            hits.append(hit)
            scores.append(one.scores[row])
    ranked = np.array(hits, bool)[np.argsort(-np.array(scores), kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float((precision * ranked).sum() / n_true)


def summary(given: list[Answer]) -> dict[str, float]:
    """Scores of one set."""
    n_true = sum(len(one.true) for one in given)
    found, matched, typed = at(DEFAULT, given)
    if not n_true:
        surer = at(0.3, given)[0]
        return {"false per picture": found / len(given), "from 0.3": surer / len(given)}
    curve = [(2 * m / max(1, f + n_true), cut, f) for cut in CUTS.tolist() for f, m, _ in [at(cut, given)]]
    best = max(curve)
    return {
        "n_true": n_true,
        "f1": 2 * matched / max(1, found + n_true),
        "count error": found / n_true - 1,
        "type right": typed / max(1, matched),
        "best f1": best[0],
        "at": best[1],
        "ap": average_precision(given, n_true),
    }


def score(
    checkpoint: Path, sets: dict[str, list[Test]], work: Path, threads: int
) -> dict[str, dict[str, Any]]:
    """Export a checkpoint and score it on every set."""
    loaded = load_checkpoint(checkpoint)
    exported = export(loaded, work / "scored.onnx")
    card = ModelCard("scored", exported, file_sha256(exported), loaded.classes, {"mask_logit": 0.0})
    segment = YoloSegmenter(card, SegmentConfig(confidence=FLOOR, threads=threads))
    out: dict[str, dict[str, Any]] = {}
    for name, tests in sets.items():
        given = answers(segment, tests)
        kept = Counter(str(n) for one in given for n in one.names[one.scores >= DEFAULT])
        out[name] = {key: round(float(value), 3) for key, value in summary(given).items()}
        out[name]["found as"] = dict(kept.most_common(3))
    return out


def go_on(
    lists: dict[str, list[Path]],
    val: Path,
    shares: dict[str, float],
    work: Path,
    given: argparse.Namespace,
    seed: int,
) -> Path:
    """Go on from the shipped network with a mixture; each training shows the same number of images.

    `val` is where ultralytics looks for images to validate on; with untyped objects it does not.
    """
    rows = listed(lists, shares, given.pictures, np.random.default_rng(1000 + seed))
    data = write_list(work / "data", rows, val)
    chosen = TrainSettings(
        network=str(SHIPPED),
        hours=None,
        epochs=given.epochs,
        pictures_per_epoch=given.pictures // given.epochs,
        image_px=64 if given.smoke else 320,
        learning_rate=8e-4,
        warmup_epochs=0.5,
        mosaic=0.3,
        scale=0.25,
        threads=given.threads,
        seed=seed,
    )
    last = work / "run" / "weights" / "last.pt"
    return last if last.is_file() else train(data, work / "run", chosen)


def page(results: dict[str, Any]) -> str:
    """Write the results as a table: a row for every set and score, a column for every network."""
    lines = ["# What new kinds of training pictures give", "", str(results.get("remark", "")), ""]
    columns = results["networks"]
    lines += ["| set | score | " + " | ".join(columns) + " |", "|" + "---|" * (2 + len(columns))]
    sets = dict.fromkeys(name for one in columns.values() for name in one)
    for name in sets:
        for key in (
            "f1",
            "best f1",
            "at",
            "ap",
            "count error",
            "type right",
            "false per picture",
            "from 0.3",
        ):
            values = [str(one.get(name, {}).get(key, "")) for one in columns.values()]
            if any(values):
                lines.append(f"| {name} | {key} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train and score from the command line."""
    parser = argparse.ArgumentParser(description="what each new kind of training picture gives")
    parser.add_argument("data", type=Path, help="folder of the training pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trainings")
    parser.add_argument(
        "--only", nargs="*", default=list(MIXTURES), choices=list(MIXTURES), metavar="MIXTURE"
    )
    parser.add_argument("--score", nargs=2, metavar=("NAME", "CHECKPOINT"))
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="tiny, writes its results into --out")
    given = parser.parse_args()
    target = (given.out if given.smoke else Path(__file__).parent) / "left_out.json"
    results = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {"networks": {}}
    sets = drawn({"voids": 1}, 256) if given.smoke else test_sets()

    def keep(name: str, checkpoint: Path) -> None:
        known = results["networks"].setdefault(name, {})
        missing = {key: tests for key, tests in sets.items() if key not in known}
        known.update(score(checkpoint, missing, given.out, given.threads))
        target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        target.with_suffix(".md").write_text(page(results), encoding="utf-8")

    given.out.mkdir(parents=True, exist_ok=True)
    if given.score:
        keep(given.score[0], Path(given.score[1]))
        return
    if given.smoke:
        given.pictures, given.epochs, given.seeds, given.only = 8, 1, [0], ["everything"]
    lists = write_sets(given.data, "loops", share=0.01 if given.smoke else 1.0, real=not given.smoke)
    for seed in given.seeds:
        for mixture in given.only:
            work = given.out / f"{mixture.replace(' ', '_').replace(',', '')}_{seed}"
            shares = MIXTURES[mixture]
            keep(
                f"{mixture}, seed {seed}",
                go_on(lists, given.data / "images" / "train", shares, work, given, seed),
            )


if __name__ == "__main__":
    main()
