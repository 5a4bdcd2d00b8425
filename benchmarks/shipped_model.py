"""How the shipped network was made and scored: data, training, export, card.

``python benchmarks/shipped_model.py data FOLDER MODEL`` makes the training images (MODEL, an earlier one,
labels what people left unlabelled), ``python -m insitrack.segment.training.yolo FOLDER/data.yaml --out RUN
--hours 1.5`` trains, and ``python benchmarks/shipped_model.py card CHECKPOINT TARGET.onnx`` exports and
scores. Real images are read from ``../shared/data`` beside the repository and left out where they are
absent.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import on_zone
import record
from threshold_baseline import threshold_baseline
from training_pictures import FOLDS, REAL, crops_316l, fold_of_series, frames_ti, write

from insitrack.io.frames import Frame
from insitrack.io.synth.source import SynthSource
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.labels.yolo import TRAINED_CLASSES
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.field import field_of
from insitrack.segment.scores.confusion import Compared, compare, confusion
from insitrack.segment.scores.evaluate import Example, evaluate

SIDE, SEEDS = 512, 3
TEST_SCENES = {"two_beam": 14, "loops": 10, "mixed": 6, "voids": 4, "precipitates": 3, "dense": 3}
NEW_SCENES = {
    "synthetic, cavities": ("voids", "bubbles", "swelling"),
    "synthetic, laths and particles": ("laths", "particles"),
}
HELD_FOLD = 0


def test_sets() -> dict[str, list[Example]]:
    """Images that no training has seen, with their labels."""
    sets: dict[str, list[Example]] = {"synthetic, all kinds": [], "synthetic, two-beam": []}
    for kind, count in TEST_SCENES.items():
        for seed in range(50_000, 50_000 + count):
            movie = SynthSource(
                f"synth:{kind}?seed={seed}&size={SIDE}&frames=40&fps=4&overlay=2&start=.4&jumps=2"
            )
            sets["synthetic, all kinds"].append((movie.frame(35), movie.truth(35)))
            if kind == "two_beam":
                sets["synthetic, two-beam"].append(sets["synthetic, all kinds"][-1])
    for name, kinds in NEW_SCENES.items():
        for kind in kinds:
            for seed in range(50_000, 50_000 + SEEDS):
                movie = SynthSource(
                    f"synth:{kind}?seed={seed}&size={SIDE}&frames=40&fps=4&overlay=2&start=.4&jumps=2"
                )
                sets.setdefault(name, []).append((movie.frame(35), movie.truth(35)))
    if REAL.is_dir():
        crops = [
            (Frame(n, 0.0, image), truth) for n, (_, image, truth) in crops_316l() if n % FOLDS == HELD_FOLD
        ]
        sets["real, 316L crops 5, 10, 15"] = crops
        frames = [
            (Frame(i, 0.0, image), truth)
            for i, (_, image, truth) in enumerate(frames_ti())
            if i % FOLDS == HELD_FOLD
        ]
        sets["real, Ti frames 1, 6, 11, 16"] = frames
    return sets


def boxed_loops(segment: Segmenter) -> dict[str, dict[str, dict[str, float]]]:
    """Recall of the loops that people boxed in the held-out on-zone series, by series, at box IoU 0.3.

    Other defects are not labelled there.
    """
    compared: dict[str, list[Compared]] = {}
    for picture in on_zone.pictures():
        if fold_of_series(picture.series) == HELD_FOLD:
            frame = Frame(0, 0.0, picture.image)
            compared.setdefault(picture.series, []).append(
                compare(picture.name, segment(frame, field_of(frame)), on_zone.boxed(picture), "box")
            )
    out: dict[str, dict[str, dict[str, float]]] = {}
    for series, pictures in compared.items():
        found = confusion(pictures, 0.3)
        facts = {
            "n_true": found.n_true,
            "n_found": found.n_found,
            "recall": found.recall,
            "class_accuracy": found.class_accuracy,
        }
        out[f"real, on-zone series {series}: boxed <111> loops, box IoU"] = {"network": {"iou_0.3": facts}}
    return out


def calibration_before(card: Path) -> dict[str, Any]:
    """Calibration of the network that a card was of, until `real_pictures.py` has fitted that of the new one."""
    known = json.loads(card.read_text(encoding="utf-8")).get("calibration") if card.is_file() else None
    if not known:
        return {}
    note = "; with the network before this one"
    return {"calibration": {**known, "learnt_on": known.get("learnt_on", "").removesuffix(note) + note}}


def write_final_card(checkpoint: Path, target: Path) -> None:
    """Export, score on the test images, write the card."""
    from insitrack.segment.training.export import export, load_checkpoint, save_checkpoint
    from insitrack.segment.training.model_card import write_card
    from insitrack.segment.training.yolo import TrainSettings

    calibration = calibration_before(target.with_suffix(".json"))
    save_checkpoint(load_checkpoint(checkpoint), target.with_suffix(".pt"))
    export(checkpoint, target)
    facts = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))

    def write(more: dict[str, Any]) -> None:
        recipe = asdict(TrainSettings(**more.pop("settings", {})))
        write_card(
            target,
            classes=TRAINED_CLASSES,
            recipe={**recipe, "network": Path(recipe["network"]).name},
            facts=more,
        )

    facts |= calibration
    facts["mask_logit"] = (
        0.0  # chosen, not fitted: what bias of the sizes it leaves is in the table of the card
    )
    write(dict(facts))
    segment = load_segmenter(str(target), SegmentConfig())
    metrics: dict[str, dict[str, Any]] = {}
    if REAL.is_dir():
        metrics |= boxed_loops(segment)
    for name, examples in test_sets().items():
        metrics[name] = {
            "network": evaluate(segment, examples),
            "smooth and threshold": evaluate(threshold_baseline, examples),
        }
    write({**facts, "metrics": metrics})


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("what", nargs="?", choices=("data", "card"))
    parser.add_argument("paths", nargs="*", help="FOLDER MODEL, or CHECKPOINT TARGET.onnx")
    given = parser.parse_args()
    if given.smoke:
        few = {"TEST_SCENES": {"loops": 1, "two_beam": 1}, "NEW_SCENES": {"synthetic, cavities": ("voids",)}}
        globals().update(few, SIDE=192, SEEDS=1, REAL=Path("none"))
        checkpoint = Path(__file__).resolve().parents[1] / "segment" / "weights" / "loops.pt"
        write_final_card(checkpoint, given.results / "shipped_model.onnx")
    elif len(given.paths) != 2 or given.what is None:
        parser.error("give data FOLDER MODEL, or card CHECKPOINT TARGET.onnx")
    elif given.what == "data":
        write(Path(given.paths[0]), model=given.paths[1], held_fold=HELD_FOLD)
    else:
        write_final_card(*(Path(path) for path in given.paths))


if __name__ == "__main__":
    main()
