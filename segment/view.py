"""How the network is shown the frames of a run: at which scale, and as negatives or not."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.frames import BoolImage, GreyImage
from insitrack.segment.preprocess import stretch_to_8_bit


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

    def picture(self, image: GreyImage, field: BoolImage | None = None) -> NDArray[np.uint8]:
        """What the network sees of a frame, uint8.

        Examples
        --------
        >>> View(scale=0.5, inverted=True).picture(np.array([[9, 9, 200, 200]] * 4, np.uint8)).tolist()
        [[255, 0], [255, 0]]
        """
        grey = stretch_to_8_bit(image, field)
        if self.scale != 1.0:
            smooth = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
            grey = np.asarray(cv2.resize(grey, None, fx=self.scale, fy=self.scale, interpolation=smooth), np.uint8)
        return np.asarray(cv2.bitwise_not(grey), np.uint8) if self.inverted else grey
