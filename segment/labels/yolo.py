"""Labels in YOLO segmentation form: outlines of masks, rows written and read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SourceError
from insitrack.segment.labels.fill import filled
from insitrack.segment.labels.rows import drawn_rows

TRAINED_CLASSES: tuple[str, ...] = ("black_dot", "loop_111", "loop_100", "loop", "void", "precipitate")
"""Classes of the shipped network, in the order of its outputs; line dislocations are background to it."""


def polygons(masks: Masks) -> list[NDArray[np.float32]]:
    """Outer contour of each mask, px (x, y), so that filling it gives the mask again.

    Returns
    -------
    list of ndarray of float32, shape (K, 2)
        Pixel (0, 0) covers [0, 1) x [0, 1); fewer than three points where the mask is empty.
    """
    out = []
    for i in range(len(masks)):
        crop = masks.crop(i).astype(np.uint8)
        contours, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if not contours:
            out.append(np.zeros((0, 2), np.float32))
            continue
        points = max(contours, key=cv2.contourArea)[:, 0].astype(np.float32) + 0.5
        # findContours runs through pixel centres: move each point outwards by almost half a pixel, or small
        # defects shrink
        half = np.array(crop.shape[::-1], np.float32) / 2
        points += 0.45 * np.clip((points - half) / np.maximum(half / 2, 0.5), -1, 1)
        out.append(points + masks.corners[i, ::-1].astype(np.float32))
    return out


def label_lines(detections: Detections, classes: Sequence[str] = TRAINED_CLASSES) -> list[str]:
    """Labels in YOLO segmentation form.

    Class number and the contour, normalised; classes not trained are left out.
    """
    height, width = detections.shape
    lines = []
    for name, points in zip(detections.names(), polygons(detections.masks), strict=True):
        if name in classes and len(points) >= 3:
            flat = np.clip(points / np.array([width, height], np.float32), 0, 1).ravel()
            lines.append(f"{classes.index(name)} " + " ".join(f"{value:.5f}" for value in flat))
    return lines


def read_labels(path: Path, shape: tuple[int, int], classes: Sequence[str] = TRAINED_CLASSES) -> Detections:
    """Read labels in YOLO segmentation form into detections of an image of the given height and width.

    Raises
    ------
    SourceError
        If there is no such file, or a row is no label.
    """
    if not path.is_file():
        raise SourceError(
            f"{path}: no such labels; expected one text file beside each image, empty where there is nothing"
        )
    drawn = drawn_rows(path, dict(enumerate(classes)), shape)
    unknown = [one.name for one in drawn if one.name not in DEFECT_CLASSES]
    if unknown:
        raise SourceError(
            f"{path}: class {unknown[0]} is none of"
            f" {', '.join(f'{i} {name}' for i, name in enumerate(classes))}; map it with read_labelled"
        )
    return filled(drawn, shape)[0]
