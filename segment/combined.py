"""Two networks on each frame, as one segmenter: one finds loops, dots and particles, the other lines.

What both see is counted once: a loop that is a piece of a line is the line's, a line that only follows the
outlines of loops is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import tee
from typing import Any, TypeVar

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage, Bools
from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Frame
from insitrack.segment.base import Segmenter

Tag = TypeVar("Tag")
PLUS = "+"
"""Joins the names of two models."""

OF_A_LINE, LONGER = 0.6, 2.5
"""A find is a piece of a line where lines cover more of it than this share, each so many times longer than it."""
OF_LOOPS = 0.6
"""A line is the outline of loops where they, and a rim around them, cover more of it than this share."""
_RIM = 0.15  # of the size of a loop: its outline as the other network sees it may lie outside
_PIECES = ("black_dot", "loop_111", "loop_100", "loop", "defect")
"""Classes whose finds may be pieces of a line."""


class Combined:
    """Two segmenters; the second gives the classes that the first does not know.

    Parameters
    ----------
    first, second : Segmenter
        That of dots, loops and particles, and that of lines.
    """

    def __init__(self, first: Segmenter, second: Segmenter) -> None:
        self._first, self._second = first, second
        self._added = tuple(name for name in second.class_names if name not in first.class_names)
        self.class_names = (*first.class_names, *self._added)

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame; nothing is looked for where `field` is False."""
        return self._joined(self._first(frame, field), self._second(frame, field))

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order; each goes through both networks."""
        one, other = tee(items)
        for (found, tag), (lines, _) in zip(self._first.stream(one), self._second.stream(other), strict=True):
            yield (None if found is None or lines is None else self._joined(found, lines)), tag

    def for_live(self) -> None:
        """Make each frame come out as soon as can be, at the price of frames per second."""
        self._first.for_live()
        self._second.for_live()

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: those of the first, names and hashes of both."""
        first, second = self._first.describe(), self._second.describe()
        both = {
            name: PLUS.join(str(one[name]) for one in (first, second)) for name in ("name", "file", "sha256")
        }
        return {**first, **both, "classes": list(self.class_names), "second": second}

    def _joined(self, found: Detections, lines: Detections) -> Detections:
        """Put the finds of both together, each thing once."""
        added = [i for i, name in enumerate(lines.names()) if name in self._added]
        lines = lines.take(np.array(added, np.int64))
        labels = np.array([self.class_names.index(name) + 1 for name in lines.names()], np.int64)
        of_classes = found.class_probability
        if of_classes is not None:
            of_classes = np.pad(of_classes, ((0, 0), (0, len(self._added))))
        k = len(self.class_names)
        lines = replace(
            lines,
            class_names=self.class_names,
            labels=labels,
            class_probability=None if of_classes is None else np.eye(k, dtype=np.float32)[labels - 1],
        )
        found = replace(found, class_names=self.class_names, class_probability=of_classes)
        lines = lines.take(~outlines_of_loops(found, lines.masks))
        found = found.take(~pieces_of_lines(found, lines.masks))
        return replace(found.then(lines), n_over_cap=found.n_over_cap + lines.n_over_cap)


def pieces_of_lines(found: Detections, lines: Masks) -> Bools:
    """Tell which finds are pieces of lines much longer than they are.

    Parameters
    ----------
    found : Detections
        N finds.
    lines : Masks
        Outlines of lines.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    answer = np.zeros(len(found), bool)
    length = np.hypot(*lines.sizes.T.astype(np.float64))
    size = np.hypot(*found.masks.sizes.T.astype(np.float64))
    whole = _drawn(lines, found.shape, None)
    for i in np.flatnonzero(np.isin(found.names(), _PIECES)).tolist():
        crop, part = found.masks.crop(i), _window(found.masks, i)
        shared = crop & (whole[part] > 0)
        if shared.sum() <= OF_A_LINE * crop.sum():
            continue
        of = np.unique(whole[part][shared]) - 1
        answer[i] = bool((length[of] > LONGER * size[i]).any())
    return answer


def outlines_of_loops(found: Detections, lines: Masks) -> Bools:
    """Tell which lines do nothing but follow the outlines of loops.

    Parameters
    ----------
    found : Detections
        The loops, among other finds.
    lines : Masks
        Outlines of L lines.

    Returns
    -------
    ndarray of bool, shape (L,)
    """
    loops = found.masks.take(np.flatnonzero(np.isin(found.names(), _PIECES)))
    covered = _drawn(loops, found.shape, _RIM) > 0
    answer = np.zeros(len(lines), bool)
    for i in range(len(lines)):
        crop = lines.crop(i)
        answer[i] = (crop & covered[_window(lines, i)]).sum() > OF_LOOPS * max(1, crop.sum())
    return answer


def _drawn(masks: Masks, shape: tuple[int, int], rim: float | None) -> np.ndarray:
    """Draw masks into one image: the number of each from 1, the last on top; grown by a share of their sizes."""
    image = np.zeros(shape, np.int32)
    for i in range(len(masks)):
        crop, (y, x) = masks.crop(i), masks.corners[i].tolist()
        grow = 0 if rim is None else max(1, round(rim * max(crop.shape)))
        if grow:
            wide = np.pad(crop.view(np.uint8), grow)
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
            crop, y, x = cv2.dilate(wide, kernel) > 0, y - grow, x - grow
        top, left = max(0, -y), max(0, -x)
        part = image[max(0, y) : y + crop.shape[0], max(0, x) : x + crop.shape[1]]
        part[crop[top : top + part.shape[0], left : left + part.shape[1]]] = i + 1
    return image


def _window(masks: Masks, i: int) -> tuple[slice, slice]:
    """Rows and columns of a mask in its frame."""
    (y, x), (h, w) = masks.corners[i].tolist(), masks.sizes[i].tolist()
    return slice(y, y + h), slice(x, x + w)
