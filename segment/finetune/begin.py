"""What a training begins with: settings, labels and split, known to be good before any network is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from insitrack.io.errors import OutputError
from insitrack.segment.finetune.settings import FinetuneSettings
from insitrack.segment.finetune.split import PictureSplit, named, split_groups
from insitrack.segment.labels.reader import Labels, read_labelled
from insitrack.segment.models import shipped_models

TRAINING_RECORD = "train.json"
"""Settings and class names of a training, in its folder."""
PIXELWISE = "semantic"
"""Kind, in the card of a network, of those that class every pixel."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a training begins with.

    Parameters
    ----------
    chosen : FinetuneSettings
        How to train; of a training that goes on, as it was.
    classes : mapping of str to str
        What the laboratory's class names mean.
    labels : Labels
        The images, without those that are left out.
    split : PictureSplit
        Rows of the labels to train on and to judge by.
    """

    chosen: FinetuneSettings
    classes: Mapping[str, str]
    labels: Labels
    split: PictureSplit


def begin(
    data: Path, folder: Path, chosen: FinetuneSettings, classes: Mapping[str, str] | None, *, resume: bool
) -> Beginning:
    """Read the labels and split them; nothing is written, and no library of networks is loaded.

    Parameters
    ----------
    data, folder, chosen, classes, resume
        As in `finetune`.

    Raises
    ------
    InsitrackError
        If labels, split or folder cannot be used.
    """
    if resume:
        chosen, classes = as_it_was(folder / TRAINING_RECORD, data, chosen)
    else:
        check_unused(folder)
    everything = read_labelled(data, classes or {})
    labels = everything.chosen(np.flatnonzero(~named(everything, chosen.leave_out)).tolist())
    split = split_groups(labels, chosen.val, chosen.val_share, chosen.seed)
    return Beginning(chosen, dict(classes or {}), labels, split)


def check_unused(folder: Path) -> None:
    """Refuse a folder for a new training that holds something already.

    Raises
    ------
    OutputError
        If it does.
    """
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise OutputError(
            f"--out {folder}: exists and is not empty; choose another folder, or add --resume to go on with a"
            " stopped training"
        )


def as_it_was(told: Path, data: Path, chosen: FinetuneSettings) -> tuple[FinetuneSettings, dict[str, str]]:
    """Read the settings and class names of a training that was stopped."""
    if not told.is_file():
        raise OutputError(
            f"{told.parent}: no training to go on with (no {told.name}); leave out --resume to start one"
        )
    try:
        facts = json.loads(told.read_text(encoding="utf-8"))
        source, classes, settings = Path(facts["data"]), dict(facts["classes"]), dict(facts["settings"])
        settings |= {key: tuple(settings[key]) for key in ("val", "leave_out")}
        before = FinetuneSettings(**settings)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise OutputError(
            f"{told}: cannot be read ({type(error).__name__}); start a new training in another --out"
        ) from error
    if source.resolve() != data.resolve():
        raise OutputError(
            f"{told.parent}: was trained on {source}, not on {data}; give the same labels, or another --out"
        )
    going_on = replace(
        before, threads=chosen.threads, device=chosen.device, minutes=chosen.minutes or before.minutes
    )
    return going_on, classes


def is_pixelwise(base: str) -> bool:
    """Whether a base classes every pixel: a shipped model, or an ONNX file with its card."""
    if not base:
        return False
    card = shipped_models().get(base) or Path(base).with_suffix(".json")
    if base == "scratch" or not card.is_file():
        return False
    try:
        facts = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get("kind") == PIXELWISE
