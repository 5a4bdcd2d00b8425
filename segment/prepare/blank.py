"""Frames that show no specimen: the beam off or blanked, whatever the grey level that the camera gives then."""

from __future__ import annotations

from collections import deque
from statistics import median

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage, GreyImage

_SHRINK = 8
"""Noise of single pixels averages out over blocks of this side, structure of a specimen does not."""
_LOCAL = 4.0
"""Sigma, in blocks, of the local mean that is taken off: a beam that is not even is no specimen."""
_UNCORRELATED = 0.15
"""Neighbouring blocks of noise are alike by less; of specimens, however noisy, by 0.55 and more, and where
single particles lie on an empty support, the contrast is still more than that of noise."""
_NOISE = 1.3
"""Contrast between blocks, as a multiple of what uncorrelated noise of the pixels leaves."""
_FLAT = 0.002
"""Contrast between blocks, as a share of the grey range of eight bits, that no image of a specimen has."""
_ROUNDING = 1e-5
"""Contrast of one grey level all over, as a share of it, after the arithmetic of the local mean."""
_REMEMBERED = 25
_LEAST_SIDE = 64
"""Smaller images hold too few blocks to decide."""


class BlankFinder:
    """Recognises frames without a specimen by their lack of structure, not by their level.

    Blank is a frame whose blocks of 8 px differ by no more than the noise of its pixels explains and are not
    alike to their neighbours, or whose contrast has fallen below a share of that of the frames before.

    Parameters
    ----------
    share : float
        Of the usual contrast, the median of the last frames that were not blank, 0..1; 0: no frame is blank.

    Examples
    --------
    >>> noise = np.random.default_rng(1).poisson(10, (256, 256)).astype(np.uint8)
    >>> stripes = noise + np.uint8(40) * ((np.arange(256) // 32) % 2).astype(np.uint8)
    >>> finder = BlankFinder(0.1)
    >>> finder.update(stripes, None), finder.update(noise, None)
    (False, True)
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.contrasts: deque[float] = deque(maxlen=_REMEMBERED)

    def update(self, image: GreyImage, field: BoolImage | None) -> bool:
        """Take the next frame.

        Parameters
        ----------
        image : ndarray of uint8 or uint16, shape (H, W)
            Frame.
        field : ndarray of bool, shape (H, W), or None
            True where no text, bar or border lies; None where there is none.

        Returns
        -------
        bool
            Whether the frame shows no specimen.
        """
        if self.share == 0 or min(image.shape) < _LEAST_SIDE:
            return False
        band, inside = _blocks(image, field)
        if np.count_nonzero(inside) < inside.size // 8:
            return False  # hardly anything to go by: overlays and borders decide
        contrast = float(band[inside].std())
        blank = contrast < self.share * median(self.contrasts or [0.0]) or _structureless(
            image, band, inside, contrast
        )
        if not blank:
            self.contrasts.append(contrast)
        return blank


def _blocks(image: GreyImage, field: BoolImage | None) -> tuple[np.ndarray, BoolImage]:
    """Means of the blocks less their local mean, float32, and which of them lie in the field."""
    height, width = (side // _SHRINK for side in image.shape)
    whole = np.ascontiguousarray(image[: height * _SHRINK, : width * _SHRINK])
    # by two in whole numbers, which is fast, and only then in floats: what rounding adds averages out
    half = cv2.resize(whole, (width * _SHRINK // 2, height * _SHRINK // 2), interpolation=cv2.INTER_AREA)
    small = cv2.resize(half.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    inside = np.ones(small.shape, bool)
    if field is not None:
        part = field[: height * _SHRINK, : width * _SHRINK].view(np.uint8) * np.uint8(255)
        inside = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA) == 255
    weight = inside.astype(np.float32)
    mean = cv2.GaussianBlur(small * weight, (0, 0), _LOCAL) / np.maximum(
        cv2.GaussianBlur(weight, (0, 0), _LOCAL), 1e-3
    )
    return np.asarray(small - mean), inside


def _structureless(image: GreyImage, band: np.ndarray, inside: BoolImage, contrast: float) -> bool:
    """Whether what differs between blocks is noise of the pixels."""
    if contrast <= _ROUNDING * max(1.0, float(image.max())):
        return True
    both = inside[:, 1:] & inside[:, :-1]
    alike = float((band[:, 1:] * band[:, :-1])[both].mean()) / contrast**2 if both.any() else 0.0
    if alike > _UNCORRELATED:
        return False
    if image.dtype == np.uint8 and contrast < _FLAT * 255:
        return True
    rows = image[::_SHRINK].astype(np.float32)
    second = np.abs(rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2])
    noise = 1.4826 * float(np.median(second)) / np.sqrt(6.0)
    return bool(contrast * _SHRINK < _NOISE * noise)
