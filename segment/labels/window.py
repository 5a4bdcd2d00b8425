"""Labels or finds inside a window of an image."""

from __future__ import annotations

import numpy as np

from insitrack.io.arrays import Ints
from insitrack.io.detections import Detections, Masks

_LEAST_SHARE = 0.4


def in_window(found: Detections, corner: tuple[int, int], shape: tuple[int, int]) -> tuple[Detections, Ints]:
    """Cut detections to a window; one goes with it if more than 40 % of its area lies inside.

    Parameters
    ----------
    found : Detections
        Detections of an image.
    corner : tuple of int
        Top row and left column of the window, px.
    shape : tuple of int
        Its height and width, px.

    Returns
    -------
    inside : Detections
        In px of the window.
    rows : ndarray of int64
        Which they are in `found`.
    """
    moved = found.masks.shifted(-corner[0], -corner[1])
    areas, kept, crops, corners = moved.area_px(), [], [], []
    for i, (y, x) in enumerate(moved.corners.tolist()):
        height, width = moved.sizes[i].tolist()
        y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y + height, shape[0]), min(x + width, shape[1])
        if y1 <= y0 or x1 <= x0:
            continue
        crop = moved.crop(i)[y0 - y : y1 - y, x0 - x : x1 - x]
        if crop.sum() > _LEAST_SHARE * areas[i]:
            kept.append(i)
            crops.append(crop)
            corners.append((y0, x0))
    masks = Masks.from_crops(crops, corners)
    rows = np.array(kept, np.int64)
    inside = Detections(
        found.frame_index,
        found.t_s,
        shape,
        masks.boxes(),
        found.labels[rows],
        found.scores[rows],
        masks,
        found.class_names,
    )
    return inside, rows
