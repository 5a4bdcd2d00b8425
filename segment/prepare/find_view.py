"""Which scale and polarity suit a network best: tried on the first frames of a run, or on each micrograph.

A network is surest of defects in sizes that it was trained on, but its sureness at one scale is not enough to
go by: shown noise at twice its size, it is sure of dots that are not there. What is there is found at the
neighbouring scales too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Floats, Ints
from insitrack.io.boxes import box_iou
from insitrack.io.detections import Detections
from insitrack.segment.prepare.view import View

SCALES = (2.0, 1.41, 1.0, 0.71, 0.5, 0.35, 0.25)
"""Scales that are tried: half an octave is finer than what a network notices."""
LOOK_FRAMES = 3
"""Frames on which scale and polarity are detected."""
LOOKS = 4
"""Least number of looks at a few frames: of a single micrograph, so many parts are shown."""
BRIGHT_SHARE = 0.75
"""Share of the finds, by score, that are brighter than what is around them, from which defects count as bright."""
SURE = 0.25
"""Least score of what is weighed for it."""
SUPPORT = 0.03
"""Least score of what supports it from another scale."""

_SAME = 0.4  # IoU of boxes from which two scales show one defect
_POWER = 1.5  # sure finds count more than many doubtful ones
_ENOUGH = 0.95  # a smaller scale is taken with this share of the best one's support: it costs less
_PAYS = {False: 1.5, True: 1.05}
"""How much more support an enlarged movie, or micrograph, must have: at scale 1.41 each frame costs twice as much."""
_OWN_GAIN = 2.0  # how much more support another scale needs than that of a model's own training
_LEAST = 0.05  # nothing follows from a few weak finds
_LEAST_WEIGHT = 1.5  # sum of the scores of the finds from which their contrast says something
_GAP_PX = 16  # between the images that share a canvas
_GREY = 114
_BLOCK = 256  # boxes that are compared at a time: thousands against thousands would take gigabytes
_CANVAS_PX = 1024  # side of a canvas, where the frames are not larger


def canvas_sides(shape: tuple[int, int], scales: Sequence[float]) -> tuple[int, int]:
    """Height and width of what the network is shown of frames of a shape to find their scale, px.

    Examples
    --------
    >>> canvas_sides((1024, 1024), SCALES), canvas_sides((300, 2000), SCALES), canvas_sides((640, 640), (0.5,))
    ((1024, 1024), (600, 2000), (320, 320))
    """
    height, width = (min(round(max(scales) * side), max(side, _CANVAS_PX)) for side in shape)
    return height, width


def parts(shape: tuple[int, int], most: tuple[int, int], wanted: int) -> list[tuple[slice, slice]]:
    """Parts of a frame to look at, none larger than `most`, around its middle.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the frame, px.
    most : tuple of int
        Largest height and width of a part, px.
    wanted : int
        With 2 and more, up to two parts along each side.

    Returns
    -------
    list of (slice, slice)
        Rows and columns; they do not overlap.

    Examples
    --------
    >>> parts((100, 900), (300, 300), 1)
    [(slice(0, 100, None), slice(300, 600, None))]
    >>> [(columns.start, columns.stop) for _, columns in parts((100, 900), (300, 300), 4)]
    [(150, 450), (450, 750)]
    """
    rows, columns = (_spans(side, size, wanted) for side, size in zip(shape, most, strict=True))
    every = [(row, column) for row in rows for column in columns]
    return every if wanted >= len(every) else every[:wanted]


def _spans(side: int, size: int, wanted: int) -> list[slice]:
    n = 1 if wanted == 1 else min(2, -(-side // size))
    length = min(size, side // n)
    start = (side - n * length) // 2
    return [slice(start + i * length, start + (i + 1) * length) for i in range(n)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a canvas shows an image at some scale: its first row and column, height and width, px of the canvas."""

    scale: float
    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Trial:
    """Images of one frame at several scales on one canvas, so that the network runs on one size only.

    Parameters
    ----------
    canvas : ndarray of uint8, shape (H, W)
        The image for the network.
    placed : tuple of Place
        What it shows.
    """

    canvas: NDArray[np.uint8]
    placed: tuple[Place, ...]


