"""What real micrographs add to drawn ones, at equal cost.

Synthetic only, real ones that are labelled, real ones that label themselves.

``python benchmarks/what_real_adds.py FOLDER --out WORK`` takes the training images that ``shipped_model.py
data FOLDER`` made. A network is trained from random weights on drawn images alone; from there three go on,
each seeing the same number of images more: drawn ones, or half of them real ones with their labels, or the
same real ones with what the first network finds in them for labels. All are scored on the series, frames and
crops that were held out. Writes what_real_adds.json and what_real_adds.md beside this file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import record
from shipped_model import boxed_loops, test_sets

from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig
from insitrack.segment.finetune.starting_point import in_memory
from insitrack.segment.labels.yolo import label_lines
from insitrack.segment.networks.yolo import YoloSegmenter
from insitrack.segment.scores.evaluate import evaluate
from insitrack.segment.training.dataset import DatasetSettings, write_synth_dataset, write_yaml
from insitrack.segment.training.export import load_checkpoint
from insitrack.segment.training.yolo import TrainSettings, train

REAL_SETS = ("onzone", "ti", "316l")
SELF_CONFIDENCE = 0.25


def is_real(path: Path) -> bool:
    """Tell a real image by its name."""
    return path.name.split("_")[0] in REAL_SETS


def listed(folder: Path, data: Path, pictures: Sequence[Path], *, even: bool) -> Path:
    """Write a data set that lists images that lie elsewhere.

    `even` repeats the real ones until half of the list is real.
    """
    folder.mkdir(parents=True, exist_ok=True)
    real = [path for path in pictures if is_real(path)]
    repeats = round((len(pictures) - len(real)) / len(real)) if even and real else 1
    rows = [str(path.resolve()) for path in pictures for _ in range(repeats if is_real(path) else 1)]
    (folder / "train.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    told = write_yaml(folder)
    text = told.read_text(encoding="utf-8").replace("train: images/train", "train: train.txt")
    told.write_text(
        text.replace("val: images/val", f"val: {(data / 'images' / 'val').resolve()}"), encoding="utf-8"
    )
    return told


def label_themselves(pictures: Sequence[Path], segment: YoloSegmenter, folder: Path) -> list[Path]:
    """Give images the labels that a network finds in them."""
    out = []
    for path in pictures:
        target = folder / "images" / "train" / path.name
        label = folder / "labels" / "train" / f"{path.stem}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        label.write_text("\n".join(label_lines(segment(Frame(0, 0.0, image)))) + "\n", encoding="utf-8")
        out.append(target)
    return out


def drawn_small(folder: Path) -> Path:
    """Draw a few images, one of which passes for a real one."""
    few = DatasetSettings(scenes=6, frames_per_scene=1, size_px=64, held_out=0.3, shares={"loops": 1.0})
    write_synth_dataset(folder / "drawn", few)
    pictures = sorted((folder / "drawn" / "images" / "train").iterdir())
    for path in (pictures[0], folder / "drawn" / "labels" / "train" / f"{pictures[0].stem}.txt"):
        shutil.copy(path, path.with_name(f"ti_{path.name}"))
    pictures.append(pictures[0].with_name(f"ti_{pictures[0].name}"))
    (folder / "drawn" / "train.txt").write_text("\n".join(map(str, pictures)) + "\n", encoding="utf-8")
    return folder / "drawn"


def score(checkpoint: Path, threads: int) -> dict[str, Any]:
    """Score a network on everything that was held out."""
    segment = in_memory(load_checkpoint(checkpoint), {"mask_logit": 0.0}, SegmentConfig(threads=threads))
    facts: dict[str, Any] = {}
    loops = [methods["network"]["iou_0.3"] for methods in boxed_loops(segment).values()]
    n_true = sum(one["n_true"] for one in loops)
    found = sum(one["recall"] * one["n_true"] for one in loops)
    if n_true:
        facts["boxed <111> loops: recall"] = found / n_true
        facts["boxed <111> loops: called <111>"] = sum(
            one["class_accuracy"] * one["recall"] * one["n_true"] for one in loops
        ) / max(found, 1)
    for name, examples in test_sets().items():
        scores = evaluate(segment, examples)
        facts |= {f"{name}: F1 at IoU {iou.removeprefix('iou_')}": one["f1"] for iou, one in scores.items()}
        facts[f"{name}: class accuracy"] = scores["iou_0.3"]["class_accuracy"]
    return {name: round(float(value), 3) for name, value in facts.items()}


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="folder of training pictures")
    parser.add_argument("--out", type=Path, help="folder for the trainings")
    parser.add_argument("--epochs", type=int, default=4, help="of 1,600 pictures, from random weights")
    parser.add_argument("--more", type=int, default=2, help="epochs of each network that goes on")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    small: dict[str, Any] = {}
    if given.smoke:
        given.data, given.out, given.epochs, given.more = drawn_small(given.results), given.results, 1, 1
        small = {"image_px": 64, "pictures_per_epoch": 2}
        globals().update(boxed_loops=lambda segment: {}, test_sets=lambda: {})
    elif given.data is None or given.out is None:
        parser.error("give FOLDER and --out")
    pictures = [
        Path(row)
        for row in dict.fromkeys((given.data / "train.txt").read_text(encoding="utf-8").split("\n"))
        if row and Path(row).parent == (given.data / "images" / "train").resolve()
    ]
    drawn = [path for path in pictures if not is_real(path)]
    real = [path for path in pictures if is_real(path)]
    first = TrainSettings(
        hours=None, epochs=given.epochs, threads=given.threads, mosaic=0.3, scale=0.25, **small
    )
    begun = train(listed(given.out / "drawn", given.data, drawn, even=False), given.out / "first", first)
    segment = in_memory(
        load_checkpoint(begun),
        {"mask_logit": 0.0},
        SegmentConfig(confidence=SELF_CONFIDENCE, scale=1.0, contrast="dark", threads=given.threads),
    )
    arms = {
        "more synthetic ones": drawn,
        "real ones, labelled": drawn + real,
        "real ones that label themselves": drawn + label_themselves(real, segment, given.out / "themselves"),
    }
    more = TrainSettings(
        network=str(begun),
        hours=None,
        epochs=given.more,
        threads=given.threads,
        learning_rate=7e-4,
        mosaic=0.3,
        scale=0.25,
        **small,
    )
    results = {f"{given.epochs * first.pictures_per_epoch} synthetic pictures": score(begun, given.threads)}
    for name, chosen in list(arms.items())[-1 if given.smoke else 0 :]:
        folder = given.out / name.split(",")[0].replace(" ", "_") / name[-6:]
        last = train(listed(folder / "data", given.data, chosen, even=True), folder / "run", more)
        results[f"and {given.more * more.pictures_per_epoch} more: {name}"] = score(last, given.threads)
        print(name, results[f"and {given.more * more.pictures_per_epoch} more: {name}"], flush=True)
    rows = next(iter(results.values()))
    lines = [
        "# What real micrographs add, at equal cost",
        "",
        (__doc__ or "").split("\n\n")[1].replace("\n", " "),
        "",
    ]
    lines += ["| | " + " | ".join(results) + " |", "|" + "---|" * (1 + len(results))]
    lines += [f"| {row} | " + " | ".join(str(one[row]) for one in results.values()) + " |" for row in rows]
    facts = {"cores": os.cpu_count(), "results": results}
    record.keep(__file__, facts, "\n".join(lines), given.results)


if __name__ == "__main__":
    main()
