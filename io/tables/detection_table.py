"""Detections made elsewhere, as a table: place, size, class and score, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks


@dataclass(frozen=True, kw_only=True)
class DetectionTable:
    """Detections of a movie, row by row.

    Parameters
    ----------
    frame : ndarray of int64, shape (N,)
        Number of the frame of each row, rising.
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
        Time of every frame that was looked at, also of those without a row, s.
    numbers : ndarray of int64, shape (F,), optional
        Numbers of these frames, rising; by default 0 to F - 1.
    frames_from : str
        Where these frames were taken from, for the manifest.
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
    numbers: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    frames_from: str = "the table"
    nm_per_px: float | None = None
    class_names: tuple[str, ...] = DEFECT_CLASSES
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not len(self.numbers):
            object.__setattr__(self, "numbers", np.arange(len(self.times)))

    def __len__(self) -> int:
        return len(self.frame)

    def frames(self) -> Iterator[Detections]:
        """Every frame in order of time, also those in which nothing was found.

        Outlines are the ellipses that fill the boxes.
        """
        every = zip(self.numbers.tolist(), self.times.tolist(), self.rows_by_frame(), strict=True)
        for number, t_s, rows in every:
            boxes = self.boxes[rows]
            yield Detections(
                number,
                t_s,
                self.shape,
                boxes.astype(np.float32),
                self.label[rows],
                self.score[rows].astype(np.float32),
                ellipses(boxes),
                self.class_names,
            )

    def rows_by_frame(self) -> Iterator[slice]:
        """Rows of every frame, in order of time."""
        starts, ends = (np.searchsorted(self.frame, self.numbers, side) for side in ("left", "right"))
        yield from map(slice, starts.tolist(), ends.tolist())


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
