"""What lies behind the defects of a synthetic movie: mottle, fringes, contours, steps, lines and faint blobs."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Range = tuple[float, float]


def draw(rng: np.random.Generator, limits: Any) -> float:
    """Draw one number uniformly from ``[low, high]``."""
    return float(rng.uniform(limits[0], limits[1]))


def coloured_noise(
    rng: np.random.Generator, shape: tuple[int, int], correlation_px: float, *, slope: float = 2.0, aspect: float = 1.0, angle: float = 0.0
) -> Field:
    """Gaussian random field of unit variance with a given correlation length.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    shape : tuple of int
        Height and width, px.
    correlation_px : float
        Length below which the amplitude spectrum falls as a power law, px.
    slope : float
        Exponent of that power law.
    aspect : float
        Ratio of the correlation lengths along and across `angle`.
    angle : float
        Direction of the longer correlation, rad, from x towards y.

    Returns
    -------
    ndarray of float32, shape `shape`
        Mean 0, standard deviation 1; periodic.
    """
    ky = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    kx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    along = kx * np.cos(angle) + ky * np.sin(angle)
    across = -kx * np.sin(angle) + ky * np.cos(angle)
    stretch = np.sqrt(aspect)
    k2 = (along * stretch) ** 2 + (across / stretch) ** 2
    amplitude = (1 + k2 * (2 * np.pi * correlation_px / 4) ** 2) ** (-slope / 2)
    amplitude[0, 0] = 0
    white = rng.standard_normal(shape, dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=shape)
    return np.asarray(field / (field.std() + 1e-9), np.float32)


def _warped(rng: np.random.Generator, field: Field, strength_px: float, correlation_px: float) -> Field:
    """Bend a field by a smooth random displacement, which turns straight streaks into waves."""
    if strength_px <= 0:
        return field
    height, width = field.shape
    coarse = (height // 8 + 2, width // 8 + 2)
    moves = [cv2.resize(coloured_noise(rng, coarse, correlation_px / 8 * 2, slope=3), (width, height)) * strength_px for _ in range(2)]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(cv2.remap(field, x + moves[0], y + moves[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


def mottle(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any], strength: float) -> Field:
    """Wavy anisotropic mottle as two-beam pictures of thin foils show it, standard deviation `strength`, mean 0."""
    correlation = float(np.exp(rng.uniform(*np.log(config["correlation_px"]))))
    angle = rng.uniform(0, np.pi)
    field = coloured_noise(rng, shape, correlation, slope=draw(rng, config["slope"]), aspect=draw(rng, config["aspect"]), angle=angle)
    field = _warped(rng, field, draw(rng, config["warp"]) * correlation, 2.5 * correlation)
    if rng.random() < 0.5:
        # the strength itself varies over the foil
        patches = coloured_noise(rng, (shape[0] // 8 + 2, shape[1] // 8 + 2), 20, slope=3)
        field = field * np.clip(1 + 0.4 * cv2.resize(patches, shape[::-1]), 0.2, 2.2)
    if rng.random() < 0.3:
        # darker excursions are stronger than brighter ones, as where defects overlap out of focus
        field = np.where(field < 0, field * 1.3, field * 0.7)
    return np.asarray(strength * field / (field.std() + 1e-9), np.float32)


def paint(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any], *, strength: float, n_lines: int, nm_per_px: float) -> Field:
    """Transmission of the specimen without its defects.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    shape : tuple of int
        Height and width of the canvas, px.
    config : dict
        Section ``background`` of ``synth.toml``.
    strength : float
        Standard deviation of the mottle, fraction of the mean brightness.
    n_lines : int
        Line dislocations to draw.
    nm_per_px : float
        Width of a pixel, nm.

    Returns
    -------
    ndarray of float32, shape `shape`
        Around 1, never below 0.05.
    """
    canvas = 1 + mottle(rng, shape, config, strength)
    if rng.random() < config["grain_share"]:
        canvas += draw(rng, config["grain"]) * coloured_noise(rng, shape, draw(rng, config["grain_px"]), slope=3)
    for share, paint_one in (("fringe_share", _fringes), ("bend_share", _bend_contours), ("step_share", _steps)):
        if rng.random() < config[share]:
            canvas *= paint_one(rng, shape)
    canvas *= _ghosts(rng, shape, config)
    if n_lines:
        canvas *= _lines(rng, shape, config, n_lines, nm_per_px)
    _specks(rng, canvas, config)
    return np.asarray(np.clip(canvas, 0.05, 2.5), np.float32)


def _plane(shape: tuple[int, int], angle: float) -> Field:
    """Coordinate along `angle`, px, 0 in the middle."""
    y = np.arange(shape[0], dtype=np.float32)[:, None] - shape[0] / 2
    x = np.arange(shape[1], dtype=np.float32)[None, :] - shape[1] / 2
    return np.asarray(x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)), np.float32)


def _fringes(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Thickness fringes along a wedge: cos(2 pi t / xi_g), t linear with a slow waviness."""
    path = _plane(shape, rng.uniform(0, 2 * np.pi)) + 15 * coloured_noise(rng, shape, 150, slope=4)
    period = rng.uniform(60, 250)
    return np.asarray(1 + rng.uniform(0.05, 0.25) * np.cos(2 * np.pi * path / period + rng.uniform(0, 6.3)), np.float32)


