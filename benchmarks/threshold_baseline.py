"""What anyone would try first: smooth, subtract the local mean, threshold, label."""

from __future__ import annotations

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Frame
from insitrack.segment.networks.postprocess import inside_field
from insitrack.segment.prepare.grey import stretch_to_8_bit


def threshold_baseline(
    frame: Frame,
    field: BoolImage | None = None,
    *,
    sigma_px: float = 2.0,
    background_px: float = 25.0,
    over: float = 2.0,
    least_px: int = 20,
) -> Detections:
    """Smooth, subtract the local mean, threshold, label: what anyone would try first, dark defects only.

    Parameters
    ----------
    frame : Frame
        The image.
    field : ndarray of bool, shape (H, W), optional
        Where it shows the specimen.
    sigma_px, background_px : float
        Standard deviations of the smoothing and of the local mean, px.
    over : float
        Threshold in standard deviations of the difference.
    least_px : int
        Smallest area kept, px^2.
    """
    image = stretch_to_8_bit(frame.image, field).astype(np.float32)
    difference = cv2.GaussianBlur(image, (0, 0), background_px) - cv2.GaussianBlur(image, (0, 0), sigma_px)
    inside = (difference > over * difference.std()).astype(np.uint8)
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    crops, corners = [], []
    for i in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[i])
        if area >= least_px:
            crops.append(labelled[y : y + height, x : x + width] == i)
            corners.append((y, x))
    masks = Masks.from_crops(crops, corners)
    labels = np.full(len(masks), DEFECT_CLASSES.index("loop") + 1, np.int64)
    found = Detections(
        frame.index,
        frame.t_s,
        frame.shape,
        masks.boxes(),
        labels,
        np.ones(len(masks), np.float32),
        masks,
        DEFECT_CLASSES,
    )
    return inside_field(found, field)
