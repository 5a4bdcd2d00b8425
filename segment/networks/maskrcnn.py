"""Torchvision's Mask R-CNN and Faster R-CNN checkpoints as segmenters: ``--model maskrcnn:checkpoint.pt``.

``python -m insitrack.segment.networks.maskrcnn DATA.yaml --out FOLDER --hours 1`` trains one, see
`insitrack.segment.training.maskrcnn`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

from insitrack.io.arrays import Floats32
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError, SettingsError
from insitrack.io.frames import BoolImage, Frame
from insitrack.io.manifest import file_sha256
from insitrack.segment.base import ModelCard, SegmentConfig, looked_for
from insitrack.segment.networks.postprocess import capped, inside_field, largest_part
from insitrack.segment.prepare.grey import Stretch
from insitrack.segment.prepare.tiles import Tile, stitch, tiles
from insitrack.segment.prepare.view import View

if TYPE_CHECKING:
    from insitrack.segment.networks.maskrcnn_network import Candidates

Tag = TypeVar("Tag")
_OTHER_KEYS = ("name", "classes", "sha256", "about", "training")  # of the TOML file; the rest are settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """What a state dict does not say of its network; every field is a key of the TOML file beside it.

    Parameters
    ----------
    builder : str, optional
        Torchvision's name of the network, ``maskrcnn_resnet50_fpn_v2`` for example; by default told from the
        weights.
    anchor_sizes_px : list of lists of float, optional
        Sides of the anchors of each level of the pyramid, px; by default torchvision's, 32 to 512 px.
    anchor_ratios : list of float
        Heights of the anchors over their widths.
    mask_threshold : float
        A pixel is inside from this probability up, 0..1.
    detections : int
        Most detections in one picture or tile; torchvision's own 100 would cut dense frames. How many were
        cut is reported.
    proposals : int
        Boxes that the first stage hands to the second, in one picture or tile.
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


class TorchvisionSegmenter:
    """A torchvision Mask R-CNN or Faster R-CNN.

    Parameters
    ----------
    model : ModelCard
        The checkpoint, its classes and settings.
    config : SegmentConfig
        Thresholds; runtime and precision are torch's, float32.

    Raises
    ------
    ModelError
        If the checkpoint is not that of such a network, or not with these classes, or torchvision cannot be
        used.
    """

    def __init__(self, model: ModelCard, config: SegmentConfig) -> None:
        if config.runtime != "auto":
            raise ModelError(
                f"segment.runtime = {config.runtime!r}: {model.name} is a PyTorch checkpoint, which runs in"
                " torch only; leave it at auto"
            )
        self.model, self.config, self.settings = model, config, CheckpointSettings.of(model)
        self.class_names = looked_for(model.classes, config)
        # number of each class of the checkpoint among those looked for, 0 where it is not
        self._numbers = np.array(
            [
                0,
                *(
                    self.class_names.index(name) + 1 if name in self.class_names else 0
                    for name in model.classes
                ),
            ],
            np.int64,
        )
        self.view, self._stretch = (
            View(1.0 if isinstance(config.scale, str) else config.scale, config.contrast == "bright"),
            Stretch(config.levels),
        )
        try:
            from insitrack.segment.networks.maskrcnn_network import CheckpointNetwork
        except (
            ImportError,
            RuntimeError,
        ) as error:  # RuntimeError: builds of torch and torchvision that do not fit each other
            raise ModelError(
                f"{model.name}: torchvision cannot be used ({error}); install the release that fits your"
                " torch"
            ) from error
        self._network = CheckpointNetwork(
            model.weights,
            len(model.classes),
            self.settings,
            confidence=config.confidence,
            overlap_iou=config.overlap_iou,
            most=min(self.settings.detections, config.max_detections),
            threads=config.threads,
        )

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame, strongest first; nothing is looked for where `field` is False."""
        detections, _ = next(iter(self.stream([(frame, field, None)])))
        assert detections is not None
        return detections

    def _find(self, frame: Frame, field: BoolImage | None) -> Detections:
        """Show the network the tiles of a frame."""
        view = self._view_of(frame)
        seen = view.picture(frame.image, field, self._stretch)
        parts = []
        for tile in tiles((seen.shape[0], seen.shape[1]), self.config.tile_px):
            candidates = self._network(seen[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width])
            parts.append((tile, self._read(candidates, tile, view.scale, frame)))
        found = (
            parts[0][1] if len(parts) == 1 else capped(stitch(parts, view.scale), self.config.max_detections)
        )
        return inside_field(found, field)

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order, one after another: torch keeps all cores busy with one."""
        self._stretch = Stretch(self.config.levels)
        for frame, field, tag in items:
            yield (None if frame is None else self._find(frame, field)), tag

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, what stands for masks, runtime."""
        chosen = self.settings
        drawn = f"drawn by the network, inside from {chosen.mask_threshold:g}"
        return {
            "name": self.model.name,
            "file": self.model.weights.name,
            "sha256": self.model.sha256,
            "classes": list(self.model.classes),
            "kind": "torchvision",
            "masks": (
                drawn
                if self._network.has_masks
                else f"from boxes: {'inscribed ellipses' if chosen.boxes_as == 'ellipse' else 'the boxes'}"
            ),
            "view": self._described_view(),
            "detections_cap": chosen.detections,
            **self._network.describe(),
        }

    def _described_view(self) -> dict[str, Any]:
        """How frames are shown, and who said so.

        With this kind of network nothing is found out, it sees them as it was trained to.
        """
        chosen, config = self.settings, self.config
        scale: Any = self.view.scale
        origin = "not looked for with this kind of network" if config.scale == "auto" else "settings"
        if chosen.min_size_px is not None:
            scale, origin = (
                f"shorter side {chosen.min_size_px} px, longer at most {chosen.max_size_px} px",
                "the checkpoint's TOML file",
            )
        contrast = "not looked for with this kind of network" if config.contrast == "auto" else "settings"
        polarity = {"contrast": "bright" if self.view.inverted else "dark", "contrast_origin": contrast}
        return {"scale": scale, "scale_origin": origin, **polarity, **self._stretch.describe()}

    def _view_of(self, frame: Frame) -> View:
        """How the network sees a frame: torchvision's own rule of scale where the settings have it."""
        least, most = self.settings.min_size_px, self.settings.max_size_px
        if least is None or most is None:
            return self.view
        return replace(self.view, scale=min(least / min(frame.shape), most / max(frame.shape)))

    def _read(self, found: Candidates, tile: Tile, scale: float, frame: Frame) -> Detections:
        """Make detections of one tile, in pixels of the frame.

        Masks cropped to what they cover, the small ones dropped.
        """
        boxes = (found.boxes + np.array([tile.x, tile.y] * 2, np.float32)) / np.float32(scale)
        crops, corners, kept = [], [], []
        labels = self._numbers[found.labels]
        for i, box in enumerate(boxes):
            if not labels[i]:
                continue
            y, x, inside = self._inside(box, None if found.soft is None else found.soft[i], frame.shape)
            part = largest_part(inside) if inside.size else None
            if part is not None and int(part[0].sum()) >= self.config.min_area_px:
                crops.append(part[0])
                corners.append((y + part[1], x + part[2]))
                kept.append(i)
        masks, rows = Masks.from_crops(crops, corners), np.array(kept, np.int64)
        # the box that is reported is that of the mask: what is outlined is what is measured
        return Detections(
            frame.index,
            frame.t_s,
            frame.shape,
            masks.boxes(),
            labels[rows],
            found.scores[rows],
            masks,
            self.class_names,
            found.n_over_cap,
        )

    def _inside(
        self, box: Floats32, soft: Floats32 | None, shape: tuple[int, int]
    ) -> tuple[int, int, BoolImage]:
        """Mask of one detection, cut at the frame, with its first row and column."""
        if soft is not None:
            x, y, drawn = pasted(soft, box)
            inside = drawn >= self.settings.mask_threshold
        else:
            x, y, inside = box_mask(box, ellipse=self.settings.boxes_as == "ellipse")
        y0, x0 = max(0, -y), max(0, -x)
        return y + y0, x + x0, inside[y0 : max(0, shape[0] - y), x0 : max(0, shape[1] - x)]


