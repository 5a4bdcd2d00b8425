"""What fine-tuning on a few labelled crops gains.

Five-fold over the 16 crops of 316L, each scored by a model that never saw it.

``python benchmarks/finetune_316l.py BASE [--minutes 5] [--epochs 12] [--folds 5] [--threads 2] [--out
FOLDER]`` takes a checkpoint that has not seen the crops and writes ``finetune_316l.json`` and
``finetune_316l.md`` beside this file. Folds whose figures lie in FOLDER are not run again, and ``--fold K`` runs
one only. Every model is scored at the default confidence and at the score from which its card calls a find likelier
a defect than not, which is what decides in a run. Within each fold the epoch is chosen on a part of the training crops,
so that the test crops decide nothing. The crops are read from ``../shared/data`` beside the repository.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import record

from insitrack.io.detections import Detections
from insitrack.io.write import write_json
from insitrack.segment.base import DEFAULT_CONFIDENCE
from insitrack.segment.finetune.finetune import finetune
from insitrack.segment.finetune.outcome import CANDIDATE
from insitrack.segment.finetune.settings import FinetuneSettings
from insitrack.segment.finetune.starting_point import find_base
from insitrack.segment.labels.reader import Labels, read_labelled
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.field import field_of
from insitrack.segment.scores.matching import pairs as matched
from insitrack.segment.scores.splits import folds
from insitrack.segment.training.dataset import DatasetSettings, write_synth_dataset

CROPS = record.DATA / "creme-316L" / "clean.json"
CLASSES = {"hcloop": "loop"}
WHICH = {"before": "before", "scaled": "before, at the scale of the training", "after": "after"}
"""Who is scored: the base as `track` runs it, the base shown the crops as the training was, the new model."""
Pair = tuple[Detections, Detections]


def counted(pairs: list[Pair]) -> list[dict[str, float]]:
    """Count what the scores are made from, crop by crop."""
    rows = []
    for found, true in pairs:
        row = {"found": len(found), "true": len(true)}
        row |= {f"matched_{iou:g}": len(matched(found.masks.iou(true.masks), iou)[0]) for iou in (0.3, 0.5)}
        row |= {"found_px": int(found.masks.area_px().sum()), "true_px": int(true.masks.area_px().sum())}
        rows.append(row)
    return rows


def scores(rows: list[dict[str, float]]) -> dict[str, float]:
    """F1, error of the count and of the labelled area, over all crops and per crop."""
    column = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    out = {
        f"f1_iou_{iou:g}": 2
        * column[f"matched_{iou:g}"].sum()
        / (column["found"].sum() + column["true"].sum())
        for iou in (0.3, 0.5)
    }
    for name, ending in (("count", ""), ("area", "_px")):
        found, true = column[f"found{ending}"], column[f"true{ending}"]
        out[f"{name}_error"] = found.sum() / true.sum() - 1
        out[f"{name}_error_per_picture"] = np.median(np.abs(found / true - 1))
    return {name: round(float(value), 4) for name, value in out.items()}


def found_and_true(segment: Any, labels: Labels) -> list[Pair]:
    return [(segment(picture.frame, field_of(picture.frame)), picture.truth) for picture in labels]


def run_fold(split: Any, labels: Labels, base: str, chosen: FinetuneSettings, work: Path) -> dict[str, Any]:
    """Train on the crops of a fold, and score both models on those left out."""
    test = labels.chosen(split.test)
    judges = [labels.names[row] for row in split.train[:: max(1, len(split.train) // 3)]][:3]
    began = time.monotonic()
    left_out = replace(chosen, val=tuple(judges), leave_out=test.names)
    done = finetune(CROPS, work / split.name, left_out, classes=CLASSES)
    facts: dict[str, Any] = {"minutes": (time.monotonic() - began) / 60, "kept_start": done.kept_start}
    card = json.loads(done.model.with_suffix(".json").read_text(encoding="utf-8"))
    facts |= {"crops": list(test.names), "usual_scale": card.get("usual_scale")}
    start = find_base(base)
    even_start, scale = (start.facts.get("calibration") or {}).get("even_score"), card.get("usual_scale")
    even = {"after": (card.get("calibration") or {}).get("even_score")}
    even |= {"before": even_start, "scaled": even_start}
    for name, make in (
        ("before", start.segmenter),
        ("scaled", lambda how: start.segmenter(replace(how, scale=scale or how.scale))),
        ("after", lambda how: load_segmenter(str(done.model), how)),
    ):
        plain = make(chosen.segment_config(confidence=CANDIDATE))
        if plain is None:
            continue
        found = found_and_true(plain, test)
        for kind, cut in (("default", DEFAULT_CONFIDENCE), ("even", even[name] or DEFAULT_CONFIDENCE)):
            kept = [(one.take(one.scores >= cut), true) for one, true in found]
            facts[f"{name}_{kind}"] = counted(kept)
    return facts


def run(base: str, chosen: FinetuneSettings, given: Any, work: Path) -> dict[str, Any] | None:
    """Run the folds that have no figures yet; None while some are missing."""
    labels = read_labelled(CROPS, CLASSES)
    known, asked = [], folds(len(labels), given.folds, seed=0)[: given.only]
    for number, split in enumerate(asked):
        part = work / f"{split.name}.json"
        if not part.is_file() and given.fold in (None, number):
            facts = run_fold(split, labels, base, chosen, work)
            write_json(part, facts)
            print(split.name, f"{facts['minutes']:.1f} min", scores(facts["after_default"]), flush=True)
        if part.is_file():
            known.append(json.loads(part.read_text(encoding="utf-8")))
    if len(known) < len(asked):
        return None
    start = find_base(base)
    pooled = {
        name: scores([row for one in known for row in one[name]])
        for name in (f"{which}_{cut}" for cut in ("default", "even") for which in WHICH)
        if all(name in one for one in known)
    }
    rows = [row for one in known for row in one["after_default"]]
    return {
        "base": Path(base).name,
        "base_sha256": start.checkpoint.sha256 if start.checkpoint else None,
        "folds": given.folds if given.only >= given.folds else f"{given.only} of {given.folds}",
        "n_crops": len(rows),
        "n_labelled": sum(int(row["true"]) for row in rows),
        "minutes_per_fold": round(float(np.median([one["minutes"] for one in known])), 2),
        "kept_start": sum(one["kept_start"] for one in known),
        "scales": [one["usual_scale"] for one in known],
        "settings": {**asdict(chosen), "base": Path(base).name},
        **pooled,
    }


def page(facts: dict[str, Any]) -> str:
    names = [f"{which}_{cut}" for cut in ("default", "even") for which in WHICH if f"{which}_{cut}" in facts]
    heads = {"default": f"at {DEFAULT_CONFIDENCE:g}", "even": "at its even score"}
    rows = [
        [one.replace("_", " "), *(f"{facts[name][one]:.3f}" for name in names)]
        for one in facts["after_default"]
    ]
    titles = ["", *(f"{WHICH[name.split('_')[0]]}, {heads[name.split('_')[1]]}" for name in names)]
    kept = f"In {facts['kept_start']} of the folds no epoch beat the base on the crops that judge, and it was kept."
    return f"""# Fine-tuning on 16 crops of 316L

Labelled crops of 316L under in-situ irradiation (Salvador et al. 2025), {facts["folds"]} folds: {facts["n_crops"]} crops
with {facts["n_labelled"]} labelled loops, each scored by a model that did not see it. The base, `{facts["base"]}`, must not
have seen any of them. Training and all around it took {facts["minutes_per_fold"]} min for each fold. {kept} The pooled
errors are signed, those per picture are the median of the size. For comparison, of the model published with the crops:
count and area within 5 %.

{chr(10).join(record.table(titles, rows))}
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
    parser.add_argument("--fold", type=int, help="run this fold only, from 0; the others wait")
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
        work = given.out or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        facts = run(given.base, chosen, given, work)
    if facts is not None:
        record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
