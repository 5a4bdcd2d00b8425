"""YOLO-seg against Mask R-CNN.

Both trained for the same time on the same images, both scored on images that neither saw.

``python benchmarks/compare_networks.py DATA.yaml TEST_FOLDER... --out FOLDER --hours 1`` trains what is not
trained yet (a training that was stopped is gone on with), and scores each network and the threshold baseline
(``--results`` says where the table is written). Give --threads the number of idle cores, and run nothing else
meanwhile: what is compared is what a laboratory gets for its time.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import record
import torch
from threshold_baseline import threshold_baseline

from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig
from insitrack.segment.labels.rows import yolo_names
from insitrack.segment.models import load_segmenter
from insitrack.segment.scores.evaluate import Example, evaluate, labelled_pictures
from insitrack.segment.training import maskrcnn as maskrcnn_train
from insitrack.segment.training import yolo as train
from insitrack.segment.training.dataset import DatasetSettings, write_synth_dataset
from insitrack.segment.training.export import export, load_checkpoint
from insitrack.segment.training.model_card import write_card

COLUMNS = ("n_true", "n_found", "precision", "recall", "f1", "class_accuracy", "size_error", "size_bias")


def yolo(data: Path, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train a YOLO-seg, export it; its name for `load_segmenter` and facts."""
    chosen = train.TrainSettings(
        hours=given.hours, image_px=given.image_px, threads=given.threads, seed=given.seed
    )
    target = folder / "yolo.onnx"
    if not target.is_file():
        checkpoint = train.train(data, folder, chosen, resume=(folder / "weights" / "last.pt").is_file())
        export(checkpoint, target)
        names = yolo_names(data)
        write_card(
            target,
            classes=[names[i] for i in sorted(names)],
            recipe={"hours": given.hours, "seed": given.seed},
            facts={},
        )
    epochs = len((folder / "results.csv").read_text(encoding="utf-8").splitlines()) - 1
    weights = load_checkpoint(folder / "weights" / "last.pt").state
    return {
        "model": str(target),
        "network": Path(chosen.network).stem,
        "pictures_seen": epochs * min(chosen.pictures_per_epoch, len(maskrcnn_train.dataset_pictures(data))),
        "parameters": count(weights),
    }


def mask_rcnn(data: Path, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train a Mask R-CNN; its name for `load_segmenter` and facts."""
    chosen = maskrcnn_train.RcnnTraining(
        builder=given.builder,
        hours=given.hours,
        image_px=given.image_px,
        threads=given.threads,
        seed=given.seed,
    )
    target = folder / maskrcnn_train.FINAL
    if not target.is_file():
        maskrcnn_train.train(data, folder, chosen, resume=(folder / maskrcnn_train.LAST).is_file())
    trained = tomllib.loads(target.with_suffix(".toml").read_text(encoding="utf-8"))["training"]
    weights = torch.load(target, weights_only=True)
    return {
        "model": f"maskrcnn:{target}",
        "network": chosen.builder,
        "pictures_seen": trained["pictures_seen"],
        "parameters": count(weights),
    }


def count(state: dict[str, torch.Tensor]) -> int:
    return sum(value.numel() for value in state.values() if value.is_floating_point())


def timed(
    segment: Callable[[Frame], Detections], examples: Sequence[Example]
) -> tuple[dict[str, dict[str, float]], float]:
    """Scores, and milliseconds an image."""
    segment(examples[0][0])
    begun = time.perf_counter()
    scores = evaluate(segment, examples)
    return scores, 1e3 * (time.perf_counter() - begun) / len(examples)


def drawn_small(folder: Path) -> tuple[Path, list[Path]]:
    """Draw a few images to train on and to test with."""
    few = DatasetSettings(scenes=3, frames_per_scene=1, size_px=64, held_out=0.5, shares={"loops": 1.0})
    data = write_synth_dataset(folder / "drawn", few)
    tests = folder / "tests"
    for kind in ("images", "labels"):
        shutil.copytree(folder / "drawn" / kind / "train", tests / kind)
    return data, [tests]


def page(facts: dict[str, Any]) -> str:
    lines = [
        "# YOLO-seg against Mask R-CNN",
        "",
        facts["about"],
        "",
        "| network | parameters | pictures seen |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} ({one['network']}) | {one['parameters'] / 1e6:.1f} M | {one['pictures_seen']} |"
        for name, one in facts["networks"].items()
    ]
    lines += [
        "",
        "| pictures | network | mask IoU | " + " | ".join(COLUMNS) + " | ms a picture |",
        "|" + "---|" * (len(COLUMNS) + 4),
    ]
    for pictures, results in facts["scores"].items():
        for name, result in results.items():
            for iou, scores in result["scores"].items():
                values = " | ".join(
                    f"{scores[c]:.0f}" if c.startswith("n_") else f"{scores[c]:.3g}" for c in COLUMNS
                )
                lines.append(
                    f"| {pictures} | {name} | {iou.removeprefix('iou_')} | {values} | {result['ms']:.0f} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="data.yaml that both train on")
    parser.add_argument(
        "tests", type=Path, nargs="*", help="folders of labelled test pictures, images/ beside labels/"
    )
    parser.add_argument("--out", type=Path, help="folder for both trainings")
    parser.add_argument("--hours", type=float, default=1.0, help="of training for each network")
    parser.add_argument("--builder", default=maskrcnn_train.RcnnTraining().builder)
    parser.add_argument("--image-px", type=int, default=320)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=0, help="test pictures of each folder; 0: all")
    given = parser.parse_args()
    if given.smoke:
        given.data, given.tests = drawn_small(given.results)
        given.out, given.hours, given.image_px, given.most = given.results, 1e-4, 64, 1
    elif given.data is None or given.out is None or not given.tests:
        parser.error("give DATA.yaml, TEST_FOLDER... and --out")
    networks = {
        "YOLO-seg": yolo(given.data, given.out / "yolo", given),
        "Mask R-CNN": mask_rcnn(given.data, given.out / "maskrcnn", given),
    }
    torch.set_num_threads(given.threads)
    names = yolo_names(given.data)
    n = len(maskrcnn_train.dataset_pictures(given.data))
    about = (
        f"Each trained from random weights for {given.hours:g} h on the same {n} pictures of {given.image_px}"
        f" px with {given.threads} threads, seed {given.seed}; {platform.machine()}. Scores pool all"
        " pictures; optimal pairing by mask IoU."
    )
    facts: dict[str, Any] = {"about": about, "hours": given.hours, "networks": networks, "scores": {}}
    config = SegmentConfig(threads=given.threads, scale=1.0, contrast="dark")
    for folder in given.tests:
        examples = list(labelled_pictures(folder, [names[i] for i in sorted(names)]))
        examples = examples[:: max(1, len(examples) // given.most)] if given.most else examples
        found = facts["scores"][folder.name] = {}
        for name, segment in [
            *((name, load_segmenter(one["model"], config)) for name, one in networks.items()),
            ("threshold", threshold_baseline),
        ]:
            scores, milliseconds = timed(segment, examples)
            found[name] = {"scores": scores, "ms": round(milliseconds, 1), "pictures": len(examples)}
    for one in networks.values():
        one["model"] = Path(one["model"]).name
    record.keep(__file__, facts, page(facts), given.results)


if __name__ == "__main__":
    main()