def pasted(soft: Floats32, box: Floats32) -> tuple[int, int, Floats32]:
    """Enlarge a mask from the network's cells to the pixels of its box.

    To the pixel as torchvision pastes it into the frame.

    Parameters
    ----------
    soft : ndarray of float32, shape (M, M)
        Probabilities in M x M cells that fill the box, 28 x 28 in torchvision's networks.
    box : ndarray of float32, shape (4,)
        x1 y1 x2 y2, px.

    Returns
    -------
    x, y : int
        Column and row of the first pixel; may lie outside the frame.
    drawn : ndarray of float32, shape (h, w)
        Probability at each pixel.
    """
    padded = np.pad(soft, 1)
    half = (box[2:] - box[:2]) * np.float32(0.5) * np.float32(len(padded) / len(soft))
    middle = (box[2:] + box[:2]) * np.float32(0.5)
    (x0, y0), (x1, y1) = (
        np.trunc(middle - half).astype(int).tolist(),
        np.trunc(middle + half).astype(int).tolist(),
    )
    return (
        x0,
        y0,
        np.asarray(
            cv2.resize(padded, (x1 - x0 + 1, y1 - y0 + 1), interpolation=cv2.INTER_LINEAR), np.float32
        ),
    )


def box_mask(box: Floats32, *, ellipse: bool) -> tuple[int, int, BoolImage]:
    """Mask that stands for a box: the ellipse inscribed in it, or all of it.

    Parameters
    ----------
    box : ndarray of float32, shape (4,)
        x1 y1 x2 y2, px.
    ellipse : bool
        A defect is round more often than square: its area is pi/4 of its box.

    Returns
    -------
    x, y : int
        Column and row of the first pixel.
    inside : ndarray of bool, shape (h, w)
        Pixels whose centre is inside.

    Examples
    --------
    >>> x, y, inside = box_mask(np.array([10, 20, 30, 40], np.float32), ellipse=True)
    >>> x, y, int(inside.sum())
    (10, 20, 316)
    """
    low, high = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 1e-3)
    across, down = ((np.arange(low[k], high[k]) + 0.5 - centre[k]) / half[k] for k in (0, 1))
    inside = (
        across[None] ** 2 + down[:, None] ** 2 <= 1
        if ellipse
        else (np.abs(across)[None] <= 1) & (np.abs(down)[:, None] <= 1)
    )
    return int(low[0]), int(low[1]), inside


if __name__ == "__main__":
    from insitrack.segment.training.maskrcnn import main

    main()
