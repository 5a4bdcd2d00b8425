"""YOLO-seg networks as segmenters: frame in, detections out, without importing torch or ultralytics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from insitrack.io.detections import Detections
from insitrack.io.errors import ModelError
from insitrack.io.frames import BoolImage, Frame
from insitrack.segment.base import ModelCard, SegmentConfig
from insitrack.segment.postprocess import best_candidates, capped, inside_field, masks_in_boxes, suppress_overlaps
from insitrack.segment.runtime import Grey8, Outputs, load_network
from insitrack.segment.tiles import Tile, stitch, tiles
from insitrack.segment.view import View

Tag = TypeVar("Tag")
_PADDING_GREY = 114


class YoloSegmenter:
    """A YOLO-seg network exported to ONNX.

    Parameters
    ----------
    model : ModelCard
        The model and its classes.
    config : SegmentConfig
        Thresholds and runtime.

    Raises
    ------
    ModelError
        If the file is not a YOLO-seg network with the classes of its card.
    """

    def __init__(self, model: ModelCard, config: SegmentConfig) -> None:
        self.model, self.config = model, config
        self.class_names = model.classes  # not all that exist: a class that this model cannot see has no count, not a count of 0
        self.view = View(1.0 if isinstance(config.scale, str) else config.scale, config.contrast == "bright")
        self._least_logit = float(model.facts.get("mask_logit", 0.0))
        self._network = load_network(model.weights, runtime=config.runtime, precision=config.precision, threads=config.threads)

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame, strongest first; nothing is looked for where `field` is False."""
        detections, _ = next(iter(self.stream([(frame, field, None)])))
        assert detections is not None
        return detections

    def stream(self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order, the network working on the next while this one is being read."""
        parts: list[tuple[Tile, Detections]] = []
        for outputs, (piece, tag) in self._network.stream(self._pieces(items)):
            if outputs is None or piece is None:
                yield None, tag
                continue
            parts.append((piece.tile, self._read(outputs, piece)))
            if piece.last:
                found = parts[0][1] if len(parts) == 1 else capped(stitch(parts, piece.view.scale), self.config.max_detections)
                parts = []
                yield inside_field(found, piece.field), tag

    def _pieces(self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]) -> Iterator[tuple[Grey8 | None, tuple[_Piece | None, Tag]]]:
        """Pictures for the network, each frame as it is to be seen and in as many tiles as it needs."""
        for frame, field, tag in items:
            if frame is None:
                yield None, (None, tag)
                continue
            view = self.view
            seen = view.picture(frame.image, field)
            cover = tiles((seen.shape[0], seen.shape[1]), self.config.tile_px)
            for tile in cover:
                yield _cut(seen, tile), (_Piece(frame, field, view, tile, tile is cover[-1]), tag)

    def _read(self, outputs: Outputs, piece: _Piece) -> Detections:
        """Turn the network's outputs into detections of one tile, in px of the frame."""
        frame, config, n_classes = piece.frame, self.config, len(self.model.classes)
        by_rank = sorted(outputs, key=lambda output: output.ndim)
        if [output.ndim for output in by_rank] != [2, 3] or len(by_rank[0]) != 4 + n_classes + len(by_rank[1]):
            raise ModelError(
                f"{self.model.weights}: outputs {[o.shape for o in outputs]} are not those of a YOLO-seg network "
                f"with the {n_classes} classes of its card; export it again"
            )
        candidates, prototypes = by_rank
        boxes, classes, scores, coefficients = best_candidates(candidates, n_classes, config.confidence)
        kept = suppress_overlaps(boxes, scores, config.overlap_iou)
        n_over_cap = max(0, len(kept) - config.max_detections)
        kept = kept[: config.max_detections]
        masks, whole = masks_in_boxes(
            boxes[kept],
            coefficients[kept],
            prototypes,
            frame.shape,
            least_logit=self._least_logit,
            scale=piece.view.scale,
            corner=(piece.tile.y, piece.tile.x),
        )
        kept = kept[whole]
        large = masks.area_px() >= config.min_area_px
        masks, kept = masks.take(large), kept[large]
        # the box that is reported is that of the mask: what is outlined is what is measured
        return Detections(frame.index, frame.t_s, frame.shape, masks.boxes(), classes[kept] + 1, scores[kept], masks, self.class_names, n_over_cap)

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, runtime."""
        return {
            "name": self.model.name,
            "file": self.model.weights.name,
            "sha256": self.model.sha256,
            "classes": list(self.model.classes),
            **self._network.describe(),
        }


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is known of one picture on its way through the network."""

    frame: Frame
    field: BoolImage | None
    view: View
    tile: Tile
    last: bool


def _cut(seen: Grey8, tile: Tile) -> Grey8:
    """Cut out a tile, padded to the right and below to multiples of the network's stride."""
    part = seen[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
    if part.shape == (tile.height, tile.width):
        return np.ascontiguousarray(part)
    out = np.full((tile.height, tile.width), _PADDING_GREY, np.uint8)
    out[: part.shape[0], : part.shape[1]] = part
    return out