def trials(grey: NDArray[np.uint8], scales: Sequence[float], shape: tuple[int, int]) -> Iterator[Trial]:
    """Show an image at several scales on canvases of one shape, few of them.

    The images stand in columns, one below the other.

    Parameters
    ----------
    grey : ndarray of uint8, shape (h, w)
        The image.
    scales : sequence of float
        Scales; at the largest the image must fit the canvas.
    shape : tuple of int
        Height and width of the canvases, px.

    Raises
    ------
    ValueError
        If it does not.

    Examples
    --------
    >>> shown = trials(np.zeros((512, 512), np.uint8), SCALES, (1024, 1024))
    >>> [[place.scale for place in trial.placed] for trial in shown]
    [[2.0], [1.41, 0.5, 0.35, 0.25], [1.0, 0.71]]
    """
    if any(
        side > limit
        for side, limit in zip(View(max(scales)).shape((grey.shape[0], grey.shape[1])), shape, strict=True)
    ):
        raise ValueError(f"{grey.shape} at scale {max(scales)} does not fit a canvas of {shape}")
    waiting = [(scale, View(scale).resampled(grey)) for scale in sorted(scales, reverse=True)]
    while waiting:
        canvas, columns = np.full(shape, _GREY, np.uint8), _Columns(shape)
        placed, left = [], []
        for scale, picture in waiting:
            height, width = picture.shape
            corner = columns.place(height, width)
            if corner is None:
                left.append((scale, picture))
                continue
            y, x = corner
            canvas[y : y + height, x : x + width] = picture
            placed.append(Place(scale, y, x, height, width))
        yield Trial(canvas, tuple(placed))
        waiting = left


