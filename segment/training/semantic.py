"""Train a small pixel-wise network within a time budget, resumably, and export it to ONNX.

It starts from random weights or from an exported network.

Run it as ``python -m insitrack.segment.training.semantic DATA --out FOLDER --hours 0.6``; ``--resume`` goes
on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from insitrack.io.arrays import Bytes
from insitrack.io.errors import ModelError, OutputError
from insitrack.io.write import replacing
from insitrack.segment.training.dataset import jittered
from insitrack.segment.training.onnx_file import write_onnx
from insitrack.segment.training.semantic_data import CHANNELS, IGNORE_BIT, list_examples
from insitrack.segment.training.semantic_network import SemanticNetwork, SemanticTrainSettings, pixel_loss
from insitrack.segment.training.semantic_start import take_over_exported

STRIDE = 16
"""Sides of the network's input are multiples of this."""

CHECKPOINT = "last.pt"

_REPORT_S = 300  # wall-clock time between two checkpoints, s


def crop_example(
    paths: tuple[Path, Path], rng: np.random.Generator, side: int, inverted: float
) -> tuple[Bytes, Bytes]:
    """Read an image and its map; cut, turn, mirror and jitter them."""
    image, found = (np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8) for path in paths)
    y, x = (int(rng.integers(max(0, extent - side) + 1)) for extent in image.shape)
    window = (slice(y, y + side), slice(x, x + side))
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    image, found = (np.rot90(part[window], turns)[:, :: -1 if mirror else 1] for part in (image, found))
    image = jittered(np.ascontiguousarray(image), rng)
    return (255 - image if rng.random() < inverted else image), np.ascontiguousarray(found)


