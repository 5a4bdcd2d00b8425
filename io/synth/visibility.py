"""What a person could see of a synthetic movie: contrast against the mottle and the noise around it."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from insitrack.io.arrays import Floats32
from insitrack.io.synth.render import Look
from insitrack.io.synth.scenery import Scenery
from insitrack.io.synth.settings import ranges

_CLUTTER_SIZES_PX = (
    8.0,
    16.0,
    32.0,
    64.0,
)  # sizes of defects for which the background's own variation is judged


class Visibility:
    """Judges defects by the background and the camera of a movie.

    Parameters
    ----------
    scenery : Scenery
        The movie.
    """

    def __init__(self, scenery: Scenery) -> None:
        self._scenery = scenery

    @cached_property
    def clutter(self) -> list[Floats32]:
        """Local standard deviation of the background within bands of size, a grid of 4 px.

        What hides a faint defect of that size.
        """
        level = cv2.resize(
            self._scenery.specimen.canvas, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA
        )
        out = []
        for size_px in _CLUTTER_SIZES_PX:
            band = cv2.GaussianBlur(level, (0, 0), size_px / 16) - cv2.GaussianBlur(
                level, (0, 0), size_px / 4
            )
            reach = 2 * round(size_px / 4) + 7
            out.append(np.asarray(np.sqrt(np.maximum(cv2.blur(band * band, (reach, reach)), 0)), np.float32))
        return out

    def sees(self, signal: Floats32, look: Look, x: float, y: float, area: int) -> bool:
        """Return whether a person would outline it.

        Enough contrast over the mottle of its own size around it, and over the noise.
        """
        rule = ranges()["visibility"]
        cavity = look.form == "fresnel"
        if area < rule["cavity_area_px" if cavity else "area_px"]:
            return False
        if cavity:  # far fringes do not count
            signal = np.where(np.abs(signal) > 0.25 * np.abs(signal).max(), signal, np.float32(0))
        ring = look.form in ("open_ellipse", "double_ring") and look.fill < 0.4
        thin = ring or cavity
        minor_px = look.width_px if look.form == "edge_on" or ring else look.size_px * look.ratio
        band = int(np.argmin([abs(np.log(minor_px / size)) for size in _CLUTTER_SIZES_PX]))
        place = self._scenery.at(x, y, self.clutter[band].shape, 4)
        # mottle finer than the defect distracts the eye too
        clutter = float(np.hypot(self.clutter[band][place], 0.7 * self.clutter[max(0, band - 1)][place]))
        over = rule["ring_over_mottle" if thin else "over_mottle"] * clutter
        least = rule["ring_contrast" if thin else "contrast"]
        energy = float((signal * signal).sum())
        # contrast of the parts that matter: the darkest spot of an uneven ring does not make the ring visible
        typical = energy / max(float(np.abs(signal).sum()), 1e-9)
        # what the point spread leaves of the contrast in the middle of something this thin
        left = 1 - np.exp(-(minor_px**2) / (8 * max(self._scenery.camera.psf_px, 0.1) ** 2))
        return bool(
            typical * left >= max(least, over)
            and energy**0.5 / self._scenery.camera.grain() * left
            >= rule["cavity_over_noise" if cavity else "over_noise"]
        )

    def clutter_at(self, x: float, y: float) -> float:
        """Local standard deviation of the background around a place of the specimen, px, all bands together."""
        place = self._scenery.at(x, y, self.clutter[0].shape, 4)
        return float(np.sqrt(sum(float(band[place]) ** 2 for band in self.clutter)))
