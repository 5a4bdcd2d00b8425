"""Outlines of defects of which somebody drew nothing but the box."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage
from insitrack.io.boxes import box_iou
from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Frame
from insitrack.segment.labels.outlines import ellipse_points, fill_outline
from insitrack.segment.prepare.grey import stretch_to_8_bit

_LEAST_IOU = 0.5  # of a found defect's box with the box that was drawn
_FILLING = (0.2, 0.95)  # share of the box that a threshold's mask may cover


def outline_boxes(
    frame: Frame,
    truth: Detections,
    outlined: NDArray[np.bool_],
    segment: Callable[[Frame, BoolImage | None], Detections] | None,
) -> Detections:
    """Give every labelled box the outline of what is in it.

    A model's mask is taken where its box agrees best with the one drawn, at an IoU of 0.5 at least, cut to
    the box. Otherwise the grey levels inside the box are split by Otsu's threshold, and the connected area
    nearest its middle is taken, darker or brighter than the rim of the box, if it fills between 20 and 95 %
    of it. Otherwise the ellipse that touches the four sides.

    Parameters
    ----------
    frame : Frame
        The image.
    truth : Detections
        Its labels; rows that are boxes have the whole box as mask.
    outlined : ndarray of bool, shape (N,)
        False for rows that are boxes.
    segment : callable, optional
        A segmenter with a low confidence; None: threshold and ellipse only.

    Returns
    -------
    Detections
        The same rows in the same order.
    """
    if outlined.all():
        return truth
    found = segment(frame, None) if segment else Detections.empty(0, 0.0, truth.shape)
    agreement = box_iou(truth.boxes, found.boxes)
    grey = cv2.GaussianBlur(stretch_to_8_bit(frame.image), (0, 0), 1.0)
    crops, corners = [], []
    for row in range(len(truth)):
        crop, corner = (
            truth.masks.crop(row),
            (int(truth.masks.corners[row, 0]), int(truth.masks.corners[row, 1])),
        )
        if not outlined[row]:
            best = int(agreement[row].argmax()) if len(found) else -1
            known = (
                _cut(found.masks, best, corner, crop.shape)
                if best >= 0 and agreement[row, best] >= _LEAST_IOU
                else None
            )
            inside = grey[corner[0] : corner[0] + crop.shape[0], corner[1] : corner[1] + crop.shape[1]]
            crop = next(
                mask
                for mask in (known, _threshold(inside), _ellipse(crop.shape))
                if mask is not None and mask.any()
            )
        crops.append(crop)
        corners.append(corner)
    masks = Masks.from_crops(crops, corners)
    return Detections(
        truth.frame_index,
        truth.t_s,
        truth.shape,
        masks.boxes(),
        truth.labels,
        truth.scores,
        masks,
        truth.class_names,
    )


def _cut(masks: Masks, row: int, corner: tuple[int, int], shape: tuple[int, ...]) -> BoolImage:
    """Part of a mask inside a box."""
    return np.asarray(
        masks.take(np.array([row])).shifted(-corner[0], -corner[1]).dense((shape[0], shape[1]))[0], bool
    )


def _threshold(grey: NDArray[np.uint8]) -> BoolImage | None:
    """Area in the middle of a box that differs most from its rim.

    None where there is none of a plausible size.
    """
    if min(grey.shape) < 4 or grey.min() == grey.max():
        return None
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    dark = np.median(rim) > level
    count, areas, _, centres = cv2.connectedComponentsWithStats(
        (grey <= level if dark else grey > level).astype(np.uint8), connectivity=8
    )
    if count < 2:
        return None
    middle = (np.array(grey.shape[::-1]) - 1) / 2
    nearest = 1 + int(np.hypot(*(centres[1:] - middle).T).argmin())
    mask = cv2.morphologyEx(
        (areas == nearest).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)
    ).astype(bool)
    return mask if _FILLING[0] <= mask.mean() <= _FILLING[1] else None


def _ellipse(shape: tuple[int, ...]) -> BoolImage:
    height, width = int(shape[0]), int(shape[1])
    cut = fill_outline(ellipse_points((width / 2, height / 2), (width / 2, height / 2)), (height, width))
    out = np.zeros((height, width), bool)
    if cut is None:
        return ~out
    crop, (y, x) = cut
    out[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return out
