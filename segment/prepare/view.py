"""How the network is shown the frames of a run.

Scale and polarity are given, or detected on the first frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, GreyImage
from insitrack.io.detections import Detections
from insitrack.segment.prepare.grey import Stretch, stretch_to_8_bit

SCALES = (1.0, 0.71, 0.5, 0.35, 0.25)
"""Scales that are tried: half an octave is finer than what a network notices."""
LOOK_FRAMES = 3
"""Frames on which scale and polarity are detected."""
SURE = 0.25
"""Least score of what is weighed for it."""

BRIGHT_SHARE = 0.75
"""Share of the finds, by score, that are brighter than what is around them, from which defects count as bright."""

_GAIN = 1.15  # how much surer the network must be at another scale
_OWN_GAIN = 2.0  # the same for a model that was trained at one scale on images like these
_LEAST_GAIN = 0.05  # and this much in all: nothing follows from a few weak finds
_LEAST_WEIGHT = 1.5  # sum of the scores of the finds from which their contrast says something
_GAP_PX = 16  # between the images that share a canvas
_GREY = 114


@dataclass(frozen=True, slots=True)
class View:
    """How the network sees the frames of a run.

    Parameters
    ----------
    scale : float
        Pixels of what the network sees per pixel of the frame.
    inverted : bool
        The network sees the negative: defects are bright on dark.
    """

    scale: float = 1.0
    inverted: bool = False

    def picture(
        self, image: GreyImage, field: BoolImage | None = None, stretch: Stretch | None = None
    ) -> NDArray[np.uint8]:
        """Return what the network sees of a frame, uint8.

        If the run has no fixed `stretch`, each frame is stretched by its own grey levels.

        Examples
        --------
        >>> View(scale=0.5, inverted=True).picture(np.array([[9, 9, 200, 200]] * 4, np.uint8)).tolist()
        [[255, 0], [255, 0]]
        """
        grey = self.resampled((stretch or stretch_to_8_bit)(image, field))
        return np.asarray(cv2.bitwise_not(grey), np.uint8) if self.inverted else grey

    def resampled(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Shrink or magnify an image; at scale 1 it is returned as it is."""
        if self.scale == 1.0:
            return grey
        smooth = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
        return np.asarray(
            cv2.resize(grey, None, fx=self.scale, fy=self.scale, interpolation=smooth), np.uint8
        )

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what the network sees of a frame of that height and width."""
        return round(self.scale * shape[0]), round(self.scale * shape[1])


def middle(shape: tuple[int, int], most: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the middle of a frame, no more of them than `most`."""
    rows, columns = (
        slice(max(0, side - size) // 2, max(0, side - size) // 2 + min(side, size))
        for side, size in zip(shape, most, strict=True)
    )
    return rows, columns


@dataclass(frozen=True, slots=True)
class Trial:
    """Images of one frame at several scales side by side, so that the network runs on one size only.

    Parameters
    ----------
    canvas : ndarray of uint8, shape (H, W)
        The image for the network.
    placed : tuple of (float, int, int)
        Scale, first column and width of each, px of the canvas; all begin at the top.
    """

    canvas: NDArray[np.uint8]
    placed: tuple[tuple[float, int, int], ...]


def trials(grey: NDArray[np.uint8], scales: Sequence[float], shape: tuple[int, int]) -> Iterator[Trial]:
    """Show an image at several scales on canvases of one shape, as few as the widths allow.

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
    >>> [[scale for scale, _, _ in trial.placed] for trial in trials(np.zeros((640, 640), np.uint8), SCALES, (640, 640))]
    [[1.0], [0.71, 0.25], [0.5, 0.35]]
    """
    if any(
        side > limit
        for side, limit in zip(View(max(scales)).shape((grey.shape[0], grey.shape[1])), shape, strict=True)
    ):
        raise ValueError(f"{grey.shape} at scale {max(scales)} does not fit a canvas of {shape}")
    waiting = [(scale, View(scale).resampled(grey)) for scale in sorted(scales, reverse=True)]
    while waiting:
        canvas = np.full(shape, _GREY, np.uint8)
        placed, left, column = [], [], 0
        for scale, picture in waiting:
            height, width = picture.shape
            if column + width > shape[1]:
                left.append((scale, picture))
                continue
            canvas[:height, column : column + width] = picture
            placed.append((scale, column, width))
            column += width + _GAP_PX
        yield Trial(canvas, tuple(placed))
        waiting = left


class ViewFinder:
    """Weighs what a network finds in the first frames at several scales, and decides how to show it the run.

    Scale: a network is surest of defects in sizes and at a sharpness that it was trained on, and an image
    magnified beyond its resolution has them when it is shrunk. The scale with the largest sum of cubed scores
    wins, if it is clearly surer than scale 1. Polarity: where three quarters of the finds, weighted by score,
    are brighter than what is around them, the network is shown negatives.

    Parameters
    ----------
    scale : float or "auto"
        Given scale, or `auto`.
    contrast : {"auto", "dark", "bright"}
        Given polarity, or `auto`.
    usual : float, optional
        Scale at which the network was trained further on images of its owner: it takes the place of scale 1,
        and another must be twice as sure.

    Examples
    --------
    >>> ViewFinder(0.5, "bright").view
    View(scale=0.5, inverted=True)
    """

    def __init__(
        self, scale: float | str = "auto", contrast: str = "auto", usual: float | None = None
    ) -> None:
        self._scale, self._contrast = scale, contrast
        self._usual, self._gain = (1.0, _GAIN) if usual is None else (usual, _OWN_GAIN)
        tried = SCALES if self._usual in SCALES else (*SCALES, self._usual)
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
        """Take what was found in one frame.

        Parameters
        ----------
        grey : ndarray of uint8, shape (H, W)
            The frame, not inverted.
        found : dict of float to Detections
            Detections at each scale, in px of that frame, confident or not.
        """
        for scale, detections in found.items():
            self._sure[scale] += float((detections.scores.astype(np.float64) ** 3).sum())
        if self._polarity_scale is not None:
            return
        self.frames += 1
        for scale, detections in found.items():
            self._weight[scale] += float(detections.scores.sum())
            self._bright[scale] += float(detections.scores[brighter(grey, detections)].sum())

    @property
    def view(self) -> View:
        """The verdict so far; the usual scale and dark defects where there is doubt."""
        judged = self._polarity_scale or self._best_scale()
        bright = (
            self._bright[judged] > BRIGHT_SHARE * self._weight[judged]
            and self._weight[judged] >= _LEAST_WEIGHT
        )
        return View(self._best_scale(), bright if self._contrast == "auto" else self._contrast == "bright")

    def _best_scale(self) -> float:
        if not isinstance(self._scale, str):
            return self._scale
        best = max(self.scales, key=self._sure.__getitem__)
        least = self._gain * self._sure[self._usual] + _LEAST_GAIN
        return best if self._sure[best] > least else self._usual

    def describe(self) -> dict[str, Any]:
        """Verdict, where it comes from and what it rests on, for the manifest."""
        view = self.view
        facts: dict[str, Any] = {
            "scale": view.scale,
            "scale_origin": (
                f"detected on {self.frames} frames" if isinstance(self._scale, str) else "settings"
            ),
            "contrast": "bright" if view.inverted else "dark",
            "contrast_origin": (
                f"detected on {self.frames} frames" if self._contrast == "auto" else "settings"
            ),
            "frames_looked_at": self.frames,
        }
        if self.frames and isinstance(self._scale, str):
            facts["sum_of_cubed_scores"] = {
                f"{scale:g}": round(self._sure[scale], 3) for scale in self.scales
            }
        if self.frames and self._contrast == "auto":
            judged = self._polarity_scale or view.scale
            facts["bright_share"] = (
                round(self._bright[judged] / self._weight[judged], 3) if self._weight[judged] else None
            )
        return facts


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
