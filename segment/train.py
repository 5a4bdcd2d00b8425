"""Train a YOLO-seg network from scratch on a data set, export it to ONNX and write its model card.

Run it as ``python -m insitrack.segment.train DATA.yaml --out FOLDER --hours 1.5``; ``--resume`` goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# ultralytics reads these when it is first imported; without them it may call home or install packages
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import torch
from ultralytics import YOLO, settings
from ultralytics.data import augment
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.nn.tasks import SegmentationModel
from ultralytics.utils.loss import v8SegmentationLoss

from insitrack.io.errors import ModelError, OutputError
from insitrack.segment.dataset import exact_masks

STRIDE = 32
SLIM_NETWORK = Path(__file__).with_name("networks") / "yolo11-seg-slim.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    network : str
        Architecture, an ultralytics YAML name or file, for weights that start from random numbers; or a checkpoint to go on from.
    hours : float
        Wall-clock time to spend, that before a resumption included; the learning rate falls to nothing at its end.
    image_px : int
        Side of the training pictures, a multiple of 32.
    batch : int
        Pictures per step.
    pictures_per_epoch : int
        Pictures between two checkpoints; drawn anew from the whole data set each time.
    learning_rate : float
        AdamW's, at its highest.
    mosaic : float
        Share of pictures put together from four.
    scale : float
        Pictures are magnified by 1 - scale to 1 + scale.
    threads : int
        Threads of the network; ultralytics sets one by itself.
    mask_samples : int
        Anchors per picture whose masks are compared with the truth, drawn at random; all of them take a third of the time of a step.
    seed : int
        Of everything random.
    """

    network: str = str(SLIM_NETWORK)
    hours: float = 1.5
    image_px: int = 320
    batch: int = 8
    pictures_per_epoch: int = 1600
    learning_rate: float = 1.5e-3
    mosaic: float = 0.4
    scale: float = 0.4
    threads: int = 2
    mask_samples: int = 64
    seed: int = 0


class SampledMaskLoss(v8SegmentationLoss):  # type: ignore[misc]  # ultralytics is not typed
    """Loss of YOLO-seg with the masks of a random sample of the anchors, unbiased."""

    most = 64

    def single_mask_loss(
        self, gt_mask: torch.Tensor, pred: torch.Tensor, proto: torch.Tensor, xyxy: torch.Tensor, area: torch.Tensor
    ) -> torch.Tensor:
        """Sum of the mask losses of one picture's anchors, estimated from a sample of them."""
        n = len(pred)
        if n <= self.most:
            return super().single_mask_loss(gt_mask, pred, proto, xyxy, area)
        rows = torch.randperm(n, device=pred.device)[: self.most]
        return super().single_mask_loss(gt_mask[rows], pred[rows], proto, xyxy[rows], area[rows]) * (n / self.most)


