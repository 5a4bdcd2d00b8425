"""What is known of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a trained network; the JSON file beside its weights.

    Parameters
    ----------
    name : str
        Short name, as given to `--model`.
    weights : Path
        The exported network, ONNX, or a torchvision checkpoint.
    sha256 : str
        Hash of that file.
    classes : tuple of str
        Class names in the order of the network's outputs, all of them in `DEFECT_CLASSES`.
    facts : dict
        The whole card: training data, recipe, seed, metrics, known failures.
    """

    name: str
    weights: Path
    sha256: str
    classes: tuple[str, ...]
    facts: dict[str, Any]

    def calibration(self) -> dict[str, Any]:
        """Return what its scores mean and how far its counts may be off, as `calibration`; nothing where unknown."""
        return {"calibration": self.facts["calibration"]} if self.facts.get("calibration") else {}