def _bend_contours(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Dark bands where the bent foil meets the Bragg condition."""
    out = np.ones(shape, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        path = _plane(shape, rng.uniform(0, np.pi)) + 30 * coloured_noise(rng, shape, 200, slope=4) + rng.uniform(-0.5, 0.5) * max(shape)
        out *= 1 - rng.uniform(0.08, 0.45) * np.exp(-((path / rng.uniform(20, 150)) ** 2))
    return out


def _steps(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Foil steps and grain boundaries: another brightness beyond a line, often with a dark edge."""
    path = _plane(shape, rng.uniform(0, 2 * np.pi)) + rng.uniform(0, 25) * coloured_noise(rng, shape, 150, slope=4)
    path += rng.uniform(-0.4, 0.4) * max(shape)
    step = 1 + rng.uniform(-0.25, 0.25) / (1 + np.exp(np.clip(-path / rng.uniform(1, 8), -30, 30)))
    edge = 1 - rng.uniform(0, 0.5) * np.exp(-((path / rng.uniform(1.5, 6)) ** 2))
    return np.asarray(step * edge, np.float32)


def _ghosts(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any]) -> Field:
    """Blobs out of focus or out of contrast, too faint to be outlined by a person."""
    out = np.ones(shape, np.float32)
    for _ in range(int(rng.integers(config["ghosts"][0], config["ghosts"][1] + 1))):
        size = draw(rng, config["ghost_px"])
        half = int(1.6 * size) + 2
        cy, cx = int(rng.integers(shape[0])), int(rng.integers(shape[1]))
        y0, y1, x0, x1 = max(cy - half, 0), min(cy + half, shape[0]), max(cx - half, 0), min(cx + half, shape[1])
        y, x = np.ogrid[y0 - cy : y1 - cy, x0 - cx : x1 - cx]
        angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
        u, v = x * np.cos(angle) + y * np.sin(angle), (-x * np.sin(angle) + y * np.cos(angle)) / ratio
        out[y0:y1, x0:x1] *= 1 - draw(rng, config["ghost_contrast"]) * np.exp(-(u**2 + v**2) / (0.36 * size**2))
    return out


def _lines(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any], n: int, nm_per_px: float) -> Field:
    """Line dislocations: curves whose contrast oscillates with their depth, single or double."""
    layer = np.zeros(shape, np.uint8)
    for _ in range(n):
        length = rng.uniform(0.1, 1.1) * max(shape)
        points = _curve(rng, shape, length)
        width = max(1, round(draw(rng, config["line_width_nm"]) / nm_per_px * 0.6))
        contrast, depth, period = draw(rng, config["line_contrast"]), rng.uniform(0, 0.6), rng.uniform(20, 60) / nm_per_px
        along = np.arange(len(points) - 1) * 4 / period * 2 * np.pi + rng.uniform(0, 6.3)
        levels = 255 * contrast * (1 + depth * np.cos(along)) / (1 + depth)
        for shift in (0.0,) if rng.random() < 0.85 else (0.0, 1.8 * width + 2):
            fixed = np.round((points + shift) * 16).astype(np.int32)
            for a, b, level in zip(fixed[:-1], fixed[1:], levels, strict=True):
                cv2.line(layer, a.tolist(), b.tolist(), float(level), width, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(layer.astype(np.float32), (0, 0), rng.uniform(0.8, 1.8))
    return np.asarray(1 - soft / 255, np.float32)


def _curve(rng: np.random.Generator, shape: tuple[int, int], length: float) -> NDArray[np.float64]:
    """Points 4 px apart on a smooth curve."""
    steps = max(3, int(length / 4))
    bend = rng.normal(0, 0.02) + np.convolve(rng.normal(0, 0.12, steps + 20), np.ones(21) / 21, "valid")
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(bend)
    path = np.cumsum(4 * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    return np.asarray(path - path[steps // 2] + rng.uniform((0, 0), shape[::-1]))


def _specks(rng: np.random.Generator, canvas: Field, config: dict[str, Any]) -> None:
    """Dust: tiny black or white specks."""
    for _ in range(int(rng.integers(config["specks"][0], config["specks"][1] + 1))):
        y, x = int(rng.integers(canvas.shape[0] - 3)), int(rng.integers(canvas.shape[1] - 3))
        h, w = rng.integers(1, 4, 2)
        canvas[y : y + h, x : x + w] *= rng.choice([0.3, 0.5, 1.5])
