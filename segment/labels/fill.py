"""Labelled outlines filled: detections of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.segment.labels.files import check_count
from insitrack.segment.labels.outlines import Drawn, Shape

_MOST_PX = 400_000_000  # of all masks of one image together: a byte each


def filled(
    drawn: Sequence[Drawn], shape: Shape
) -> tuple[Detections, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Fill outlines; those that lie outside the image are dropped.

    Parameters
    ----------
    drawn : sequence of Drawn
        Named as in `DEFECT_CLASSES`.
    shape : tuple of int
        Height and width of the image, px.

    Returns
    -------
    detections : Detections
        Scores are 1.
    outlined : ndarray of bool, shape (N,)
        False where the label is a box.

    Raises
    ------
    ValueError
        If there are more labels than one image can have, or they cover it many times over.
    """
    check_count(len(drawn))
    labels, crops, corners, outlined = [], [], [], []
    n_px = 0
    for one in drawn:
        cut = one.mask(shape)
        if cut is not None and (crop := _inside(cut, shape)) is not None:
            n_px += crop[0].size
            if n_px > _MOST_PX:
                raise ValueError(
                    f"labels that cover more than {_MOST_PX / 1e6:.0f} million pixels of one image"
                )
            crops.append(crop[0])
            corners.append(crop[1])
            labels.append(DEFECT_CLASSES.index(one.name) + 1)
            outlined.append(one.box is None)
    masks = Masks.from_crops(crops, corners)
    truth = Detections(
        0,
        0.0,
        shape,
        masks.boxes(),
        np.array(labels, np.int64),
        np.ones(len(labels), np.float32),
        masks,
        DEFECT_CLASSES,
    )
    return truth, np.array(outlined, bool)


def _inside(cut: tuple[BoolImage, tuple[int, int]], shape: Shape) -> tuple[BoolImage, tuple[int, int]] | None:
    """Part of a mask that lies in the image."""
    crop, (y, x) = cut
    crop = crop[max(0, -y) : max(0, shape[0] - y), max(0, -x) : max(0, shape[1] - x)]
    return (crop, (max(0, y), max(0, x))) if crop.any() else None