class Bf16SegmentationModel(SegmentationModel):  # type: ignore[misc]  # ultralytics is not typed
    """A YOLO-seg network that trains in bfloat16 on a CPU; the losses stay in float32."""

    def init_criterion(self) -> SampledMaskLoss:
        """Loss that the trainer asks for."""
        return SampledMaskLoss(self)

    def predict(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        if not (self.training and x.device.type == "cpu"):
            return super().predict(x, *args, **kwargs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = super().predict(x.contiguous(memory_format=torch.channels_last), *args, **kwargs)
        return _to_float32(out)


def _to_float32(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, dict):
        return {key: _to_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_float32(item) for item in value)
    return value


def _trainer(chosen: TrainSettings) -> type[SegmentationTrainer]:
    """Trainer class with our network, short epochs and the threads that were asked for."""

    class Trainer(SegmentationTrainer):  # type: ignore[misc]  # ultralytics is not typed
        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> SegmentationModel:
            model = Bf16SegmentationModel(cfg, nc=self.data["nc"], ch=self.data["channels"], verbose=False)
            if weights:
                model.load(weights)
            # ultralytics sets one thread when it picks a device: this runs later
            torch.set_num_threads(chosen.threads)
            SampledMaskLoss.most = chosen.mask_samples
            return self.set_model_names_for_load(model.to(memory_format=torch.channels_last))

        def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
            self.args.workers = int(mode == "train")  # ultralytics reads pictures in the training process on a CPU
            loader = super().get_dataloader(dataset_path, batch_size, rank, mode)
            if mode == "train":
                sampler = loader.batch_sampler.sampler.sampler if hasattr(loader.batch_sampler.sampler, "sampler") else loader.batch_sampler.sampler
                sampler._num_samples = min(chosen.pictures_per_epoch, len(loader.dataset))
            return loader

    return Trainer


def train(data: Path, folder: Path, chosen: TrainSettings | None = None, *, resume: bool = False) -> Path:
    """Train from scratch, or go on with a training that was stopped.

    Parameters
    ----------
    data : Path
        ``data.yaml`` of a YOLO segmentation data set, see `insitrack.segment.dataset`.
    folder : Path
        Where checkpoints and the log go.
    chosen : TrainSettings, optional
        How to train.
    resume : bool
        Go on with ``folder/weights/last.pt``.

    Returns
    -------
    Path
        The last checkpoint.

    Raises
    ------
    ModelError
        If there is nothing to resume.
    OutputError
        If `folder` already holds a training and `resume` was not asked for.
    """
    chosen = chosen or TrainSettings()
    last = folder / "weights" / "last.pt"
    if resume and not last.is_file():
        raise ModelError(f"{last}: no checkpoint to go on with; leave out --resume to start anew")
    if not resume and last.is_file():
        raise OutputError(f"{last}: there is a training already; add --resume to go on with it, or choose another --out")
    settings.update({"sync": False})
    augment.polygons2masks = exact_masks
    model = YOLO(str(last) if resume else chosen.network)
    options: dict[str, Any] = {
        "data": str(data), "project": str(folder.parent), "name": folder.name, "exist_ok": True, "resume": resume,
        "time": chosen.hours, "epochs": 100, "imgsz": chosen.image_px, "batch": chosen.batch, "nbs": chosen.batch, "seed": chosen.seed,
        "optimizer": "AdamW", "lr0": chosen.learning_rate, "lrf": 0.02, "weight_decay": 5e-4, "warmup_epochs": 1.0, "warmup_bias_lr": 0.0,
        "mosaic": chosen.mosaic, "close_mosaic": 5, "scale": chosen.scale, "flipud": 0.5, "fliplr": 0.5, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.2,
        "erasing": 0.0, "translate": 0.1, "overlap_mask": False, "mask_ratio": 2, "max_det": 600,
        "pretrained": False, "amp": False, "plots": False, "cache": "ram", "workers": 1, "device": "cpu",
        "patience": 1000, "save": True, "verbose": False,
    }  # fmt: skip
    # a resumed training takes its options from the checkpoint; the time is the one that may be changed
    model.add_callback("on_train_start", lambda trainer: setattr(trainer.args, "time", chosen.hours))
    model.train(trainer=_trainer(chosen), **options)
    return last


def export(checkpoint: Path, target: Path) -> Path:
    """Write a checkpoint as ONNX with free height and width, batch 1, suppression of overlaps left out.

    Parameters
    ----------
    checkpoint : Path
        A ``.pt`` file of `train`.
    target : Path
        The ``.onnx`` file; input ``images`` (1, 3, H, W) in 0..1 with sides that are multiples of 32, outputs ``output0``
        (1, 4 + classes + 32, anchors) and ``output1`` (1, 32, H / 4, W / 4).

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    ModelError
        If the checkpoint is missing.
    """
    if not checkpoint.is_file():
        raise ModelError(f"{checkpoint}: no such checkpoint; expected weights/last.pt of a training")
    import onnx
    import onnxslim

    stored = torch.load(checkpoint, map_location="cpu", weights_only=False)
    model = (stored.get("ema") or stored["model"]).float().eval()
    model = model.fuse(verbose=False)
    head = model.model[-1]
    head.export, head.dynamic, head.format = True, True, "onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".onnx.part")
    sides = {2: "height", 3: "width"}
    axes = {"images": sides, "output0": {2: "anchors"}, "output1": {2: "mask_height", 3: "mask_width"}}
    torch.onnx.export(
        model, (torch.zeros(1, 3, 320, 256),), str(part), opset_version=17, input_names=["images"], output_names=["output0", "output1"],
        dynamic_axes=axes, dynamo=False,
    )  # fmt: skip
    onnx.save(onnxslim.slim(onnx.load(str(part))), str(part))
    part.replace(target)
    return target


def write_card(weights: Path, *, classes: Sequence[str], chosen: TrainSettings, facts: dict[str, Any]) -> Path:
    """Write the model card beside the weights: JSON for the program, Markdown for people.

    Parameters
    ----------
    weights : Path
        The exported network.
    classes : sequence of str
        In the order of its outputs.
    chosen : TrainSettings
        How it was trained.
    facts : dict
        What else is to be said: ``trained_on``, ``metrics``, ``known_failures``.

    Returns
    -------
    Path
        The JSON card; the page has the same name with ``.md``.
    """
    card: dict[str, Any] = {
        "name": weights.stem,
        "file": weights.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "classes": list(classes),
        "stride": STRIDE,
        "input_scaling": "grey levels stretched from the percentiles 0.5 and 99.5 to 0..255, three equal channels, divided by 255",
        "seed": chosen.seed,
        "recipe": asdict(chosen),
        "licence": "AGPL-3.0-or-later",
        **facts,
    }
    path = weights.with_suffix(".json")
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    weights.with_suffix(".md").write_text(_page(card), encoding="utf-8")
    return path


def _page(card: dict[str, Any]) -> str:
    """Model card as a page: what it is, how good it is on what, where it fails."""
    lines = [f"# Model `{card['name']}`", "", str(card.get("about", "")), "", "| | |", "|---|---|"]
    lines += [f"| {key} | {card[key]} |" for key in ("file", "sha256", "licence", "trained_on", "input_scaling") if key in card]
    lines += [f"| classes | {', '.join(card['classes'])} |", f"| recipe | {', '.join(f'{k} {v}' for k, v in card['recipe'].items())} |", ""]
    columns = ("n_true", "n_found", "precision", "recall", "f1", "class_accuracy", "size_error", "size_bias")
    if card.get("metrics"):
        lines += ["## How good it is", "", str(card.get("metrics_note", "")), ""]
        lines += ["| pictures | method | mask IoU | " + " | ".join(columns) + " |", "|" + "---|" * (3 + len(columns))]
    for pictures, methods in card.get("metrics", {}).items():
        for method, scores in methods.items():
            for iou, facts in scores.items():
                lines.append(
                    f"| {pictures} | {method} | {iou.removeprefix('iou_')} | "
                    + " | ".join(f"{facts[c]:.0f}" if c.startswith("n_") else f"{facts[c]:.3g}" for c in columns)
                    + " |"
                )
    if card.get("known_failures"):
        lines += ["", "## Where it fails", "", *(f"- {failure}" for failure in card["known_failures"])]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description="train a segmentation network from scratch")
    parser.add_argument("data", type=Path, help="data.yaml of a YOLO segmentation data set")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--network", default=TrainSettings().network, help="architecture (.yaml) or checkpoint (.pt) to start from")
    parser.add_argument("--resume", action="store_true", help="go on with a stopped training")
    for name in ("hours", "learning_rate", "mosaic", "scale"):
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=getattr(TrainSettings(), name))
    for name in ("image_px", "batch", "pictures_per_epoch", "threads", "mask_samples", "seed"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(TrainSettings(), name))
    given = vars(parser.parse_args(arguments))
    data, out, resume = given.pop("data"), given.pop("out"), given.pop("resume")
    print(train(data, out, TrainSettings(**given), resume=resume))


if __name__ == "__main__":
    # checkpoints name the class of the network by its module, which must not be __main__
    from insitrack.segment.train import main as run

    run()
