"""Torchvision checkpoints described by the TOML file beside them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from insitrack.io.errors import ModelError, SettingsError
from insitrack.io.manifest import file_sha256
from insitrack.segment.card import ModelCard

_OTHER_KEYS = ("name", "classes", "sha256", "about", "training")  # of the TOML file; the rest are settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """What a state dict does not say of its network; every field is a key of the TOML file beside it.

    Parameters
    ----------
    builder : str, optional
        Torchvision's name of the network, ``maskrcnn_resnet50_fpn_v2`` for example; by default recognised
        from the weights.
    anchor_sizes_px : list of lists of float, optional
        Sides of the anchors of each level of the pyramid, px; by default torchvision's, 32 to 512 px.
    anchor_ratios : list of float
        Heights of the anchors over their widths.
    mask_threshold : float
        A pixel is inside from this probability up, 0..1.
    detections : int
        Most detections in one image or tile; torchvision's own 100 would cut dense frames. How many were
        cut is reported.
    proposals : int
        Boxes that the first stage hands to the second, in one image or tile.
    boxes_as : str
        What stands in for the masks that a Faster R-CNN does not draw: `ellipse` inscribed in the box, or the
        `box`.
    mean, std : list of float
        Subtracted from the three equal channels, and divided by; torchvision's by default.
    min_size_px, max_size_px : int, optional
        Frames are scaled so that the shorter side is `min_size_px`, the longer one at most `max_size_px`, as
        torchvision does unasked; by default the network sees them at the scale of `SegmentConfig`, 1 where
        that is `auto`.

    Raises
    ------
    SettingsError
        If a value is impossible.
    """

    builder: str | None = None
    anchor_sizes_px: list[list[float]] | None = None
    anchor_ratios: list[float] | tuple[float, ...] = (0.5, 1.0, 2.0)
    mask_threshold: float = 0.5
    detections: int = 1000
    proposals: int = 2000
    boxes_as: str = "ellipse"
    mean: list[float] | tuple[float, ...] = (0.485, 0.456, 0.406)
    std: list[float] | tuple[float, ...] = (0.229, 0.224, 0.225)
    min_size_px: int | None = None
    max_size_px: int | None = None

    def __post_init__(self) -> None:
        sizes = self.anchor_sizes_px
        checks: dict[str, tuple[bool, str]] = {
            "builder": (self.builder is None or isinstance(self.builder, str), "the name of a network"),
            "anchor_sizes_px": (
                sizes is None
                or (
                    isinstance(sizes, list)
                    and bool(sizes)
                    and all(isinstance(row, list) and _positive(row) for row in sizes)
                ),
                "a list of positive numbers for each level, [[8], [16], [32], [64], [128]] for example",
            ),
            "anchor_ratios": (_positive(self.anchor_ratios), "a list of positive numbers"),
            "mask_threshold": (
                _positive([self.mask_threshold]) and self.mask_threshold < 1,
                "a number between 0 and 1",
            ),
            "boxes_as": (self.boxes_as in ("ellipse", "box"), "ellipse or box"),
            "mean": (isinstance(self.mean, list | tuple) and len(self.mean) == 3, "three numbers"),
            "std": (_positive(self.std) and len(self.std) == 3, "three positive numbers"),
            "min_size_px": (
                (self.min_size_px is None) == (self.max_size_px is None),
                "min_size_px and max_size_px together, or neither",
            ),
        }
        for name, least in (("detections", 1), ("proposals", 1), ("min_size_px", 32), ("max_size_px", 32)):
            value = getattr(self, name)
            if value is not None:
                checks.setdefault(name, (True, ""))
                if checks[name][0]:
                    checks[name] = (
                        isinstance(value, int) and value >= least,
                        f"a whole number of at least {least}",
                    )
        for name, (good, expected) in checks.items():
            if not good:
                raise SettingsError(f"{name} = {getattr(self, name)!r}: expected {expected}")

    @classmethod
    def of(cls, model: ModelCard) -> CheckpointSettings:
        """Read the settings from a card; what else the card says is left alone."""
        names = [field.name for field in fields(cls)]
        try:
            return cls(**{name: model.facts[name] for name in names if name in model.facts})
        except SettingsError as error:
            raise ModelError(f"{model.weights.with_suffix('.toml')}: {error}") from error


def _positive(values: Any) -> bool:
    return (
        isinstance(values, list | tuple)
        and bool(values)
        and all(isinstance(value, int | float) and value > 0 for value in values)
    )


def checkpoint_card(path: Path) -> tuple[ModelCard, Path]:
    """Describe a checkpoint by the TOML file beside it, which names at least its classes.

    Parameters
    ----------
    path : Path
        The state dict, ``.pt`` or ``.pth``; the TOML file has the same name.

    Returns
    -------
    model : ModelCard
        The card; the hash is that of the TOML file, or that of the checkpoint where it gives none.
    toml : Path
        The TOML file.

    Raises
    ------
    ModelError
        If one of the two is missing, or the TOML file cannot be read or has unknown keys.
    """
    toml = path.with_suffix(".toml")
    if not path.is_file():
        raise ModelError(
            f"--model maskrcnn:{path}: no such checkpoint; expected the state dict of a torchvision network,"
            " .pt or .pth"
        )
    if not toml.is_file():
        raise ModelError(
            f"{toml}: missing; write one that names the classes in the order of the labels: classes ="
            ' ["loop_111", "loop_100"]'
        )
    try:
        facts = tomllib.loads(toml.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{toml}: not a TOML file ({error})") from error
    known = [*_OTHER_KEYS, *(field.name for field in fields(CheckpointSettings))]
    unknown = [key for key in facts if key not in known]
    if unknown:
        raise ModelError(f"{toml}: unknown key {unknown[0]!r}; expected some of {', '.join(known)}")
    classes = facts.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ModelError(
            f"{toml}: classes = {classes!r}; expected their names in the order of the labels: classes ="
            ' ["loop_111", "loop_100"]'
        )
    sha256 = facts.get("sha256", file_sha256(path))
    return (
        ModelCard(
            str(facts.get("name", path.stem)),
            path,
            str(sha256),
            tuple(classes),
            {**facts, "kind": "torchvision"},
        ),
        toml,
    )
