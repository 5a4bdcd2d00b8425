"""What fine-tuning on a few labelled crops gains.

Five-fold over the 16 crops of 316L, each scored by a model that never saw it.

``python benchmarks/finetune_316l.py BASE [--minutes 5] [--epochs 12] [--folds 5] [--threads 2] [--out
FOLDER]`` takes a checkpoint that has not seen the crops and writes ``finetune_316l.json`` and
``finetune_316l.md`` beside this file. Within each fold the epoch is chosen on a part of the training crops,
so that the test crops decide nothing. The crops are read from ``../shared/data`` beside the repository.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import record

from insitrack.io.detections import Detections
from insitrack.segment.finetune.finetune import finetune
from insitrack.segment.finetune.settings import FinetuneSettings
from insitrack.segment.finetune.starting_point import find_base
from insitrack.segment.labels.reader import Labels, read_labelled
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.field import field_of
from insitrack.segment.scores.evaluate import score
from insitrack.segment.scores.splits import folds
from insitrack.segment.training.dataset import DatasetSettings, write_synth_dataset

CROPS = record.DATA / "creme-316L" / "clean.json"
CLASSES = {"hcloop": "loop"}
Pair = tuple[Detections, Detections]


def scores(pairs: list[Pair]) -> dict[str, float]:
    """F1, error of the count and of the labelled area, over all pictures and per picture."""
    counts = np.array([(len(found), len(true)) for found, true in pairs], float)
    areas = np.array(
        [(found.masks.area_px().sum(), true.masks.area_px().sum()) for found, true in pairs], float
    )
    out = {f"f1_iou_{iou:g}": score(pairs, iou).facts()["f1"] for iou in (0.3, 0.5)}
    for name, values in (("count", counts), ("area", areas)):
        out[f"{name}_error"] = float(values[:, 0].sum() / values[:, 1].sum() - 1)
        out[f"{name}_error_per_picture"] = float(np.median(np.abs(values[:, 0] / values[:, 1] - 1)))
    return {name: round(float(value), 4) for name, value in out.items()}


def found_and_true(segment: Any, labels: Labels) -> list[Pair]:
    return [(segment(picture.frame, field_of(picture.frame)), picture.truth) for picture in labels]


def run(base: str, chosen: FinetuneSettings, n_folds: int, only: int, work: Path) -> dict[str, Any]:
    labels = read_labelled(CROPS, CLASSES)
    start = find_base(base)
    before: list[Pair] = []
    after: list[Pair] = []
    times = []
    for split in folds(len(labels), n_folds, seed=0)[:only]:
        test = labels.chosen(split.test)
        judges = [labels.names[row] for row in split.train[:: max(1, len(split.train) // 3)]][:3]
        began = time.monotonic()
        done = finetune(
            CROPS,
            work / split.name,
            replace(chosen, val=tuple(judges), leave_out=test.names),
            classes=CLASSES,
        )
        times.append(time.monotonic() - began)
        segment = start.segmenter(chosen.segment_config())
        if segment is not None:
            before += found_and_true(segment, test)
        after += found_and_true(load_segmenter(str(done.model), chosen.segment_config()), test)
        print(
            split.name,
            "test crops",
            ", ".join(test.names),
            f"{times[-1] / 60:.1f} min",
            scores(after[-len(test) :]),
            flush=True,
        )
    return {
        "base": Path(base).name,
        "base_sha256": start.checkpoint.sha256 if start.checkpoint else None,
        "folds": n_folds if only >= n_folds else f"{only} of {n_folds}",
        "n_crops": len(after),
        "n_labelled": sum(len(true) for _, true in after),
        "minutes_per_fold": round(float(np.median(times)) / 60, 2),
        "settings": {**asdict(chosen), "base": Path(base).name},
        "before": scores(before) if before else None,
        "after": scores(after),
    }


def page(facts: dict[str, Any]) -> str:
    old, new = facts["before"], facts["after"]
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {'' if old is None else f'{old[name]:.3f}'} | {new[name]:.3f} |"
        for name in new
    )
    crops = f"{facts['folds']} folds: {facts['n_crops']} crops with {facts['n_labelled']} labelled loops"
    return f"""# Fine-tuning on 16 crops of 316L

Labelled crops of 316L under in-situ irradiation (Salvador et al. 2025), {crops},
each scored by a model that did not see it. The base, `{facts["base"]}`, must not have seen any of them. Training took
{facts["minutes_per_fold"]} min for each fold. The pooled errors are signed, those per picture are the median of the size.
For comparison, of the model published with the crops: count and area within 5 %.

| | before | after |
|---|---|---|
{rows}
"""


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument(
        "base",
        nargs="?",
        default="loops",
        help="checkpoint that has not seen the crops, a shipped model's name, or scratch",
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, default=99, help="run the first few folds only")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--epochs", type=int, default=FinetuneSettings().epochs)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--synth-pictures", type=int, default=FinetuneSettings().synthetic_pictures)
    parser.add_argument("--learning-rate", type=float, default=FinetuneSettings().learning_rate)
    parser.add_argument("--out", type=Path, help="keep the trainings here")
    given = parser.parse_args()
    if given.smoke:
        few = DatasetSettings(scenes=10, frames_per_scene=1, size_px=256, held_out=0.0, shares={"dense": 1.0})
        write_synth_dataset(given.results / "drawn", few)
        globals().update(CROPS=given.results / "drawn", CLASSES={})
        given.folds, given.only, given.minutes, given.synth_pictures = 2, 1, 0.02, 1
    chosen = FinetuneSettings(
        base=given.base,
        minutes=given.minutes,
        epochs=given.epochs,
        threads=given.threads,
        learning_rate=given.learning_rate,
        synthetic_pictures=given.synth_pictures,
        **({"image_px": 64, "scale": 1.0} if given.smoke else {}),
    )
    with tempfile.TemporaryDirectory() as temporary:
        facts = run(given.base, chosen, given.folds, given.only, given.out or Path(temporary))
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
