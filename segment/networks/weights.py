"""Weights of a torchvision checkpoint, read without running code and put into a network."""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torchvision.models.detection import FasterRCNN

from insitrack.io.errors import ModelError

State = dict[str, torch.Tensor]


def read_state(path: Path) -> State:
    """Read the weights of a checkpoint without running any code that it may hold.

    Parameters
    ----------
    path : Path
        A state dict, or a dict with one under ``model``, ``state_dict`` or ``model_state_dict``, as training
        scripts save it.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds Python objects instead of numbers.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint; expected a PyTorch state dict")
    try:
        # torchvision's own training script keeps its arguments beside the weights; a Namespace runs no code
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything in the library that unpacks it
        text = str(error)
        if "GLOBAL" in text or "TorchScript" in text:
            raise ModelError(
                f"{path}: holds a pickled module, which can run any code when it is read, and is refused; "
                f"where it was trained, save its weights alone: torch.save(model.state_dict(), {path.name!r})"
            ) from error
        raise ModelError(
            f"{path}: not a PyTorch checkpoint, or damaged ({type(error).__name__}); copy or save it again"
        ) from error
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(stored, dict) and isinstance(stored.get(key), dict):
            stored = stored[key]
    if (
        not isinstance(stored, dict)
        or not stored
        or not all(isinstance(value, torch.Tensor) for value in stored.values())
    ):
        raise ModelError(
            f"{path}: holds no state dict; expected names and tensors, or these under model, state_dict or"
            " model_state_dict"
        )
    # DataParallel and Lightning put a word of their own before every name
    return {re.sub(r"^((module|model|_orig_mod)\.)+", "", name): value for name, value in stored.items()}


def load_weights(model: FasterRCNN, state: State, path: Path) -> None:
    """Put the weights into the network, every one in its place.

    Raises
    ------
    ModelError
        If a name or a shape does not fit.
    """
    refused: Any
    try:
        refused = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        wrong = re.search(
            r"size mismatch for (\S+): copying a param with shape (.+?) from checkpoint, the shape in current"
            r" model is (.+?)\.",
            str(error),
        )
        detail = (
            f"{wrong[1]} is {wrong[2]}, expected {wrong[3]}" if wrong else str(error).splitlines()[-1].strip()
        )
        raise ModelError(
            f"{path}: the weights do not fit the network: {detail}; check builder in"
            f" {path.with_suffix('.toml').name}"
        ) from error
    for words, names in (("lacks", refused.missing_keys), ("has unknown", refused.unexpected_keys)):
        if names:
            raise ModelError(
                f"{path}: {words} {names[0]} ({len(names)} such names); check builder in"
                f" {path.with_suffix('.toml').name}"
            )
