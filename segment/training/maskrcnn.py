"""Train torchvision's Mask R-CNN from random weights on a YOLO segmentation data set.

It serves as the comparison with YOLO-seg.

Run it as ``python -m insitrack.segment.training.maskrcnn DATA.yaml --out FOLDER --hours 1.5``; ``--resume``
goes on where it stopped. The result, ``FOLDER/maskrcnn.pt`` with its TOML file, runs as ``track movie.mp4
--model maskrcnn:FOLDER/maskrcnn.pt``.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN

from insitrack.io.errors import ModelError, OutputError
from insitrack.io.write import replacing
from insitrack.segment.labels.rows import yolo_names
from insitrack.segment.networks.architecture import Architecture, build
from insitrack.segment.networks.weights import load_weights
from insitrack.segment.training.maskrcnn_pictures import (
    Target,
    augmented,
    dataset_pictures,
    read_example,
    target_of,
)

LAST, FINAL, LOG = "last.pt", "maskrcnn.pt", "log.csv"
_LOSSES = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")
_WARMUP_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RcnnTraining:
    """How to train.

    Parameters
    ----------
    builder : str
        Network, see `Architecture`; ``maskrcnn_resnet50_fpn_v2`` is the published one, the default trains on
        two cores.
    fpn_channels, box_features, mask_channels : int
        Widths; torchvision's are 256, 1024 and 256.
    anchor_sizes_px : tuple of tuples of float
        Sides of the anchors of each level, px: black dots are smaller than torchvision's smallest, 32 px.
    hours : float
        Wall-clock time to spend, that before a resumption included; the learning rate falls to nothing at its
        end.
    image_px : int
        Side of the training images.
    batch : int
        Images per step.
    learning_rate : float
        AdamW's, at its highest.
    scale : float
        Images are magnified by 1 - scale to 1 + scale.
    boxes_per_picture : int
        Proposals of an image whose class, box and mask are compared with the truth, a quarter of them
        defects.
    threads : int
        Threads of the network.
    save_every_s : float
        Time between two checkpoints, s.
    seed : int
        Of everything random.
    """

    builder: str = "maskrcnn_resnet18_fpn"
    fpn_channels: int = 128
    box_features: int = 512
    mask_channels: int = 128
    anchor_sizes_px: tuple[tuple[float, ...], ...] = ((8,), (16,), (32,), (64,), (128,))
    hours: float = 1.5
    image_px: int = 320
    batch: int = 4
    learning_rate: float = 5e-4
    scale: float = 0.4
    boxes_per_picture: int = 128
    threads: int = 2
    save_every_s: float = 120.0
    seed: int = 0


class _Training:
    """A training under way: network, optimiser, and how far it is."""

    def __init__(self, data: Path, chosen: RcnnTraining) -> None:
        names = yolo_names(data)
        self.classes = tuple(names[i] for i in sorted(names))
        self.pictures, self.chosen = dataset_pictures(data), chosen
        torch.manual_seed(chosen.seed)
        torch.set_num_threads(chosen.threads)
        self.model = _network(chosen, len(self.classes))
        self.optimizer = torch.optim.AdamW(
            [p for p in self.model.parameters() if p.requires_grad],
            lr=chosen.learning_rate,
            weight_decay=1e-3,
        )
        self.step, self.seconds = 0, 0.0

    def batch(self) -> tuple[list[torch.Tensor], list[Target]]:
        """Draw the images of the next step; the same ones after a resumption as without."""
        rng = np.random.default_rng([self.chosen.seed, self.step])
        images, targets = [], []
        for row in rng.integers(len(self.pictures), size=self.chosen.batch).tolist():
            image, truth = read_example(self.pictures[row], self.classes)
            picture, masks, rows = augmented(image, truth, self.chosen.image_px, self.chosen.scale, rng)
            labels = np.array(
                [self.classes.index(truth.class_names[label - 1]) + 1 for label in truth.labels[rows]],
                np.int64,
            )
            images.append(torch.from_numpy(picture).float().div(255).expand(3, -1, -1))
            targets.append(target_of(masks, labels))
        return images, targets

    def advance(self) -> dict[str, float]:
        """Take one step; return its losses."""
        done = self.seconds / (self.chosen.hours * 3600)
        rate = min(1.0, (self.step + 1) / _WARMUP_STEPS) * (
            0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.chosen.learning_rate
        losses = self.model(*self.batch())
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.step += 1
        return {name: float(losses[name].detach()) if name in losses else 0.0 for name in _LOSSES}

    def save(self, path: Path) -> None:
        """Write all that is needed to go on."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        with replacing(path) as part:
            torch.save({**state, "classes": list(self.classes), "chosen": asdict(self.chosen)}, part)

    def restore(self, path: Path) -> None:
        """Go on where `save` left off."""
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if stored["classes"] != list(self.classes):
            raise ModelError(
                f"{path}: was trained on the classes {', '.join(stored['classes'])}, the data has"
                f" {', '.join(self.classes)}; give its data"
            )
        load_weights(self.model, stored["model"], path)
        self.optimizer.load_state_dict(stored["optimizer"])
        self.step, self.seconds = stored["step"], stored["seconds"]


