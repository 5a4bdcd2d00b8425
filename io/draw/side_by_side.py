"""A frame twice: with what people labelled, and with what was found, each defect in the colour of its class."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import GreyImage
from insitrack.io.detections import Detections
from insitrack.io.draw.palette import Colour, class_colours

_OPACITY = 0.35
_PERCENTILES = (0.2, 99.8)


def side_by_side(image: GreyImage, left: Detections, right: Detections) -> NDArray[np.uint8]:
    """Paint two sets of defects on the same frame, as figure 2 of Jacobs et al. 2022 shows them.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W)
        The frame.
    left, right : Detections
        Defects with masks, on the same frame.

    Returns
    -------
    ndarray of uint8, shape (H, 2 W, 3)
        Red, green and blue; grey levels stretched between their percentiles.
    """
    low, high = np.percentile(image, _PERCENTILES).tolist()
    grey = np.clip((image - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
    colours = class_colours([*left.class_names, *right.class_names])
    return np.hstack([_painted(grey, left, colours), _painted(grey, right, colours)])


def _painted(
    grey: NDArray[np.uint8], detections: Detections, colours: dict[str, Colour]
) -> NDArray[np.uint8]:
    """Fill every defect lightly and draw its outline."""
    out = np.repeat(grey[:, :, None], 3, axis=2)
    masks, names = detections.masks, detections.names()
    for i, (y, x) in enumerate(masks.corners.tolist()):
        colour = colours[names[i]]
        crop = masks.crop(i)
        y0, x0 = max(y, 0), max(x, 0)
        part = out[y0 : max(y + crop.shape[0], 0), x0 : max(x + crop.shape[1], 0)]
        inside = crop[y0 - y : y0 - y + part.shape[0], x0 - x : x0 - x + part.shape[1]]
        part[inside] = (1 - _OPACITY) * part[inside] + _OPACITY * np.array(colour)
        edges, _ = cv2.findContours(crop.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, edges, -1, colour, 1, offset=(x, y))
    return np.asarray(out, np.uint8)