def to_tensors(pictures: Sequence[tuple[Bytes, Bytes]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images (B, 1, H, W) in 0..1, channels (B, C, H, W), and where pixels count (B, 1, H, W)."""
    images = torch.from_numpy(np.stack([image for image, _ in pictures])[:, None]).float() / 255
    maps = np.stack([found for _, found in pictures])[:, None]
    bits = np.uint8(1) << np.arange(len(CHANNELS), dtype=np.uint8)[None, :, None, None]
    truth = torch.from_numpy((maps & bits) > 0).float()
    return (
        images.contiguous(memory_format=torch.channels_last),
        truth,
        torch.from_numpy((maps & IGNORE_BIT) == 0).float(),
    )


class _Training:
    """What a checkpoint holds: weights, their running mean, the optimiser, and how far it is."""

    def __init__(self, folder: Path, chosen: SemanticTrainSettings) -> None:
        torch.manual_seed(chosen.seed)
        self.folder, self.chosen = folder, chosen
        self.model = SemanticNetwork(chosen).to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.model).eval()
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=chosen.learning_rate, weight_decay=1e-3
        )
        self.step, self.spent_s = 0, 0.0

    def start_from(self, exported: Path, data: Path) -> None:
        rng = np.random.default_rng(self.chosen.seed)
        known = list_examples(data, "train")
        some = [
            crop_example(known[i], rng, self.chosen.image_px, 0.0) for i in rng.integers(len(known), size=16)
        ]
        take_over_exported(self.model, exported, to_tensors(some)[0])
        self.mean.load_state_dict(self.model.state_dict())

    def load(self) -> None:
        stored = torch.load(self.folder / CHECKPOINT, map_location="cpu", weights_only=True)
        self.model.load_state_dict(stored["model"])
        self.mean.load_state_dict(stored["mean"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.step, self.spent_s = int(stored["step"]), float(stored["spent_s"])

    def save(self) -> None:
        facts = {"model": self.model, "mean": self.mean, "optimiser": self.optimiser}
        states = {name: thing.state_dict() for name, thing in facts.items()}
        with replacing(self.folder / CHECKPOINT) as part:
            torch.save(
                {**states, "step": self.step, "spent_s": self.spent_s, "settings": asdict(self.chosen)}, part
            )

    def learn(self, pictures: Sequence[tuple[Bytes, Bytes]]) -> float:
        """One step; the loss."""
        done = min(1.0, self.spent_s / (3600 * self.chosen.hours))
        rate = (
            self.chosen.learning_rate
            * min(1.0, (self.step + 1) / 100)
            * (0.01 + 0.99 * (1 + np.cos(np.pi * done)) / 2)
        )
        for group in self.optimiser.param_groups:
            group["lr"] = float(
                rate
            )  # a number of numpy's would make the checkpoint unreadable for a safe reader
        images, truth, counts = to_tensors(pictures)
        self.model.train()
        # in 32 bits: the gradients of grouped convolutions in bfloat16 take nine times as long (torch 2, Zen 4)
        loss = pixel_loss(self.model(images), truth, counts)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        keep = min(self.chosen.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(
                self.mean.state_dict().values(), self.model.state_dict().values(), strict=True
            ):
                mean.copy_(mean * keep + now * (1 - keep) if mean.is_floating_point() else now)
        return float(loss.detach())


def train(
    data: Path,
    folder: Path,
    chosen: SemanticTrainSettings | None = None,
    *,
    resume: bool = False,
    start: Path | None = None,
    told: Callable[[dict[str, Any]], None] = print,
) -> Path:
    """Train from random weights or an exported network, or go on with a training that was stopped.

    Parameters
    ----------
    data : Path
        Folder of `insitrack.segment.training.semantic_data`; images that appear while it runs are taken
        too.
    folder : Path
        Receives ``last.pt``, ``log.jsonl`` and ``predictions.png``.
    chosen : SemanticTrainSettings, optional
        How to train.
    resume : bool
        Go on with ``folder/last.pt``.
    start : Path, optional
        The ``.onnx`` file of a network with the same settings, whose weights to start from.
    told : callable
        Takes each entry of the log: step, minutes, loss and pixels.

    Returns
    -------
    Path
        The last checkpoint.

    Raises
    ------
    ModelError
        If there is nothing to resume, or `start` is no such network.
    OutputError
        If `folder` already holds a training and `resume` was not asked for.
    SourceError
        If there are no images.
    """
    chosen = chosen or SemanticTrainSettings()
    last = folder / CHECKPOINT
    if resume and not last.is_file():
        raise ModelError(f"{last}: no checkpoint to go on with; leave out --resume to start a new one")
    if not resume and last.is_file():
        raise OutputError(
            f"{last}: there is a training already; add --resume to go on with it, or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(1)
    run = _Training(folder, chosen)
    if resume:
        run.load()
    elif start is not None:
        run.start_from(start, data)
    _learn(run, data, told)
    return last


def _learn(run: _Training, data: Path, told: Callable[[dict[str, Any]], None]) -> None:
    """Learn until the time is spent, with a report and a checkpoint now and then."""
    chosen, saved = run.chosen, run.spent_s
    while run.spent_s < 3600 * chosen.hours:
        started = time.monotonic()
        rng = np.random.default_rng([chosen.seed, run.step])
        known = list_examples(data, "train")
        losses = []
        for _ in range(chosen.steps_per_round):
            picked = [known[i] for i in rng.integers(len(known), size=chosen.batch)]
            losses.append(
                run.learn([crop_example(paths, rng, chosen.image_px, chosen.inverted) for paths in picked])
            )
        run.spent_s += time.monotonic() - started
        if run.spent_s - saved > _REPORT_S or run.spent_s >= 3600 * chosen.hours:
            saved = run.spent_s
            told(_report(run, data, float(np.mean(losses)), len(known)))
            run.save()


def _report(run: _Training, data: Path, loss: float, n_known: int) -> dict[str, Any]:
    """Append a line to the log and draw what the network says of some images kept from it."""
    held = list_examples(data, "val")[::3][:8]
    pictures = [
        crop_example(paths, np.random.default_rng(i), run.chosen.image_px, 0.0)
        for i, paths in enumerate(held)
    ]
    images, truth, _ = to_tensors(pictures)
    with torch.no_grad():
        said = torch.sigmoid(torch.cat([run.mean(part) for part in images.split(4)])) > 0.5
    both, either = (said & (truth > 0)).sum((0, 2, 3)), (said | (truth > 0)).sum((0, 2, 3))
    iu = {
        name: round(float(b) / max(1.0, float(e)), 4)
        for name, b, e in zip(CHANNELS, both, either, strict=True)
    }
    facts = {
        "step": run.step,
        "minutes": round(run.spent_s / 60, 1),
        "pictures": n_known,
        "loss": round(loss, 4),
        **iu,
    }
    with (run.folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(facts) + "\n")
    rows = [
        _triple(image, true, said_here)
        for (image, _), true, said_here in zip(pictures[:8], truth.numpy() > 0, said.numpy(), strict=False)
    ]
    cv2.imwrite(str(run.folder / "predictions.png"), np.vstack(rows))
    return facts


def _triple(image: Bytes, true: Any, said: Any) -> Bytes:
    """Image, truth and prediction side by side.

    Lines are red, precipitates blue, voids green and centrelines yellow.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    panels = [grey]
    for channels in (true, said):
        panel = grey // 2
        for channel, colour in zip(
            channels, ((0, 0, 200), (230, 110, 0), (0, 200, 0), (0, 255, 255)), strict=True
        ):
            panel[channel] = colour
        panels.append(panel)
    return np.hstack(panels)


def export(checkpoint: Path, target: Path) -> Path:
    """Write the mean weights of a checkpoint as ONNX with free height and width.

    The output is a probability per channel.

    Parameters
    ----------
    checkpoint : Path
        ``last.pt`` of `train`.
    target : Path
        The ``.onnx`` file; input ``images`` (1, 1, H, W) in 0..1 with sides that are multiples of 16, output
        (1, C, H, W) in 0..1.

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
        raise ModelError(f"{checkpoint}: no such checkpoint; expected {CHECKPOINT} of a training")
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    settings = stored["settings"]
    network = SemanticNetwork(SemanticTrainSettings(**{**settings, "decoder": tuple(settings["decoder"])}))
    network.load_state_dict(stored["mean"])
    model = nn.Sequential(network, nn.Sigmoid()).eval()
    free = {"chances": {2: "height", 3: "width"}}
    write_onnx(model, (1, 1, 192, 256), ["chances"], target, free=free)
    return target


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    default = SemanticTrainSettings()
    parser = argparse.ArgumentParser(description="train a pixel-wise network from scratch")
    parser.add_argument("data", type=Path, help="folder of insitrack.segment.training.semantic_data")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--resume", action="store_true", help="go on with a stopped training")
    parser.add_argument(
        "--start",
        type=Path,
        help="an exported network (.onnx) whose weights to start from; default: random ones",
    )
    parser.add_argument("--encoder", default=default.encoder)
    for name in ("hours", "learning_rate", "average", "inverted"):
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=getattr(default, name))
    for name in ("image_px", "batch", "threads", "seed"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(default, name))
    given = vars(parser.parse_args(arguments))
    data, out, resume, start = (given.pop(name) for name in ("data", "out", "resume", "start"))
    print(train(data, out, SemanticTrainSettings(**given), resume=resume, start=start))


if __name__ == "__main__":
    main()