def _network(chosen: RcnnTraining, n_classes: int) -> FasterRCNN:
    """Build the network with its heavy parts in bfloat16, in which a CPU trains about twice as fast.

    Losses stay in float32.
    """
    parts = Architecture(
        builder=chosen.builder,
        n_classes=n_classes,
        fpn_channels=chosen.fpn_channels,
        box_features=chosen.box_features,
        mask_channels=chosen.mask_channels,
        anchor_sizes_px=chosen.anchor_sizes_px,
    )
    model = build(
        parts,
        box_batch_size_per_image=chosen.boxes_per_picture,
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=1000,
    ).train()
    heavy = [
        model.backbone,
        model.roi_heads.box_head,
        *([model.roi_heads.mask_head] if parts.has_masks else []),
    ]
    for part in heavy:
        part.forward = _in_bfloat16(part.forward)
    return model


def _in_bfloat16(forward: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
    def wrapped(x: torch.Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = forward(x)
        return {name: value.float() for name, value in out.items()} if isinstance(out, dict) else out.float()

    return wrapped


def train(data: Path, folder: Path, chosen: RcnnTraining | None = None, *, resume: bool = False) -> Path:
    """Train from random weights, or go on with a training that was stopped.

    Parameters
    ----------
    data : Path
        ``data.yaml`` of a YOLO segmentation data set, see `insitrack.segment.training.dataset`.
    folder : Path
        Where the checkpoint, the log and the result go.
    chosen : RcnnTraining, optional
        How to train; a resumed training keeps its own, apart from hours and threads.
    resume : bool
        Go on with ``folder/last.pt``.

    Returns
    -------
    Path
        ``folder/maskrcnn.pt``, a state dict; its TOML file lies beside it.

    Raises
    ------
    ModelError
        If there is nothing to resume, or it does not fit the data.
    OutputError
        If `folder` already holds a training and `resume` was not asked for.
    SourceError
        If there are no images.
    """
    chosen, last = chosen or RcnnTraining(), folder / LAST
    if resume and not last.is_file():
        raise ModelError(f"{last}: no checkpoint to go on with; leave out --resume to start a new one")
    if not resume and last.is_file():
        raise OutputError(
            f"{last}: there is a training already; add --resume to go on with it, or choose another --out"
        )
    if resume:
        stored = torch.load(last, map_location="cpu", weights_only=True)["chosen"]
        chosen = replace(RcnnTraining(**stored), hours=chosen.hours, threads=chosen.threads)
    training = _Training(data, chosen)
    if resume:
        training.restore(last)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", newline="", encoding="utf-8") as stream:
        log = csv.writer(stream)
        if stream.tell() == 0:
            log.writerow(["step", "seconds", "loss", *_LOSSES])

        def write(row: list[Any]) -> None:
            log.writerow(row)
            stream.flush()

        _run(training, last, write)
    final = folder / FINAL
    torch.save(training.model.state_dict(), final)
    final.with_suffix(".toml").write_text(_toml(training), encoding="utf-8")
    return final


def _run(training: _Training, last: Path, write: Callable[[list[Any]], None]) -> None:
    """Step until the time is up, with a checkpoint, a line of the log and one on the screen now and then."""
    limit, before, saved = training.chosen.hours * 3600, training.seconds, training.seconds
    begun, recent = time.monotonic(), []
    while training.seconds < limit:
        recent.append(list(training.advance().values()))
        training.seconds = before + time.monotonic() - begun
        if training.seconds >= min(limit, saved + training.chosen.save_every_s):
            losses = np.mean(recent, axis=0)
            write([training.step, round(training.seconds, 1), *np.round([losses.sum(), *losses], 4).tolist()])
            print(
                f"step {training.step}, {training.seconds / 60:.1f} of {limit / 60:.1f} min, loss"
                f" {losses.sum():.3f}",
                file=sys.stderr,
            )
            training.save(last)
            saved, recent = training.seconds, []


def _toml(training: _Training) -> str:
    """Write what the weights do not say; arrays, strings and numbers are written alike in JSON and TOML."""
    chosen = training.chosen
    top = {"classes": training.classes, "builder": chosen.builder, "anchor_sizes_px": chosen.anchor_sizes_px}
    facts = {
        "pictures": len(training.pictures),
        "steps": training.step,
        "pictures_seen": training.step * chosen.batch,
        "seconds": round(training.seconds, 1),
        "image_px": chosen.image_px,
        "learning_rate": chosen.learning_rate,
        "seed": chosen.seed,
    }
    lines = [
        *(f"{key} = {json.dumps(value)}" for key, value in top.items()),
        "",
        "[training]",
        *(f"{k} = {json.dumps(v)}" for k, v in facts.items()),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    defaults = RcnnTraining()
    parser = argparse.ArgumentParser(description="train a torchvision Mask R-CNN from random weights")
    parser.add_argument("data", type=Path, help="data.yaml of a YOLO segmentation data set")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and result")
    parser.add_argument(
        "--builder",
        default=defaults.builder,
        help="torchvision's name of the network, maskrcnn_resnet50_fpn_v2 for example",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a stopped training")
    for name in ("hours", "learning_rate", "scale", "save_every_s"):
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=getattr(defaults, name))
    for name in (
        "fpn_channels",
        "box_features",
        "mask_channels",
        "image_px",
        "batch",
        "boxes_per_picture",
        "threads",
        "seed",
    ):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(defaults, name))
    given = vars(parser.parse_args(arguments))
    data, out, resume = given.pop("data"), given.pop("out"), given.pop("resume")
    print(train(data, out, RcnnTraining(**given), resume=resume))


if __name__ == "__main__":
    main()
