"""Train a YOLO-seg network on a data set, from random weights or from a checkpoint.

Run it as ``python -m insitrack.segment.training.yolo DATA.yaml --out FOLDER --hours 1.5``; ``--resume`` goes
on where it stopped.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

# ultralytics reads these when it is first imported; without them it may call home or install packages
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import numpy as np
import torch
from ultralytics import YOLO, settings
from ultralytics.data import augment
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.nn.tasks import SegmentationModel

from insitrack.io.errors import ModelError, OutputError
from insitrack.segment.labels.outlines import exact_masks
from insitrack.segment.training.dataset import SYNTHETIC, UNTYPED
from insitrack.segment.training.export import Checkpoint, checkpoint_of, load_checkpoint
from insitrack.segment.training.losses import SampledMaskLoss

SLIM_NETWORK = Path(__file__).with_name("networks") / "yolo11-seg-slim.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    network : str
        Architecture, an ultralytics YAML name or file, for weights that start from random numbers; or a
        checkpoint to go on from.
    hours : float, optional
        Wall-clock time to spend, that before a resumption included; the learning rate falls to nothing at its
        end. None: `epochs` decides.
    epochs : int
        Passes over `pictures_per_epoch` images where no time is given.
    image_px : int
        Side of the training images, a multiple of 32.
    batch : int
        Images per step.
    pictures_per_epoch : int
        Images between two checkpoints; drawn each time from the whole data set.
    learning_rate : float
        AdamW's, at its highest.
    warmup_epochs : float
        Epochs in which it rises to that.
    mosaic : float
        Share of images put together from four.
    scale : float
        Images are magnified by 1 - scale to 1 + scale.
    threads : int
        Threads of the network; ultralytics sets one by itself.
    mask_samples : int
        Anchors per image whose masks are compared with the truth, drawn at random; all of them take a third
        of the time of a step.
    synthetic_share : float, optional
        Share of the images drawn from those below a folder ``synth``; None: all images are alike.
    device : str
        ``cpu``, or the number of a GPU.
    seed : int
        Of everything random.
    """

    network: str = str(SLIM_NETWORK)
    hours: float | None = 1.5
    epochs: int = 100
    image_px: int = 320
    batch: int = 8
    pictures_per_epoch: int = 1600
    learning_rate: float = 1.5e-3
    warmup_epochs: float = 1.0
    mosaic: float = 0.4
    scale: float = 0.4
    threads: int = 2
    mask_samples: int = 64
    synthetic_share: float | None = None
    device: str = "cpu"
    seed: int = 0


