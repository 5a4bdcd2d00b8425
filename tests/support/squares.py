"""Images of squares, whose sizes, areas and overlaps are known by counting."""

import numpy as np

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.segment.scores.confusion import compare
from insitrack.tracker.evaluation.parity import Picture, look_at

SHAPE = (100, 200)
Square = tuple[int, int, int, str]


def scene(squares: list[Square]) -> Detections:
    """Draw squares: row, column, side, class."""
    masks = Masks.from_crops(
        [np.ones((side, side), bool) for _, _, side, _ in squares], [(y, x) for y, x, _, _ in squares]
    )
    labels = np.array([DEFECT_CLASSES.index(name) + 1 for *_, name in squares], np.int64)
    return Detections(
        0, 0.0, SHAPE, masks.boxes(), labels, np.ones(len(masks), np.float32), masks, DEFECT_CLASSES
    )


def pictured(true: list[Square], found: list[Square], **more: object) -> Picture:
    return look_at(compare("a", scene(found), scene(true)), **more)  # type: ignore[arg-type]
