"""What is done to a frame before the network sees it: grey levels, and where the picture does not show the specimen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SettingsError
from insitrack.io.frames import BoolImage, GreyImage

_POOL = 4  # the field is judged on blocks of this many pixels: text strokes are wider, and it costs a sixteenth
_SHARP = 0.42  # share of the full grey range that an overlay jumps within two pixels; a specimen's features seldom do
_EXTREME = 12  # grey levels from black or white within which the strokes of an overlay lie


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldConfig:
    """Settings of the search for burnt-in overlays and borders.

    Parameters
    ----------
    find_overlays : bool
        Leave out text, scale bars and flat borders: nothing is looked for there and the area leaves the density's denominator.
    margin_px : int
        Rim left out around an overlay, px.
    """

    find_overlays: bool = True
    margin_px: int = 6

    def __post_init__(self) -> None:
        if self.margin_px < 0:
            raise SettingsError(f"field.margin_px = {self.margin_px}: expected zero or a positive number of pixels")


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
    >>> stretch_to_8_bit(np.array([[100, 200]], np.uint8)).tolist()
    [[0, 255]]
    """
    levels = 256 if image.dtype == np.uint8 else 65536
    mask = None if field is None or not field.any() else field.view(np.uint8)
    counts = cv2.calcHist([image], [0], mask, [levels], [0, levels]).ravel()
    cumulative = np.cumsum(counts, dtype=np.float64)
    low, high = np.searchsorted(cumulative, np.array([0.005, 0.995]) * cumulative[-1])
    scale = 255.0 / max(1.0, float(high) - float(low))
    table = np.clip((np.arange(levels) - float(low)) * scale + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table) if levels == 256 else table[image], np.uint8)


def find_field(image: GreyImage, config: FieldConfig | None = None) -> BoolImage | None:
    """Tell where the picture shows the specimen: not on burnt-in text, scale bars and flat borders.

    An overlay jumps over more than half of the grey range within two pixels, many times in a small place; a flat border is one
    extreme grey level connected to the edge of the picture. Neither is true of a specimen, or of noise, which is everywhere.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W)
        Frame.
    config : FieldConfig, optional
        Settings.

    Returns
    -------
    ndarray of bool, shape (H, W), or None
        True where the specimen is seen; None where all of it is.
    """
    config = config or FieldConfig()
    if not config.find_overlays or min(image.shape) < 8 * _POOL:
        return None
    grey = np.asarray(image if image.dtype == np.uint8 else image >> 8, np.uint8)
    height, width = grey.shape
    small = (-(-width // _POOL), -(-height // _POOL))
    blocked = _overlay_blocks(grey, small) | _border_blocks(grey, small)
    if not blocked.any():
        return None
    reach = 2 * -(-config.margin_px // _POOL) + 1
    grown = cv2.dilate(blocked.view(np.uint8), np.ones((reach, reach), np.uint8))
    full = np.repeat(np.repeat(grown == 0, _POOL, axis=1), _POOL, axis=0)
    return np.ascontiguousarray(full[:height, :width])


def _pool(image: NDArray[np.uint8], small: tuple[int, int]) -> NDArray[np.uint8]:
    """One pixel from the middle of every block; the last block may be a partial one."""
    rows = np.minimum(np.arange(small[1]) * _POOL + _POOL // 2, image.shape[0] - 1)
    columns = np.minimum(np.arange(small[0]) * _POOL + _POOL // 2, image.shape[1] - 1)
    return np.ascontiguousarray(image[rows[:, None], columns])


def _overlay_blocks(grey: NDArray[np.uint8], small: tuple[int, int]) -> BoolImage:
    """Blocks that belong to text or a scale bar."""
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.subtract(cv2.dilate(grey, kernel), cv2.erode(grey, kernel))
    sharp = (jump > _SHARP * 255).view(np.uint8)
    out = np.zeros((small[1], small[0]), bool)
    if not 0 < cv2.countNonZero(sharp) < 0.05 * sharp.size:  # sharp everywhere is noise, not text
        return out
    share = _pool(cv2.boxFilter(sharp * np.uint8(240), -1, (_POOL, _POOL)), small)
    strokes = (share > 40).view(np.uint8)
    joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((5, 9), np.uint8))
    n, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for x, y, w, h, _ in stats[1:n]:
        blocks = np.count_nonzero(strokes[y : y + h, x : x + w])
        part = grey[_POOL * y : _POOL * (y + h), _POOL * x : _POOL * (x + w)]
        extreme = np.count_nonzero((part <= _EXTREME) | (part >= 255 - _EXTREME))
        if blocks >= 8 and blocks >= 0.15 * w * h and extreme >= 0.05 * part.size:
            out[y : y + h, x : x + w] = True
    return out


def _border_blocks(grey: NDArray[np.uint8], small: tuple[int, int]) -> BoolImage:
    """Blocks of one extreme grey level that are connected to the edge of the picture."""
    out = np.zeros((small[1], small[0]), bool)
    coarse = _pool(grey, small)
    for flat in (coarse <= 2, coarse >= 253):
        edge = np.concatenate([flat[0], flat[-1], flat[:, 0], flat[:, -1]])
        if np.count_nonzero(edge) < 0.02 * edge.size:
            continue
        n, labels, stats, _ = cv2.connectedComponentsWithStats(flat.view(np.uint8), connectivity=4)
        for i in range(1, n):
            x, y, w, h, area = stats[i]
            touches = x == 0 or y == 0 or x + w == small[0] or y + h == small[1]
            if touches and area >= 0.002 * flat.size:
                out |= labels == i
    return out
