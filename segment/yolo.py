"""YOLO-seg networks as segmenters: frame in, detections out, without importing torch or ultralytics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

from insitrack.io.detections import Detections
from insitrack.io.errors import ModelError
from insitrack.io.frames import BoolImage, Frame
from insitrack.segment.base import ModelCard, SegmentConfig
from insitrack.segment.postprocess import best_candidates, inside_field, masks_in_boxes, suppress_overlaps
from insitrack.segment.preprocess import stretch_to_8_bit
from insitrack.segment.runtime import Grey8, Outputs, load_network

Tag = TypeVar("Tag")
_STRIDE = 32  # both sides of the network's input must be multiples of it
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
        self._least_logit = float(model.facts.get("mask_logit", 0.0))
        self._network = load_network(model.weights, runtime=config.runtime, precision=config.precision, threads=config.threads)

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame, strongest first; nothing is looked for where `field` is False."""
        detections, _ = next(iter(self.stream([(frame, field, None)])))
        assert detections is not None
        return detections

    def stream(self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order, the network working on the next while this one is being read."""
        prepared = ((None if frame is None else _network_input(frame, field), (frame, field, tag)) for frame, field, tag in items)
        for outputs, (frame, field, tag) in self._network.stream(prepared):
            yield (None if outputs is None or frame is None else self._read(outputs, frame, field)), tag

    def _read(self, outputs: Outputs, frame: Frame, field: BoolImage | None) -> Detections:
        """Turn the network's outputs into detections of one frame."""
        n_classes = len(self.model.classes)
        by_rank = sorted(outputs, key=lambda output: output.ndim)
        if [output.ndim for output in by_rank] != [2, 3] or len(by_rank[0]) != 4 + n_classes + len(by_rank[1]):
            raise ModelError(
                f"{self.model.weights}: outputs {[o.shape for o in outputs]} are not those of a YOLO-seg network "
                f"with the {n_classes} classes of its card; export it again"
            )
        candidates, prototypes = by_rank
        boxes, classes, scores, coefficients = best_candidates(candidates, n_classes, self.config.confidence)
        kept = suppress_overlaps(boxes, scores, self.config.overlap_iou)
        n_over_cap = max(0, len(kept) - self.config.max_detections)
        kept = kept[: self.config.max_detections]
        masks, whole = masks_in_boxes(boxes[kept], coefficients[kept], prototypes, frame.shape, least_logit=self._least_logit)
        kept = kept[whole]
        large = masks.area_px() >= self.config.min_area_px
        masks, kept = masks.take(large), kept[large]
        # the box that is reported is that of the mask: what is outlined is what is measured
        found = Detections(frame.index, frame.t_s, frame.shape, masks.boxes(), classes[kept] + 1, scores[kept], masks, self.class_names, n_over_cap)
        return inside_field(found, field)

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, runtime."""
        return {
            "name": self.model.name,
            "file": self.model.weights.name,
            "sha256": self.model.sha256,
            "classes": list(self.model.classes),
            **self._network.describe(),
        }


def _network_input(frame: Frame, field: BoolImage | None) -> Grey8:
    """Stretch to 8 bit and pad to the right and below to multiples of the stride."""
    grey = stretch_to_8_bit(frame.image, field)
    height, width = grey.shape
    padded = (-(-height // _STRIDE) * _STRIDE, -(-width // _STRIDE) * _STRIDE)
    if padded == grey.shape:
        return grey
    out = np.full(padded, _PADDING_GREY, np.uint8)
    out[:height, :width] = grey
    return out
