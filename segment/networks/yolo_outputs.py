"""From what a YOLO-seg network gives for one image to candidates, and from these to outlined detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats32, Ints
from insitrack.io.detections import Detections
from insitrack.io.errors import ModelError
from insitrack.io.frames import Frame
from insitrack.segment.base import SegmentConfig, looked_for
from insitrack.segment.card import ModelCard
from insitrack.segment.networks.postprocess import (
    best_candidates,
    masks_in_boxes,
    suppress_overlaps,
    suppress_pieces,
)
from insitrack.segment.networks.runtime import Outputs


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes in px of the network's image, and what their masks are made from."""

    boxes: Floats32
    classes: Floats32
    scores: Floats32
    coefficients: Floats32
    prototypes: Floats32

    def take(self, rows: Ints) -> Candidates:
        """Return some of them."""
        return Candidates(
            self.boxes[rows], self.classes[rows], self.scores[rows], self.coefficients[rows], self.prototypes
        )


class OutputReader:
    """Reads the outputs of a YOLO-seg network.

    Parameters
    ----------
    model : ModelCard
        The model, its classes and the logit from which a pixel is inside.
    config : SegmentConfig
        Classes that are looked for, and overlaps.
    """

    def __init__(self, model: ModelCard, config: SegmentConfig) -> None:
        self.model, self.config = model, config
        # not all that exist: a class that this model cannot see, or that is not looked for, has no count, not
        # a count of 0
        self.class_names = looked_for(model.classes, config)
        self._least_logit = float(model.facts.get("mask_logit", 0.0))

    def candidates(self, outputs: Outputs, confidence: float) -> Candidates:
        """Boxes of defects, strongest first, none of them twice."""
        n_classes = len(self.model.classes)
        by_rank = sorted(outputs, key=lambda output: output.ndim)
        if [output.ndim for output in by_rank] != [2, 3] or len(by_rank[0]) != 4 + n_classes + len(
            by_rank[1]
        ):
            raise ModelError(
                f"{self.model.weights}: outputs {[o.shape for o in outputs]} are not those of a YOLO-seg"
                f" network with the {n_classes} classes of its card; export it again"
            )
        rows, prototypes = by_rank
        if len(self.class_names) < n_classes:
            kept = [4 + i for i, name in enumerate(self.model.classes) if name in self.class_names]
            rows, n_classes = rows[[0, 1, 2, 3, *kept, *range(4 + n_classes, len(rows))]], len(kept)
        boxes, classes, scores, coefficients = best_candidates(rows, n_classes, confidence)
        apart = Candidates(boxes, classes, scores, coefficients, prototypes).take(
            suppress_overlaps(boxes, scores, self.config.overlap_iou)
        )
        return apart.take(suppress_pieces(apart.boxes))

    def outlined(
        self,
        found: Candidates,
        frame: Frame,
        scale: float,
        corner: tuple[int, int],
        min_area_px: int,
        n_over_cap: int = 0,
    ) -> Detections:
        """Draw the masks of candidates, in px of the frame."""
        masks, kept = masks_in_boxes(
            found.boxes,
            found.coefficients,
            found.prototypes,
            frame.shape,
            least_logit=self._least_logit,
            scale=scale,
            corner=corner,
        )
        large = masks.area_px() >= min_area_px
        masks, rows = masks.take(large), np.flatnonzero(kept)[large]
        # the box that is reported is that of the mask: what is outlined is what is measured
        of_classes, scores = found.classes[rows], found.scores[rows]
        return Detections(
            frame.index,
            frame.t_s,
            frame.shape,
            masks.boxes(),
            np.asarray(of_classes.argmax(axis=1) + 1, np.int64),
            scores,
            masks,
            self.class_names,
            n_over_cap,
            of_classes,
        )
