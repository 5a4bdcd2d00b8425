"""The camera of a synthetic movie: illumination, point spread, noise, grey levels, lossy compression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.synth_background import Field, coloured_noise, draw


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
    noise_blur_px : float
        Length over which the noise is correlated, px.
    scan : float
        Line-to-line noise of a scanned picture, fraction of the mean.
    vignetting, uneven : float
        Fall-off to the corners and low-frequency unevenness of the illumination.
    bright : bool
        Defects bright on a dark matrix.
    quality : int
        JPEG quality of a lossy codec; 0 for none.
    """

    mean: float
    black: float
    psf_px: float
    noise: float
    noise_blur_px: float
    scan: float
    vignetting: float
    uneven: float
    bright: bool
    quality: int

    @classmethod
    def drawn(cls, rng: np.random.Generator, config: dict[str, Any], values: dict[str, Any]) -> Camera:
        """Draw a camera from section ``movie`` of ``synth.toml``; `values` are the keys of the address."""
        mean, black, psf = draw(rng, config["mean_level"]), draw(rng, config["black_level"]), draw(rng, config["psf_px"])
        noise = float(np.exp(rng.uniform(*np.log(config["noise"]))))
        blur = draw(rng, config["noise_blur_px"])
        scan = draw(rng, config["scan_lines"]) if rng.random() < config["scan_share"] else 0.0
        vignetting, uneven = draw(rng, config["vignetting"]), draw(rng, config["uneven"])
        bright = {"any": rng.random() < config["bright_share"], "dark": False, "bright": True}[values["polarity"]]
        quality = int(draw(rng, config["compressed_quality"])) if rng.random() < config["compressed_share"] else 0
        given = values["noise"]
        return cls(
            mean=mean,
            black=black,
            psf_px=psf,
            noise=given if given >= 0 else noise,
            noise_blur_px=blur,
            scan=scan,
            vignetting=vignetting,
            uneven=uneven,
            bright=bright,
            quality=quality,
        )

    def grain(self) -> float:
        """Noise of a pixel times the root of the area over which it is correlated, at least 1e-6."""
        return max(self.noise * max(1.0, 2 * math.sqrt(math.pi) * self.noise_blur_px), 1e-6)

    def fixed(self, rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any]) -> Field:
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

    def expose(self, image: Field, fixed: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Blur, invert where bright on dark, add counting noise, quantise, compress."""
        if self.psf_px > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), self.psf_px)
        if self.bright:
            image = np.maximum(1.35 - image, 0.02)
        image = image * fixed
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        if self.noise_blur_px > 0.35:
            noise = cv2.GaussianBlur(noise, (0, 0), self.noise_blur_px)
            noise *= np.float32(2 * np.sqrt(np.pi) * max(self.noise_blur_px, 0.5))
        # counting statistics: the variance is proportional to the signal
        image += np.float32(self.noise) * np.sqrt(np.maximum(image, 0.05)) * noise
        if self.scan > 0:
            image += np.float32(self.scan) * rng.standard_normal((image.shape[0], 1), dtype=np.float32)
        grey = np.clip(image * np.float32(self.mean) + np.float32(self.black), 0, 255).astype(np.uint8)
        if self.quality:
            _, packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            grey = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
        return np.asarray(grey, np.uint8)
