"""What a training starts from, and checkpoints run as segmenters without exporting them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from insitrack.io.arrays import Bytes
from insitrack.io.errors import ModelError
from insitrack.segment.base import SegmentConfig
from insitrack.segment.card import ModelCard
from insitrack.segment.labels.yolo import TRAINED_CLASSES
from insitrack.segment.models import find_model, shipped_models
from insitrack.segment.networks.runtime import Outputs
from insitrack.segment.networks.yolo import YoloSegmenter
from insitrack.segment.training.export import Checkpoint, load_checkpoint

Tag = TypeVar("Tag")
SCRATCH = "scratch"
RUNNING = ("mask_logit", "usual_scale", "calibration")
"""Entries of a card that change what the network finds, or what its scores mean."""


class TorchNetwork:
    """A network in memory, with the interface of an exported one.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its weights.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.network()
        self._model.model[-1].export = True  # the head gives what the exported network gives

    def one_at_a_time(self) -> None:
        """Nothing to do: it always does."""

    def stream(self, items: Iterable[tuple[Bytes | None, Tag]]) -> Iterator[tuple[Outputs | None, Tag]]:
        """Run over images in order."""
        for picture, tag in items:
            if picture is None:
                yield None, tag
                continue
            with torch.inference_mode():
                grey = torch.from_numpy(np.ascontiguousarray(picture)).float() / 255
                outputs = self._model(grey[None, None].expand(1, 3, -1, -1))
            yield tuple(np.asarray(output[0].numpy(), np.float32) for output in outputs), tag

    def describe(self) -> dict[str, Any]:
        """Runtime, for the manifest."""
        return {"runtime": "torch", "version": torch.__version__}


@dataclass(frozen=True, slots=True)
class Base:
    """What training starts from.

    Parameters
    ----------
    name : str
        As it was given.
    checkpoint : Checkpoint, optional
        None where it starts from random weights.
    facts : mapping
        What its card says that a network needs to run: `mask_logit`, `usual_scale`, `calibration`.
    """

    name: str
    checkpoint: Checkpoint | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def segmenter(self, config: SegmentConfig) -> YoloSegmenter | None:
        """Make a segmenter of it; None where it starts from random weights."""
        return None if self.checkpoint is None else in_memory(self.checkpoint, self.facts, config)

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the network's outputs."""
        return TRAINED_CLASSES if self.checkpoint is None else self.checkpoint.classes


def find_base(name: str) -> Base:
    """Find what to start from: a shipped model, a ``.pt``, an ``.onnx`` with its ``.pt``, or ``scratch``.

    Raises
    ------
    ModelError
        If there is none, or it would run code when opened.
    """
    if name == SCRATCH:
        return Base(name)
    card = shipped_models().get(name)
    path = (card or Path(name)).with_suffix(".pt")
    if not path.is_file():
        known = ", ".join((*shipped_models(), SCRATCH))
        raise ModelError(
            f"--base {name}: no checkpoint {path}; expected one of {known}, or the path of a .pt file"
        )
    told = path.with_suffix(".json")
    facts = find_model(str(told)).facts if told.is_file() else {}
    return Base(name, load_checkpoint(path), {key: facts[key] for key in RUNNING if key in facts})


def in_memory(checkpoint: Checkpoint, facts: Mapping[str, Any], config: SegmentConfig) -> YoloSegmenter:
    """Run a checkpoint as a segmenter without exporting it; `facts` as a card has them."""
    card = ModelCard("training", Path("in memory"), checkpoint.sha256, checkpoint.classes, dict(facts))
    return YoloSegmenter(card, config, TorchNetwork(checkpoint))
