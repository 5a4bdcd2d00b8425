"""The frame that an encoder takes: grey and colour planes to draw on, and the contrast of the specimen.

Frames are painted into I420: a full grey plane and two colour planes of half the size. A line one pixel wide
so colours the whole 2 x 2 block that a video keeps of it, and does not pale when the frame is encoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bytes, GreyImage, Ints
from insitrack.io.draw.palette import Colour

BLACK, WHITE, NEUTRAL, BACKDROP = 16, 235, 128, 24
"""Luma of black, white and the footer, and the chroma of grey."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(slots=True)
class Contrast:
    """Grey levels to 8 bit by a window that follows the movie slowly, so that the frame does not flicker.

    Parameters
    ----------
    percentiles : tuple of float
        Percentiles of the grey levels that become black and white, 0..100.
    memory : float
        Frames that it takes to follow a change of the grey levels. It never follows faster, unless less than
        half of the grey levels would still be distinguished.
    window : tuple of float or None
        Grey levels shown as black and white; None until the first frame.

    Examples
    --------
    >>> contrast = Contrast((0, 100))
    >>> contrast.stretch(np.array([[1000, 2000, 3000]], np.uint16)).tolist()
    [[16, 126, 235]]
    """

    percentiles: tuple[float, float] = (0.2, 99.8)
    memory: float = 50.0
    window: tuple[float, float] | None = None

    def stretch(self, image: GreyImage) -> Bytes:
        """Return the frame as video luma, uint8 16..235, shape (H, W), and let the window follow it."""
        low, high = self._follow(image)
        gain = (WHITE - BLACK) / (high - low)
        if image.dtype == np.uint8:
            levels = np.clip(BLACK + gain * (np.arange(256) - low), BLACK, WHITE)
            return np.asarray(cv2.LUT(image, np.rint(levels).astype(np.uint8)))
        inside = np.clip(image, math.floor(low), math.ceil(high))
        return np.asarray(cv2.convertScaleAbs(inside, alpha=gain, beta=BLACK - gain * low))

    def _follow(self, image: GreyImage) -> tuple[float, float]:
        step = max(1, min(image.shape) // 128)
        low, high = np.percentile(image[::step, ::step], self.percentiles).tolist()
        high = max(high, low + 1)
        if self.window is not None:
            old_low, old_high = self.window
            shared = min(high, old_high) - max(low, old_low)
            if shared > 0.5 * max(high - low, old_high - old_low):
                rate = 1 / self.memory
                low, high = old_low + rate * (low - old_low), old_high + rate * (high - old_high)
        self.window = (low, high)
        return self.window


@dataclass(frozen=True, slots=True)
class Canvas:
    """One I420 frame: luma (H, W) and two chroma planes (H/2, W/2) in one buffer, H and W even.

    BT.601, 16..235.
    """

    height: int
    width: int
    buffer: Bytes
    luma: Bytes = field(init=False, repr=False)
    chroma: tuple[Bytes, Bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n, half = self.height * self.width, (self.height // 2, self.width // 2)
        object.__setattr__(self, "luma", self.buffer[:n].reshape(self.height, self.width))
        object.__setattr__(
            self,
            "chroma",
            (self.buffer[n : n + n // 4].reshape(half), self.buffer[n + n // 4 :].reshape(half)),
        )

    @classmethod
    def blank(cls, height: int, width: int) -> Canvas:
        """Return a dark grey frame."""
        n = height * width
        buffer = np.full(n + n // 2, NEUTRAL, np.uint8)
        buffer[:n] = BACKDROP
        return cls(height, width, buffer)

    def copy(self) -> Canvas:
        """Return the same frame, to be painted on by itself."""
        return Canvas(self.height, self.width, self.buffer.copy())

    def beside(self, right: Canvas) -> Canvas:
        """Return one frame of this one and, to its right, another of the same size."""
        both = Canvas.blank(self.height, 2 * self.width)
        for part, x in ((self, 0), (right, self.width)):
            both.luma[:, x : x + self.width] = part.luma
            for plane, own in zip(both.chroma, part.chroma, strict=True):
                plane[:, x // 2 : (x + self.width) // 2] = own
        return both

    def dots(self, x: Ints, y: Ints, colours: NDArray[np.uint8]) -> None:
        """Colour single pixels; `colours` is (P, 3) luma, blue and red difference."""
        self.luma[y, x] = colours[:, 0]
        self.chroma[0][y >> 1, x >> 1] = colours[:, 1]
        self.chroma[1][y >> 1, x >> 1] = colours[:, 2]

    def block(self, x: int, y: int, width: int, height: int, colour: NDArray[np.uint8]) -> None:
        """Fill a rectangle."""
        self.luma[y : y + height, x : x + width] = colour[0]
        for plane, value in zip(self.chroma, colour[1:], strict=True):
            plane[y >> 1 : (y + height) >> 1, x >> 1 : (x + width) >> 1] = value

    def text(self, words: str, x: int, y: int, scale: float) -> None:
        """Write white words with the left end of their baseline at (x, y)."""
        cv2.putText(self.luma, words, (x, y), _FONT, scale, WHITE, 1, cv2.LINE_AA)

    def stamp(self, words: str, x: int, y: int, scale: float) -> None:
        """Write white words with a dark rim, their upper left corner at (x, y), which lies inside.

        What leaves the frame is cut.
        """
        rim, ink = _stencil(words, scale)
        place = self.luma[y : y + len(ink), x : x + ink.shape[1]]
        height, width = place.shape
        np.minimum(place, rim[:height, :width], out=place)
        np.maximum(place, ink[:height, :width], out=place)

    def i420(self) -> Bytes:
        """Return the planes as an encoder takes them, uint8 (H * 3 / 2, W)."""
        return self.buffer.reshape(self.height * 3 // 2, self.width)

    def bgr(self) -> Bytes:
        """Return a colour frame, uint8 (H, W, 3), blue first."""
        return np.asarray(cv2.cvtColor(self.i420(), cv2.COLOR_YUV2BGR_I420))


def video_colours(colours: Iterable[Colour]) -> NDArray[np.uint8]:
    """Luma and chroma of colours, uint8 (K, 3), BT.601 in the range 16..235."""
    rgb = np.array(list(colours), np.float64).reshape(-1, 3) / 255
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    return np.asarray(np.rint(rgb @ matrix.T + [16, 128, 128]).astype(np.uint8))


@lru_cache(maxsize=4096)
def _stencil(words: str, scale: float) -> tuple[Bytes, Bytes]:
    """Highest luma that the rim of the words leaves and lowest that their ink leaves.

    Ids come again in every frame.
    """
    thickness = max(1, round(scale / 0.5))
    (width, height), _ = cv2.getTextSize(words, _FONT, scale, thickness)
    letters = np.zeros((height + 4, width + 4), np.uint8)
    cv2.putText(letters, words, (2, height + 1), _FONT, scale, 255, thickness, cv2.LINE_AA)
    rim = cv2.dilate(letters, np.ones((3, 3), np.uint8))
    return np.asarray(255 - (rim * ((255 - BLACK) / 255)).astype(np.uint8)), np.asarray(
        (letters * (WHITE / 255)).astype(np.uint8)
    )


def stamp_size(words: str, scale: float) -> tuple[int, int]:
    """Return height and width of stamped words, px."""
    height, width = _stencil(words, scale)[0].shape
    return int(height), int(width)


def text_width(words: str, scale: float) -> int:
    """Return how far words reach to the right, px."""
    return int(cv2.getTextSize(words, _FONT, scale, 1)[0][0])
