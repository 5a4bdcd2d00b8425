"""Checkpoints, read and written without running what is in them; the exported ONNX network and its card."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# ultralytics reads these when it is first imported; without them it may call home or install packages
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import torch
from ultralytics.nn.tasks import SegmentationModel

from insitrack.io.errors import ModelError
from insitrack.io.manifest import file_sha256
from insitrack.io.write import replacing
from insitrack.segment.training.harmless import check_harmless, check_network
from insitrack.segment.training.onnx_file import write_onnx

_FORM = "insitrack checkpoint 1"
# where a class of ours stood when older checkpoints were written
_MOVED = {
    "insitrack.segment.train.Bf16SegmentationModel": "insitrack.segment.training.yolo.Bf16SegmentationModel"
}


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights of a YOLO-seg network and what is needed to build it again.

    Parameters
    ----------
    architecture : dict
        What ultralytics builds the network from.
    classes : tuple of str
        In the order of its outputs.
    state : dict of Tensor
        Weights and running means, float32.
    sha256 : str
        Hash of the file that they were read from; empty where there was none.
    """

    architecture: dict[str, Any]
    classes: tuple[str, ...]
    state: dict[str, torch.Tensor]
    sha256: str = ""

    def network(self) -> SegmentationModel:
        """Build the network, on the processor, ready to run."""
        model = SegmentationModel(dict(self.architecture), nc=len(self.classes), ch=3, verbose=False)
        model.load_state_dict(self.state)
        model.names = dict(enumerate(self.classes))
        return model.eval()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: one of `save_checkpoint`, or one that ultralytics wrote.

    Neither runs code from the file.

    Raises
    ------
    ModelError
        If the file is missing, damaged, would run code, or holds no YOLO-seg network.
    """
    check_harmless(path)
    named = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    homes = {name: _MOVED.get(name, name).rpartition(".") for name in named}
    known = [
        (getattr(importlib.import_module(module), kind), name) for name, (module, _, kind) in homes.items()
    ]
    try:
        with torch.serialization.safe_globals(known):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"{path}: the checkpoint cannot be read ({type(error).__name__}); copy it again, or train again"
        ) from error
    sha256 = file_sha256(path)
    if isinstance(stored, dict) and stored.get("form") == _FORM:
        architecture, classes, state = (stored.get(key, {}) for key in ("architecture", "classes", "state"))
        check_network(path, architecture, classes, state)
        weights = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
        return Checkpoint(architecture, tuple(classes), weights, sha256)
    model = stored.get("ema") or stored.get("model") if isinstance(stored, dict) else None
    if not isinstance(model, SegmentationModel):
        raise ModelError(
            f"{path}: holds no YOLO-seg network; expected a checkpoint of track train or of ultralytics"
        )
    try:
        architecture, classes = _scaled(model.yaml), _class_names(model)
        state = dict(model.state_dict())
    except Exception as error:  # a pickled network may lack any of its parts
        raise ModelError(
            f"{path}: the network in it is incomplete ({type(error).__name__}); take another checkpoint"
        ) from error
    check_network(path, architecture, classes, state)
    return checkpoint_of(model, sha256)


def checkpoint_of(model: SegmentationModel, sha256: str = "") -> Checkpoint:
    """Checkpoint of a network in memory; its weights are copied."""
    state = {
        key: (value.detach().float() if value.is_floating_point() else value.detach()).cpu().clone()
        for key, value in model.state_dict().items()
    }
    return Checkpoint(_scaled(model.yaml), _class_names(model), state, sha256)


def _scaled(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Name the scale that ultralytics takes where the name of the file has none."""
    out = dict(architecture)
    if not out.get("scale") and out.get("scales"):
        out["scale"] = next(iter(out["scales"]))
    return out


def _class_names(model: SegmentationModel) -> tuple[str, ...]:
    """Names of the outputs, which may be fewer than those of the data set."""
    names = model.names if isinstance(model.names, dict) else dict(enumerate(model.names))
    return tuple(str(names[i]) for i in range(min(len(names), model.model[-1].nc)))


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> Path:
    """Write the architecture and the weights in float16.

    The file opens with ``torch.load(path, weights_only=True)``.
    """
    state = {
        key: value.half() if value.is_floating_point() else value for key, value in checkpoint.state.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # plain dicts, lists, numbers and text only: through JSON nothing else can hide in the architecture
    architecture = json.loads(json.dumps(checkpoint.architecture))
    with replacing(path) as part:
        torch.save(
            {
                "form": _FORM,
                "architecture": architecture,
                "classes": list(checkpoint.classes),
                "state": state,
            },
            part,
        )
    return path


def export(checkpoint: Path | Checkpoint, target: Path) -> Path:
    """Write a checkpoint as ONNX with free height and width, batch 1, suppression of overlaps left out.

    Parameters
    ----------
    checkpoint : Path or Checkpoint
        A ``.pt`` file, see `load_checkpoint`.
    target : Path
        The ``.onnx`` file; input ``images`` (1, 3, H, W) in 0..1 with sides that are multiples of 32, outputs
        ``output0`` (1, 4 + classes + 32, anchors) and ``output1`` (1, 32, H / 4, W / 4); slim networks have
        16 in place of 32.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    ModelError
        If the checkpoint is missing or no network.
    """
    read = load_checkpoint(checkpoint) if isinstance(checkpoint, Path) else checkpoint
    model = read.network().fuse(verbose=False)
    head = model.model[-1]
    head.export, head.dynamic, head.format = True, True, "onnx"
    free = {"output0": {2: "anchors"}, "output1": {2: "mask_height", 3: "mask_width"}}
    write_onnx(model, (1, 3, 320, 256), ["output0", "output1"], target, free=free)
    return target
