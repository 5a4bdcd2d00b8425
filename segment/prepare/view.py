"""How the network is shown the frames of a run: scale and polarity."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, GreyImage
from insitrack.segment.prepare.grey import Stretch, stretch_to_8_bit


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