class Bf16SegmentationModel(SegmentationModel):  # type: ignore[misc]  # ultralytics is not typed
    """A YOLO-seg network that trains in bfloat16 on a CPU; the losses stay in float32."""

    def init_criterion(self) -> SampledMaskLoss:
        """Loss that the trainer asks for."""
        return SampledMaskLoss(self)

    def predict(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        if not (self.training and x.device.type == "cpu" and _bf16_pays()):
            return super().predict(x, *args, **kwargs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = super().predict(x.contiguous(memory_format=torch.channels_last), *args, **kwargs)
        return _to_float32(out)


@cache
def _bf16_pays() -> bool:
    """Check whether the processor multiplies in bfloat16 by itself; emulated, it is slower than float32."""
    questions = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return any(bool(ask()) for ask in questions if ask is not None)


def _to_float32(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, dict):
        return {key: _to_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_float32(item) for item in value)
    return value


class TrainingFinishedError(ModelError):
    """A training that was to go on is finished."""


class Watcher(Protocol):
    """Follows a training."""

    def batch_done(self, epochs: float, of: int, loss: float) -> None:
        """Hear how far it is, in epochs, and the loss of the last batch."""
        ...

    def epoch_done(self, checkpoint: Checkpoint, epoch: int) -> float:
        """Judge the network after an epoch, from 1; the larger the better."""
        ...


def _trainer(
    chosen: TrainSettings, start: Checkpoint | None, watcher: Watcher | None
) -> type[SegmentationTrainer]:
    """Trainer class with our network, short epochs and the number of threads that was asked for.

    It also carries our own validation, if there is one.
    """

    class Trainer(SegmentationTrainer):  # type: ignore[misc]  # ultralytics is not typed
        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> SegmentationModel:
            architecture = dict(start.architecture) if start else cfg
            # objects without a type are taught with, they are no output of the network
            self.with_untyped = UNTYPED in self.data["names"].values()
            n_classes = self.data["nc"] - self.with_untyped
            model = Bf16SegmentationModel(architecture, nc=n_classes, ch=self.data["channels"], verbose=False)
            if weights:
                model.load(weights)
            elif start:
                _take_over(model, start)
            # ultralytics sets one thread when it picks a device: this runs later
            torch.set_num_threads(chosen.threads)
            SampledMaskLoss.most = chosen.mask_samples
            return self.set_model_names_for_load(model.to(memory_format=torch.channels_last))

        def get_dataloader(
            self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
        ) -> Any:
            self.args.workers = int(
                mode == "train"
            )  # ultralytics reads images in the training process on a CPU
            loader = super().get_dataloader(dataset_path, batch_size, rank, mode)
            if mode == "train":
                batches = (
                    loader.batch_sampler.sampler
                    if hasattr(loader.batch_sampler.sampler, "sampler")
                    else loader.batch_sampler
                )
                if chosen.synthetic_share is None:
                    batches.sampler._num_samples = min(chosen.pictures_per_epoch, len(loader.dataset))
                else:
                    weights = _weights(loader.dataset.im_files, chosen.synthetic_share)
                    batches.sampler = torch.utils.data.WeightedRandomSampler(
                        weights, chosen.pictures_per_epoch
                    )
                    loader.reset()  # the first batches were already drawn by the old sampler
            return loader

        def validate(self) -> tuple[dict[str, float], float]:
            if watcher is None and not self.with_untyped:
                return super().validate()  # type: ignore[no-any-return]
            # the judge of ultralytics knows no untyped objects: then the last network counts as the best
            fitness = float(self.epoch + 1)
            if watcher is not None:
                fitness = watcher.epoch_done(checkpoint_of(self.ema.ema), self.epoch + 1)
            best: float | None = getattr(self, "best_fitness", None)
            self.best_fitness = fitness if best is None else max(fitness, best)
            return {"metrics/fitness": fitness}, fitness

        def final_eval(self) -> None:
            if watcher is None and not self.with_untyped:
                super().final_eval()

    return Trainer


def _take_over(model: SegmentationModel, start: Checkpoint) -> None:
    """Fill a network with the weights of another that fit.

    All of them, apart from the last layers where the classes are others.
    """
    own = model.state_dict()
    fitting = {
        key: value for key, value in start.state.items() if key in own and own[key].shape == value.shape
    }
    model.load_state_dict(fitting, strict=False)


def _weights(paths: Sequence[str], synthetic_share: float) -> list[float]:
    """Chance of each image to be drawn, so that the synthetic ones have the share that was asked for."""
    synthetic = np.array([SYNTHETIC in Path(path).parts for path in paths])
    shares = np.where(
        synthetic,
        synthetic_share / max(1, synthetic.sum()),
        (1 - synthetic_share) / max(1, (~synthetic).sum()),
    )
    return list(shares if shares.any() else np.ones(len(paths)))


def train(
    data: Path,
    folder: Path,
    chosen: TrainSettings | None = None,
    *,
    resume: bool = False,
    start: Checkpoint | None = None,
    watcher: Watcher | None = None,
) -> Path:
    """Train from random weights or a checkpoint, or go on with a training that was stopped.

    Parameters
    ----------
    data : Path
        ``data.yaml`` of a YOLO segmentation data set, see `insitrack.segment.training.dataset`.
    folder : Path
        Where checkpoints and the log go.
    chosen : TrainSettings, optional
        How to train.
    resume : bool
        Go on with ``folder/weights/last.pt``.
    start : Checkpoint, optional
        Weights and architecture to start from, in place of `TrainSettings.network`.
    watcher : Watcher, optional
        Judges the network after each epoch, in place of ultralytics, and hears of each batch.

    Returns
    -------
    Path
        The last checkpoint.

    Raises
    ------
    ModelError
        If there is nothing to resume, or a checkpoint is not what it should be.
    OutputError
        If `folder` already holds a training and `resume` was not asked for.
    """
    chosen = chosen or TrainSettings()
    last = folder / "weights" / "last.pt"
    if resume and not last.is_file():
        raise ModelError(f"{last}: no checkpoint to go on with; leave out --resume to start a new one")
    if not resume and last.is_file():
        raise OutputError(
            f"{last}: there is a training already; add --resume to go on with it, or choose another --out"
        )
    settings.update({"sync": False})
    augment.polygons2masks = exact_masks
    if resume:
        load_checkpoint(last)  # checked here: ultralytics opens it without looking
    elif start is None and chosen.network.endswith(".pt"):
        start = load_checkpoint(Path(chosen.network))
    model = YOLO(str(last if resume else SLIM_NETWORK if start else chosen.network))
    # a resumed training takes its options from the checkpoint; the time is the one that may be changed
    model.add_callback("on_train_start", lambda trainer: setattr(trainer.args, "time", chosen.hours))
    if watcher:
        _report_batches(model, watcher)
    try:
        model.train(
            trainer=_trainer(chosen, None if resume else start, watcher),
            **_options(data, folder, chosen, resume),
        )
    except AssertionError as error:
        if "nothing to resume" not in str(error):
            raise
        raise TrainingFinishedError(
            f"{last}: this training is finished; choose another --out to train again"
        ) from error
    return last


def _options(data: Path, folder: Path, chosen: TrainSettings, resume: bool) -> dict[str, Any]:
    """Put the settings in the words of ultralytics."""
    return {
        "data": str(data.resolve()),
        "project": str(folder.resolve().parent),
        "name": folder.name,
        "exist_ok": True,
        "resume": resume,
        "time": chosen.hours,
        "epochs": chosen.epochs,
        "imgsz": chosen.image_px,
        "batch": chosen.batch,
        "nbs": chosen.batch,
        "seed": chosen.seed,
        "optimizer": "AdamW",
        "lr0": chosen.learning_rate,
        "lrf": 0.02,
        "weight_decay": 5e-4,
        "warmup_epochs": chosen.warmup_epochs,
        "warmup_bias_lr": 0.0,
        "mosaic": chosen.mosaic,
        "close_mosaic": min(5, chosen.epochs // 3),
        "scale": chosen.scale,
        "flipud": 0.5,
        "fliplr": 0.5,
        "hsv_h": 0.0,
        "hsv_s": 0.0,
        "hsv_v": 0.2,
        "erasing": 0.0,
        "translate": 0.1,
        "overlap_mask": False,
        "mask_ratio": 2,
        "max_det": 600,
        "pretrained": False,
        "amp": False,
        "plots": False,
        # without the cache a mosaic takes its images from those last drawn, which keeps the share of the
        # synthetic ones
        "cache": "ram" if chosen.synthetic_share is None else False,
        "workers": 1,
        "device": chosen.device,
        "patience": 1000,
        "save": True,
        "verbose": False,
    }


def _report_batches(model: YOLO, watcher: Watcher) -> None:
    """Report each batch to the watcher."""
    done = {"batches": 0}

    def begin(trainer: Any) -> None:
        done["batches"] = 0

    def batch(trainer: Any) -> None:
        done["batches"] += 1
        watcher.batch_done(
            trainer.epoch + done["batches"] / len(trainer.train_loader),
            trainer.epochs,
            float(trainer.loss.detach()),
        )

    model.add_callback("on_train_epoch_start", begin)
    model.add_callback("on_train_batch_end", batch)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(
        description="train a segmentation network from scratch or from a checkpoint"
    )
    parser.add_argument("data", type=Path, help="data.yaml of a YOLO segmentation data set")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument(
        "--network",
        default=TrainSettings().network,
        help="architecture (.yaml) or checkpoint (.pt) to start from",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a stopped training")
    parser.add_argument("--device", default=TrainSettings().device, help="cpu, or the number of a GPU")
    for name in ("hours", "learning_rate", "mosaic", "scale"):
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=getattr(TrainSettings(), name))
    for name in ("image_px", "batch", "pictures_per_epoch", "threads", "mask_samples", "seed"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(TrainSettings(), name))
    given = vars(parser.parse_args(arguments))
    data, out, resume = given.pop("data"), given.pop("out"), given.pop("resume")
    print(train(data, out, TrainSettings(**given), resume=resume))


if __name__ == "__main__":
    # checkpoints name the class of the network by its module, which must not be __main__
    from insitrack.segment.training.yolo import main as run

    run()
