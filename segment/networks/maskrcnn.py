"""Torchvision's Mask R-CNN and Faster R-CNN checkpoints as segmenters: ``--model maskrcnn:checkpoint.pt``.

``python -m insitrack.segment.training.maskrcnn DATA.yaml --out FOLDER --hours 1`` trains one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from insitrack.io.arrays import BoolImage, Floats32
from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import ModelError
from insitrack.io.extras import require
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig, looked_for
from insitrack.segment.card import ModelCard
from insitrack.segment.networks.box_masks import box_mask, pasted
from insitrack.segment.networks.checkpoint import CheckpointSettings
from insitrack.segment.networks.postprocess import largest_part
from insitrack.segment.networks.tiled import Piece, joined, only, pieces, window
from insitrack.segment.prepare.grey import Stretch
from insitrack.segment.prepare.view import View

if TYPE_CHECKING:
    from insitrack.segment.networks.candidates import Candidates

Tag = TypeVar("Tag")


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
        require("train", "torch", "torchvision", purpose=f"--model maskrcnn:{model.weights}")
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
            confidence=config.least_score,
            overlap_iou=config.overlap_iou,
            most=min(self.settings.detections, config.max_detections),
            threads=config.threads,
        )

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame, strongest first; nothing is looked for where `field` is False."""
        return only(self.stream([(frame, field, None)]))

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order, one after another: torch keeps all cores busy with one."""
        self._stretch = Stretch(self.config.levels)
        pictures = pieces(
            items, lambda frame: [self._view_of(frame)], self._stretch, self.config.tile_px, window
        )
        outputs = ((None if seen is None else self._network(seen), rest) for seen, rest in pictures)
        yield from joined(outputs, self._read, self.config.max_detections)

    def for_live(self) -> None:
        """Nothing to do: torch works on one frame at a time."""

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, what stands for masks, runtime."""
        chosen = self.settings
        drawn = f"drawn by the network, inside from {chosen.mask_threshold:g}"
        return {
            "name": self.model.name,
            "file": self.model.weights.name,
            "sha256": self.model.sha256,
            "classes": list(self.model.classes),
            **self.model.calibration(),
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

        Scale and polarity are not detected with this kind of network: it sees frames as it was trained to.
        """
        chosen, config = self.settings, self.config
        scale: Any = self.view.scale
        origin = "not looked for with this kind of network" if isinstance(config.scale, str) else "settings"
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

    def _read(self, found: Candidates, piece: Piece) -> Detections:
        """Make detections of one tile, in pixels of the frame.

        Masks are cropped to what they cover, and small ones are dropped.
        """
        frame, tile, scale = piece.frame, piece.tile, piece.view.scale
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
