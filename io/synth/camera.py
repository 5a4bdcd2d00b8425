"""The camera of a synthetic movie: illumination, point spread, noise, grey levels, lossy compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats32
from insitrack.io.synth.background import coloured_noise
from insitrack.io.synth.distractors import draw, draw_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """From transmission to grey levels.

    Parameters
    ----------
    mean, black : float
        Grey level of full transmission above the black level, and the black level, of 255.
    psf_px : float
        Standard deviation of the point spread, px.
    noise : float
        Standard deviation of the counting noise at full transmission, fraction of the mean.
    noise_blur_px, streak : float
        Length over which the noise is correlated across the scan lines, px, and how much longer it is along
        them.
    white : float
        Share of the noise that comes after the blur, from pixel to pixel.
    read : float
        Share of the variance that does not depend on the signal.
    scan : float
        Line-to-line noise of a scanned image, fraction of the mean.
    vignetting, uneven : float
        Fall-off to the corners and low-frequency unevenness of the illumination.
    bright : bool
        Defects bright on a dark matrix.
    gamma : float
        Exponent of the grey levels; 1 for linear.
    quality : int
        JPEG quality of a lossy codec; 0 for none.
    """

    mean: float
    black: float
    psf_px: float
    noise: float
    noise_blur_px: float
    streak: float
    white: float
    read: float
    scan: float
    vignetting: float
    uneven: float
    bright: bool
    gamma: float
    quality: int

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, config: dict[str, Any], values: dict[str, Any], magnified: float = 1.0
    ) -> Camera:
        """Draw a camera from section ``movie`` of ``synth.toml``; `values` are the keys of the address.

        An image that is `magnified` beyond its resolution is blurred over as many pixels; its noise too
        where the magnifying was done to the finished image.
        """
        given = values["noise"]
        bright = {"any": rng.random() < config["bright_share"], "dark": False, "bright": True}[
            values["polarity"]
        ]
        grows = magnified if rng.random() < config["noise_magnified_share"] else 1.0
        return cls(
            mean=draw(rng, config["mean_level"]),
            black=draw(rng, config["black_level"]),
            psf_px=draw(rng, config["psf_px"]) * magnified,
            noise=given if given >= 0 else draw_log(rng, config["noise"]),
            noise_blur_px=draw(rng, config["noise_blur_px"]) * grows,
            streak=draw(rng, config["noise_streak"]) if rng.random() < config["noise_streak_share"] else 1.0,
            white=draw(rng, config["noise_white"]),
            read=draw(rng, config["noise_read"]),
            scan=draw(rng, config["scan_lines"]) if rng.random() < config["scan_share"] else 0.0,
            vignetting=draw(rng, config["vignetting"]),
            uneven=draw(rng, config["uneven"]),
            bright=bright,
            gamma=draw(rng, config["gamma"]) if rng.random() < config["gamma_share"] else 1.0,
            quality=(
                int(draw(rng, config["compressed_quality"]))
                if rng.random() < config["compressed_share"]
                else 0
            ),
        )

    def _kernels(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Blur of the noise along and across the scan lines, such that its variance stays."""
        along, across = self.noise_blur_px * self.streak + 0.5 * (self.streak - 1), self.noise_blur_px
        out = []
        for sd in (along, across):
            kernel = np.ones((1, 1)) if sd < 0.35 else cv2.getGaussianKernel(2 * int(3 * sd + 0.5) + 1, sd)
            out.append(np.asarray(kernel / np.sqrt((kernel**2).sum()), np.float32))
        return out[0], out[1]

    def grain(self) -> float:
        """Noise of a pixel times the root of the area over which it is correlated, at least 1e-6."""
        along, across = self._kernels()
        blurred = (1 - self.white**2) * float(along.sum() * across.sum()) ** 2 + self.white**2
        return float(max(self.noise * blurred**0.5, 1e-6))

    def fixed(self, rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any]) -> Floats32:
        """Illumination, fixed pattern and hot pixels: what stays where it is while the specimen drifts."""
        height, width = shape
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        cy, cx = rng.uniform(-0.4, 0.4, 2)
        out = 1 - self.vignetting * ((x - cx) ** 2 + (y - cy) ** 2) / 2
        coarse = coloured_noise(rng, (height // 16 + 2, width // 16 + 2), 20, slope=3)
        out *= 1 + self.uneven * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2
        out *= 1 + draw(rng, config["fixed_pattern"]) * rng.standard_normal(shape, dtype=np.float32)
        for _ in range(int(rng.integers(config["hot_pixels"][0], config["hot_pixels"][1] + 1))):
            out[rng.integers(height), rng.integers(width)] *= rng.choice([0.4, 1.8])
        return np.asarray(out, np.float32)

    def expose(self, image: Floats32, fixed: Floats32, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Blur, invert where bright on dark, add noise, bend the grey levels, quantise, compress."""
        if self.psf_px > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), self.psf_px)
        if self.bright:
            image = np.maximum(1.35 - image, 0.02)
        image = image * fixed
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        along, across = self._kernels()
        if along.size + across.size > 2:
            noise = cv2.sepFilter2D(noise, cv2.CV_32F, along, across)
            if self.white > 0:
                noise *= np.float32((1 - self.white**2) ** 0.5)
                noise += np.float32(self.white) * rng.standard_normal(image.shape, dtype=np.float32)
        # counting statistics: the variance is proportional to the signal; that of the read-out is not
        image += (
            np.float32(self.noise)
            * np.sqrt(np.maximum(image * np.float32(1 - self.read) + np.float32(self.read), 0.05))
            * noise
        )
        if self.scan > 0:
            image += np.float32(self.scan) * rng.standard_normal((image.shape[0], 1), dtype=np.float32)
        if self.gamma != 1.0:
            # full transmission keeps its grey level
            image = np.maximum(image, 0) ** np.float32(self.gamma)
        grey = np.clip(image * np.float32(self.mean) + np.float32(self.black), 0, 255).astype(np.uint8)
        if self.quality:
            _, packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            grey = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
        return np.asarray(grey, np.uint8)