class _Columns:
    """Fills a canvas with images of falling size, in columns."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._columns: list[list[int]] = []  # first px, width, first free row of each

    def place(self, height: int, width: int) -> tuple[int, int] | None:
        """Row and column at which an image of this size stands; None if it finds no room."""
        for column in self._columns:
            x, wide, y = column
            if width <= wide and y + height <= self._shape[0]:
                column[2] += height + _GAP_PX
                return y, x
        x = sum(wide + _GAP_PX for _, wide, _ in self._columns)
        if x + width > self._shape[1] or height > self._shape[0]:
            return None
        self._columns.append([x, width, height + _GAP_PX])
        return 0, x


class ViewFinder:
    """Weighs what a network finds in the first frames at several scales, and decides how to show it the run.

    Scale: each sure find counts by its score and by that of the same find at the next larger or smaller
    scale, both to the power of 1.5, so that what only one scale shows counts next to nothing. The smallest
    scale with nearly the largest sum wins. Polarity: where three quarters of the finds, weighted by score,
    are brighter than what is around them, the network is shown negatives.

    Parameters
    ----------
    scale : float, "auto" or "each"
        Given scale, or to be detected.
    contrast : {"auto", "dark", "bright"}
        Given polarity, or `auto`.
    usual : float, optional
        Scale at which the network was trained further on images of its owner: another needs twice the support.
    still : bool
        The run is a micrograph: time does not matter, and a smaller gain pays for an enlarged view.

    Examples
    --------
    >>> ViewFinder(0.5, "bright").view
    View(scale=0.5, inverted=True)
    """

    def __init__(
        self,
        scale: float | str = "auto",
        contrast: str = "auto",
        usual: float | None = None,
        *,
        still: bool = False,
    ) -> None:
        self._scale, self._contrast, self._usual, self._pays = scale, contrast, usual, _PAYS[still]
        tried = SCALES if usual is None or usual in SCALES else (*SCALES, usual)
        self.scales: tuple[float, ...] = tried if isinstance(scale, str) else (scale,)
        self.frames = 0
        self.trial_inverted = contrast == "bright"
        """Frames are tried as negatives."""
        self._polarity_scale: float | None = None  # the scale at which polarity was judged, once that is done
        self._sure = dict.fromkeys(self.scales, 0.0)
        self._bright = dict.fromkeys(self.scales, 0.0)
        self._weight = dict.fromkeys(self.scales, 0.0)

    @property
    def told(self) -> bool:
        """Whether both are settled."""
        return not isinstance(self._scale, str) and self._contrast != "auto"

    def passes(self) -> Iterator[None]:
        """Go through the first frames, once.

        A second pass shows the negatives, if the defects proved bright and the scale is to be
        detected.
        """
        yield
        if self.view.inverted and not self.trial_inverted and isinstance(self._scale, str):
            self.trial_inverted = True
            self._polarity_scale, self._sure = self._best_scale(), dict.fromkeys(self.scales, 0.0)
            yield

    def weigh(self, grey: NDArray[np.uint8], found: dict[float, Detections]) -> None:
        """Take what was found in one look at a frame.

        Parameters
        ----------
        grey : ndarray of uint8, shape (H, W)
            The part of the frame that was looked at, not inverted.
        found : dict of float to Detections
            Detections at each scale from a score of `SUPPORT`, in px of that part.
        """
        sure = {scale: every.take(np.flatnonzero(every.scores >= SURE)) for scale, every in found.items()}
        for scale, likely in sure.items():
            near = [same_in(likely, found[other])[1] for other in _next_to(scale, found)]
            supported = np.max(near, axis=0)
            self._sure[scale] += float(((likely.scores.astype(np.float64) * supported) ** _POWER).sum())
        if self._polarity_scale is not None:
            return
        self.frames += 1
        for scale, likely in sure.items():
            self._weight[scale] += float(likely.scores.sum())
            self._bright[scale] += float(likely.scores[brighter(grey, likely)].sum())

    @property
    def view(self) -> View:
        """The verdict so far; scale 1, or the usual one, and dark defects where there is doubt."""
        judged = self._polarity_scale or self._best_scale()
        bright = (
            self._bright[judged] > BRIGHT_SHARE * self._weight[judged]
            and self._weight[judged] >= _LEAST_WEIGHT
        )
        return View(self._best_scale(), bright if self._contrast == "auto" else self._contrast == "bright")

    def _best_scale(self) -> float:
        if not isinstance(self._scale, str):
            return self._scale
        sums = self._sure
        if self._usual is not None:
            best = max(self.scales, key=sums.__getitem__)
            return best if sums[best] > _OWN_GAIN * sums[self._usual] + _LEAST else self._usual
        small = [scale for scale in self.scales if scale <= 1]
        most, most_small = max(sums.values()), max(sums[scale] for scale in small)
        if most > self._pays * most_small + _LEAST:
            return min(scale for scale in self.scales if sums[scale] >= _ENOUGH * most)
        if most_small <= _LEAST:
            return 1.0
        return min(scale for scale in small if sums[scale] >= _ENOUGH * most_small)

    def describe(self) -> dict[str, Any]:
        """Verdict, where it comes from and what it rests on, for the manifest."""
        view = self.view
        detected = f"detected in {self.frames} look{'s' * (self.frames != 1)}"
        facts: dict[str, Any] = {
            "scale": view.scale,
            "scale_origin": detected if isinstance(self._scale, str) else "settings",
            "contrast": "bright" if view.inverted else "dark",
            "contrast_origin": detected if self._contrast == "auto" else "settings",
            "frames_looked_at": self.frames,
        }
        if self.frames and isinstance(self._scale, str):
            facts["supported_finds"] = {f"{scale:g}": round(self._sure[scale], 3) for scale in self.scales}
        if self.frames and self._contrast == "auto":
            judged = self._polarity_scale or view.scale
            facts["bright_share"] = (
                round(self._bright[judged] / self._weight[judged], 3) if self._weight[judged] else None
            )
        return facts


def same_in(found: Detections, other: Detections) -> tuple[Ints, Floats]:
    """Find each detection again among what another view of the same frame shows.

    Parameters
    ----------
    found, other : Detections
        N and M detections, px of the frame.

    Returns
    -------
    row : ndarray of int64, shape (N,)
        The surest of `other` whose box has an IoU of 0.4 or more with that of the detection.
    score : ndarray of float64, shape (N,)
        Its score; 0 where there is none.
    """
    row, score = np.zeros(len(found), np.int64), np.zeros(len(found))
    for start in range(0, len(found) if len(other) else 0, _BLOCK):
        block = slice(start, start + _BLOCK)
        same = np.where(box_iou(found.boxes[block], other.boxes) >= _SAME, other.scores[None], 0.0)
        row[block], score[block] = same.argmax(axis=1), same.max(axis=1)
    return row, score


def _next_to(scale: float, scales: dict[float, Detections]) -> list[float]:
    """Return the next larger and the next smaller scale; the scale itself where there is no other."""
    ordered = sorted(scales)
    at = ordered.index(scale)
    return [ordered[i] for i in (at - 1, at + 1) if 0 <= i < len(ordered)] or [scale]


def brighter(grey: NDArray[np.uint8], found: Detections) -> BoolImage:
    """Tell which detections are brighter inside than around, shape (N,)."""
    out = np.zeros(len(found), bool)
    for i, ((y, x), (height, width)) in enumerate(
        zip(found.masks.corners.tolist(), found.masks.sizes.tolist(), strict=True)
    ):
        margin = max(4, max(height, width) // 4)
        y0, x0 = max(0, y - margin), max(0, x - margin)
        part = grey[y0 : y + height + margin, x0 : x + width + margin]
        inside = np.zeros(part.shape, np.uint8)
        inside[y - y0 : y - y0 + height, x - x0 : x - x0 + width] = found.masks.crop(i)
        around = cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0  # the edge belongs to neither
        if inside.any() and around.any():
            out[i] = part[inside > 0].mean() > part[around].mean()
    return out
