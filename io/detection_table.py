"""Detections made elsewhere, as a table: this tool's columns, spots of TrackMate, features of trackpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from insitrack.io.detections import DEFECT_CLASSES, Detections, Ints, Masks
from insitrack.io.results import NAN, Floats, Measures


@dataclass(frozen=True, kw_only=True)
class DetectionTable:
    """Detections of a movie, row by row.

    Parameters
    ----------
    frame : ndarray of int64, shape (N,)
        Frame of each row, from 0, rising.
    t_s : ndarray of float64, shape (N,)
        Time of each row, s.
    x_px, y_px, size_px : ndarray of float64, shape (N,)
        Centre and diameter, px.
    boxes : ndarray of float64, shape (N, 4)
        x1 y1 x2 y2, px.
    label, score : ndarray, shape (N,)
        Class from 1, and confidence, 0..1.
    class_names : tuple of str
        Names of labels 1..K.
    shape : tuple of int
        Height and width of the frames, px.
    nm_per_px : float or None
        Width of a pixel, nm.
    times : ndarray of float64, shape (F,)
        Time of every frame, also of those without a row, s.
    warnings : tuple of str
        What was assumed, one line each.
    """

    frame: Ints
    t_s: Floats
    x_px: Floats
    y_px: Floats
    size_px: Floats
    boxes: Floats
    label: Ints
    score: Floats
    shape: tuple[int, int]
    times: Floats
    nm_per_px: float | None = None
    class_names: tuple[str, ...] = DEFECT_CLASSES
    warnings: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.frame)

    def frames(self) -> Iterator[tuple[Detections, Measures]]:
        """Every frame in order of time, also those in which nothing was found; outlines are the ellipses that fill the boxes."""
        ends = np.searchsorted(self.frame, np.arange(len(self.times) + 1))
        for index in range(len(self.times)):
            yield self._frame(index, np.arange(ends[index], ends[index + 1]))

    def _frame(self, index: int, rows: Ints) -> tuple[Detections, Measures]:
        boxes, size = self.boxes[rows], self.size_px[rows]
        sides = boxes[:, 2:] - boxes[:, :2]
        found = Detections(
            index,
            float(self.times[index]),
            self.shape,
            boxes.astype(np.float32),
            self.label[rows],
            self.score[rows].astype(np.float32),
            ellipses(boxes),
            self.class_names,
        )
        nm = self.nm_per_px or NAN
        long, short = sides.max(axis=1, initial=0.0), sides.min(axis=1, initial=np.inf)
        # the table's size rules where its box is something else, a padded crop say
        scale = size / np.maximum(np.sqrt(long * short), 1e-9)
        height, width = self.shape
        edge = (boxes[:, :2] <= 0).any(axis=1) | (boxes[:, 2] >= width) | (boxes[:, 3] >= height)
        area = np.pi / 4 * size**2
        angle = np.where(sides[:, 1] > sides[:, 0], 90.0, 0.0)
        measures = Measures(
            self.x_px[rows], self.y_px[rows], area, long * scale, short * scale, angle, edge, size * nm, area * nm**2
        )
        return found, measures


def ellipses(boxes: NDArray[np.floating]) -> Masks:
    """Masks of the ellipses that fill boxes, at least one pixel each.

    Examples
    --------
    >>> ellipses(np.array([[2.0, 3.0, 12.0, 9.0]])).area_px().tolist()
    [48]
    """
    crops, corners = [], []
    for x1, y1, x2, y2 in np.asarray(boxes, np.float64).tolist():
        left, top = int(np.floor(x1)), int(np.floor(y1))
        right, bottom = max(left + 1, int(np.ceil(x2))), max(top + 1, int(np.ceil(y2)))
        across = ((np.arange(left, right) + 0.5 - (x1 + x2) / 2) / max(0.5, (x2 - x1) / 2)) ** 2
        down = ((np.arange(top, bottom) + 0.5 - (y1 + y2) / 2) / max(0.5, (y2 - y1) / 2)) ** 2
        inside = down[:, None] + across[None] <= 1.0
        if not inside.any():
            inside[inside.shape[0] // 2, inside.shape[1] // 2] = True
        crops.append(inside)
        corners.append((top, left))
    return Masks.from_crops(crops, corners)
