"""Grey levels of a frame in 8 bits: stretched for each frame, or the same way over a whole run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, GreyImage
from insitrack.io.frames import Frame
from insitrack.segment.prepare.field import FieldConfig, FieldFinder

GreyRange = tuple[float, ...]
"""Grey levels that become black and white."""

_BLACK_WHITE = (0.005, 0.995)  # shares of the specimen below what becomes black and white
# share of a frame beyond a fixed range from which a warning counts it: ten times what is meant to be
_CLIPPED = 0.05
_NARROW = 0.6  # likewise share of a fixed range that an image makes use of


def stretch_to_8_bit(image: GreyImage, field: BoolImage | None = None) -> NDArray[np.uint8]:
    """Stretch grey levels so that the 0.5th and 99.5th percentile of the specimen become 0 and 255.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W)
        Frame at native depth.
    field : ndarray of bool, shape (H, W), optional
        Pixels that count for the percentiles.

    Returns
    -------
    ndarray of uint8, shape (H, W)

    Examples
    --------
    >>> stretch_to_8_bit(np.array([[100, 100, 200, 200]], np.uint8)).tolist()
    [[0, 0, 255, 255]]
    """
    counts = _counted(image, field)
    return _spread(image, _range_of(counts))


def grey_range(frames: Iterable[Frame], config: FieldConfig | None = None) -> GreyRange | None:
    """Grey levels that become black and white over a whole run, from frames spread over it.

    It is None if no image shows anything.

    Parameters
    ----------
    frames : iterable of Frame
        Frames of one depth; one is held at a time.
    config : FieldConfig, optional
        How overlays and borders are found, which do not count.
    """
    total: Any = None
    for frame in frames:
        counts = _counted(frame.image, FieldFinder(config).update(frame.image))
        if np.count_nonzero(counts) > 1:
            total = counts if total is None else total + counts
    return None if total is None else _range_of(total)


class Stretch:
    """Makes 8 bits of the grey levels of a run: the same way in every frame, or each frame as it needs.

    Parameters
    ----------
    levels : "auto", "run", "frame" or (float, float)
        `frame` spreads each frame by itself; `run` all as the first that shows something, two numbers all
        from the one to the other; `auto` is `frame` for 8 bits and `run` for more.

    Attributes
    ----------
    n_misfits : int
        Frames with more than 5 % of their pixels beyond a fixed range, or that make use of less than 60 % of
        it.
    """

    def __init__(self, levels: str | GreyRange = "auto") -> None:
        self._levels = levels
        self._range = None if isinstance(levels, str) else levels
        self._by_frame = levels == "frame"
        self.n_misfits = 0

    def __call__(self, image: GreyImage, field: BoolImage | None = None) -> NDArray[np.uint8]:
        """Return the image in 8 bits, shape (H, W); `field` as in `stretch_to_8_bit`."""
        if self._levels == "auto":
            self._by_frame = image.dtype == np.uint8
        if self._by_frame:
            return stretch_to_8_bit(image, field)
        counts = _counted(image, field)
        if self._range is None:
            if np.count_nonzero(counts) < 2:  # black all over: the beam is not on yet
                return stretch_to_8_bit(image, field)
            self._range = _range_of(counts)
        low, high = self._range
        own_low, own_high = _range_of(counts)
        beyond = 1 - counts[int(np.ceil(low)) : int(high) + 1].sum() / counts.sum()
        self.n_misfits += bool(beyond > _CLIPPED or own_high - own_low < _NARROW * (high - low))
        return _spread(image, self._range)

    def describe(self) -> dict[str, Any]:
        """Which levels become black and white, for the manifest."""
        if self._by_frame or self._range is None:
            return {"levels": "frame" if self._by_frame else self._levels}
        return {"levels": list(self._range), "frames_misfit": self.n_misfits}


def _counted(image: GreyImage, field: BoolImage | None) -> NDArray[np.float64]:
    """Count how often each grey level occurs on the specimen; a quarter of the pixels is enough."""
    levels = 256 if image.dtype == np.uint8 else 65536
    sample = np.ascontiguousarray(image[::2, ::2])
    mask = (
        None
        if field is None or not field[::2, ::2].any()
        else np.ascontiguousarray(field[::2, ::2]).view(np.uint8)
    )
    return np.asarray(cv2.calcHist([sample], [0], mask, [levels], [0, levels]).ravel(), np.float64)


def _range_of(counts: NDArray[np.float64]) -> GreyRange:
    cumulative = np.cumsum(counts)
    low, high = np.searchsorted(cumulative, np.array(_BLACK_WHITE) * cumulative[-1])
    return float(low), float(high)


def _spread(image: GreyImage, grey: GreyRange) -> NDArray[np.uint8]:
    levels = 256 if image.dtype == np.uint8 else 65536
    scale = 255.0 / max(1.0, grey[1] - grey[0])
    table = np.clip((np.arange(levels) - grey[0]) * scale + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table) if levels == 256 else table[image], np.uint8)
