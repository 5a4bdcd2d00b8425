"""Where an image shows the specimen: burnt-in text, scale bars and flat borders left out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, GreyImage
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame
from insitrack.segment.prepare.blank import BlankFinder

# the field is judged on blocks of this many pixels: text strokes are wider, and it costs a sixteenth
_POOL = 4
_SHARP = 0.30  # share of the full grey range that an overlay jumps within two pixels; a specimen's features seldom do
_DENSE = 0.10  # share of the blocks of an overlay's box that hold such a jump
_FEWEST_BLOCKS = 8  # an overlay has at least this many blocks with such jumps
_EXTREME = 12  # grey levels from black or white within which the strokes of an overlay lie
# share of the image that can be an overlay or border; more is a beam that is off or far too bright
_MOST_REMEMBERED = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldConfig:
    """Settings of the search for burnt-in overlays and borders.

    Parameters
    ----------
    find_overlays : bool
        Leave out text, scale bars and flat borders: nothing is looked for there and the area leaves the
        density's denominator.
    margin_px : int
        Rim left out around an overlay, px.
    memory_frames : int
        An overlay stays left out for this many frames after it was last found: compression and blending blur
        it now and then.
    blank_share : float
        A frame whose contrast is less than this share of what it was before shows no specimen, 0..1: its
        numbers are empty. 0: frames without structure are looked at like any other.
    """

    find_overlays: bool = True
    margin_px: int = 6
    memory_frames: int = 15
    blank_share: float = 0.1

    def __post_init__(self) -> None:
        if self.margin_px < 0:
            raise SettingsError(
                f"field.margin_px = {self.margin_px}: expected zero or a positive number of pixels"
            )
        if self.memory_frames < 0:
            raise SettingsError(
                f"field.memory_frames = {self.memory_frames}: expected zero or a positive number of frames"
            )
        if not 0 <= self.blank_share < 1:
            raise SettingsError(f"field.blank_share = {self.blank_share}: expected a share from 0 to below 1")


@dataclass(frozen=True, slots=True)
class FieldSnapshot:
    """Everything that is remembered of overlays and borders after a frame; another finder goes on from it.

    Parameters
    ----------
    frames_left_out : ndarray of int32, shape (H // 4, W // 4), or None
        Frames for which each block of pixels stays left out.
    contrasts : tuple of float
        Contrast of the last frames that were not blank.
    """

    frames_left_out: NDArray[np.int32] | None
    contrasts: tuple[float, ...]


class FieldFinder:
    """Finds, frame after frame, the field of view: the frame without burnt-in text, scale bars, flat borders.

    An overlay jumps over much of the grey range within two pixels, many times in a small place, and is nearly
    black or white; a flat border is one extreme grey level connected to the edge of the image. Neither is
    true of a specimen, or of noise, which is everywhere. An image that is black or white for the most part
    is left out and soon forgotten: the beam was off. So is one without structure at any level, see
    `BlankFinder`.

    Parameters
    ----------
    config : FieldConfig, optional
        Settings.
    """

    def __init__(self, config: FieldConfig | None = None) -> None:
        self._config = config or FieldConfig()
        self._left: NDArray[np.int32] | None = None  # frames for which each block stays left out
        self._blank = BlankFinder(self._config.blank_share)

    def snapshot(self) -> FieldSnapshot:
        """Return everything that is remembered after the last frame."""
        left_out = None if self._left is None else self._left.copy()
        return FieldSnapshot(left_out, tuple(self._blank.contrasts))

    def restore(self, snapshot: FieldSnapshot) -> None:
        """Go on from where another finder was."""
        self._left = snapshot.frames_left_out
        self._blank.contrasts.extend(snapshot.contrasts)

    def update(self, image: GreyImage) -> BoolImage | None:
        """Take the next frame.

        Parameters
        ----------
        image : ndarray of uint8 or uint16, shape (H, W)
            Frame.

        Returns
        -------
        ndarray of bool, shape (H, W), or None
            True where the specimen is seen; None where all of it is.
        """
        field = self._without_overlays(image)
        return np.zeros(image.shape, bool) if self._blank.update(image, field) else field

    def _without_overlays(self, image: GreyImage) -> BoolImage | None:
        config = self._config
        if not config.find_overlays or min(image.shape) < 8 * _POOL:
            return None
        grey = _leading_8_bits(image)
        height, width = grey.shape
        whole = np.ascontiguousarray(grey[: height // _POOL * _POOL, : width // _POOL * _POOL])
        blocked = _overlay_blocks(whole) | _border_blocks(whole)
        if self._left is None or self._left.shape != blocked.shape:
            self._left = np.zeros(blocked.shape, np.int32)
        self._left = np.maximum(self._left - 1, 0)
        if np.count_nonzero(blocked) <= _MOST_REMEMBERED * blocked.size:
            self._left[blocked] = config.memory_frames + 1
        blocked = blocked | (self._left > 0)
        if not blocked.any():
            return None
        reach = 2 * -(-config.margin_px // _POOL) + 1
        grown = cv2.dilate(blocked.view(np.uint8), np.ones((reach, reach), np.uint8))
        full = np.repeat(np.repeat(grown == 0, _POOL, axis=1), _POOL, axis=0)
        # the rest of a size that is not a multiple of the blocks goes with its neighbours
        return np.pad(full, ((0, height - len(full)), (0, width - full.shape[1])), mode="edge")


def _leading_8_bits(image: GreyImage) -> NDArray[np.uint8]:
    """Eight bits of the depth that the image uses: a 12-bit camera fills only part of 16 bits."""
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    return np.asarray(image >> max(0, int(image.max()).bit_length() - 8), np.uint8)


def _overlay_blocks(grey: NDArray[np.uint8]) -> BoolImage:
    """Blocks that belong to text or a scale bar."""
    rows = grey[::2]  # strokes are wider than two pixels: every second row shows them at half the cost
    sharp = np.zeros(rows.shape, bool)
    np.greater(cv2.absdiff(rows[:, 2:], rows[:, :-2]), _SHARP * 255, out=sharp[:, 1:-1])
    sharp[1:] |= cv2.absdiff(rows[1:], rows[:-1]) > _SHARP * 255
    out = np.zeros((grey.shape[0] // _POOL, grey.shape[1] // _POOL), bool)
    if (
        not _FEWEST_BLOCKS <= np.count_nonzero(sharp) < 0.05 * sharp.size
    ):  # sharp everywhere is noise, not text
        return out
    strokes = (_block_sums(sharp.view(np.uint8)) >= 2).view(np.uint8)
    joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((5, 9), np.uint8))
    n, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for x, y, w, h, _ in stats[1:n].tolist():
        n_blocks = np.count_nonzero(strokes[y : y + h, x : x + w])
        if n_blocks < _FEWEST_BLOCKS or n_blocks < _DENSE * w * h:
            continue
        part = grey[_POOL * y : _POOL * (y + h), _POOL * x : _POOL * (x + w)]
        extreme = np.count_nonzero((part <= _EXTREME) | (part >= 255 - _EXTREME))
        if extreme >= 0.05 * part.size:
            out[y : y + h, x : x + w] = True
    return out


def _block_sums(flags: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sum over each block of every second row; along the columns first, because rows lie together in memory."""
    rows = np.add.reduce(flags.reshape(-1, _POOL // 2, flags.shape[1]), axis=1, dtype=np.uint8)
    return np.asarray(np.add.reduce([rows[:, i::_POOL] for i in range(_POOL)], axis=0, dtype=np.uint8))


def _border_blocks(grey: NDArray[np.uint8]) -> BoolImage:
    """Blocks of one extreme grey level that are connected to the edge of the image."""
    coarse = np.ascontiguousarray(grey[_POOL // 2 :: _POOL, _POOL // 2 :: _POOL])
    height, width = coarse.shape
    out = np.zeros((height, width), bool)
    edge = np.concatenate([coarse[0], coarse[-1], coarse[:, 0], coarse[:, -1]])
    for dark in (True, False):
        if np.count_nonzero(edge <= 2 if dark else edge >= 253) < 0.02 * edge.size:
            continue
        flat = coarse <= 2 if dark else coarse >= 253
        n, labels, stats, _ = cv2.connectedComponentsWithStats(flat.view(np.uint8), connectivity=4)
        for i, (x, y, w, h, area) in enumerate(stats[1:n].tolist(), start=1):
            touches = x == 0 or y == 0 or x + w == width or y + h == height
            if touches and area >= 0.002 * flat.size:
                out |= labels == i
    return out


def field_of(frame: Frame, config: FieldConfig | None = None) -> BoolImage | None:
    """Where a single image shows the specimen, found as `track` finds it, without memory of other images."""
    return FieldFinder(config).update(frame.image)
