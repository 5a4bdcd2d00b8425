"""The specimen behind the defects: mottle, fringes, contours, boundaries, holes, milling stripes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import Floats32
from insitrack.io.synth.distractors import Curve, draw, draw_log, paint_curves, paint_ghosts, paint_specks


@dataclass(frozen=True, slots=True)
class Specimen:
    """Transmission without the defects, and how much of a defect's contrast is left at each place.

    Parameters
    ----------
    canvas : ndarray of float32, shape (H, W)
        Transmission, around 1.
    veil : ndarray of float32, shape (H, W), or None
        Factor on the contrast of defects: little of it is left in a grain of another orientation, nothing in
        a hole. None: 1 everywhere.
    """

    canvas: Floats32
    veil: Floats32 | None


def coloured_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    correlation_px: float,
    *,
    slope: float = 2.0,
    aspect: float = 1.0,
    angle: float = 0.0,
) -> Floats32:
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


def _warped(rng: np.random.Generator, field: Floats32, strength_px: float, correlation_px: float) -> Floats32:
    """Bend a field by a smooth random displacement, which turns straight streaks into waves."""
    if strength_px <= 0:
        return field
    height, width = field.shape
    coarse = (height // 8 + 2, width // 8 + 2)
    moves = [
        cv2.resize(coloured_noise(rng, coarse, correlation_px / 8 * 2, slope=3), (width, height))
        * strength_px
        for _ in range(2)
    ]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(field, x + moves[0], y + moves[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32
    )


def mottle(
    rng: np.random.Generator,
    shape: tuple[int, int],
    config: dict[str, Any],
    strength: float,
    magnified: float = 1.0,
) -> Floats32:
    """Wavy anisotropic mottle as in two-beam images of thin foils; mean 0, standard deviation `strength`."""
    correlation = draw_log(rng, config["correlation_px"]) * magnified
    angle = rng.uniform(0, np.pi)
    field = coloured_noise(
        rng,
        shape,
        correlation,
        slope=draw(rng, config["slope"]),
        aspect=draw(rng, config["aspect"]),
        angle=angle,
    )
    field = _warped(rng, field, draw(rng, config["warp"]) * correlation, 2.5 * correlation)
    if rng.random() < 0.5:
        # the strength itself varies over the foil
        patches = coloured_noise(rng, (shape[0] // 8 + 2, shape[1] // 8 + 2), 20, slope=3)
        field = field * np.clip(1 + 0.4 * cv2.resize(patches, shape[::-1]), 0.2, 2.2)
    if rng.random() < 0.3:
        # darker excursions are stronger than brighter ones, as where defects overlap out of focus
        field = np.where(field < 0, field * 1.3, field * 0.7)
    return np.asarray(strength * field / (field.std() + 1e-9), np.float32)


def paint(
    rng: np.random.Generator,
    shape: tuple[int, int],
    config: dict[str, Any],
    *,
    strength: float,
    lines: list[Curve],
    magnified: float = 1.0,
) -> Specimen:
    """Paint the specimen without its defects.

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
    lines : list of Curve
        Lines and arcs to draw.
    magnified : float
        Pixels per resolved pixel: how far the image is blown up beyond what it resolves.

    Returns
    -------
    Specimen
        Its transmission is never below 0.05.
    """
    canvas = 1 + mottle(rng, shape, config, strength, magnified)
    if rng.random() < config["grain_share"]:
        canvas += draw(rng, config["grain"]) * coloured_noise(
            rng, shape, draw(rng, config["grain_px"]) * magnified, slope=3
        )
    for share, paint_one in (
        ("fringe_share", _fringes),
        ("bend_share", _bend_contours),
        ("step_share", _steps),
        ("curtain_share", _curtain),
    ):
        if rng.random() < config[share]:
            canvas *= paint_one(rng, shape, config)
    canvas *= paint_ghosts(rng, shape, config, magnified)
    if lines:
        canvas *= paint_curves(shape, lines, rng.uniform(0.8, 1.5) * magnified)
    veil = None
    if rng.random() < config["other_grain_share"]:
        veil = _other_grain(rng, canvas, config)
    elif rng.random() < config["hole_share"]:
        veil = _hole(rng, canvas, config)
    paint_specks(rng, canvas, config)
    return Specimen(np.asarray(np.clip(canvas, 0.05, 2.5), np.float32), veil)


def _plane(shape: tuple[int, int], angle: float) -> Floats32:
    """Coordinate along `angle`, px, 0 in the middle."""
    y = np.arange(shape[0], dtype=np.float32)[:, None] - shape[0] / 2
    x = np.arange(shape[1], dtype=np.float32)[None, :] - shape[1] / 2
    return np.asarray(x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)), np.float32)


def _waves(rng: np.random.Generator, shape: tuple[int, int], length_px: float) -> Floats32:
    """Slow field of unit variance, made small and blown up: it has no detail to lose."""
    coarse = (shape[0] // 8 + 2, shape[1] // 8 + 2)
    return np.asarray(
        cv2.resize(
            coloured_noise(rng, coarse, length_px / 8, slope=4), shape[::-1], interpolation=cv2.INTER_LINEAR
        ),
        np.float32,
    )


def _border(
    rng: np.random.Generator, shape: tuple[int, int], *, reach: float, waviness_px: float
) -> Floats32:
    """Signed distance from a wavy line across the canvas, px.

    The line stays within `reach` of the side length from the middle.
    """
    path = _plane(shape, rng.uniform(0, 2 * np.pi)) + rng.uniform(0, waviness_px) * _waves(rng, shape, 150)
    return np.asarray(path + rng.uniform(-reach, reach) * max(shape), np.float32)


def _fringes(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any]) -> Floats32:
    """Thickness fringes along a wedge: cos(2 pi t / xi_g), t linear with a slow waviness."""
    path = _plane(shape, rng.uniform(0, 2 * np.pi)) + 15 * _waves(rng, shape, 150)
    period = draw(rng, config["fringe_px"])
    return np.asarray(
        1
        + draw(rng, config["fringe"])
        * np.cos(np.float32(2 * np.pi / period) * path + np.float32(rng.uniform(0, 6.3))),
        np.float32,
    )


def _bend_contours(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any]) -> Floats32:
    """Dark bands where the bent foil meets the Bragg condition."""
    out = np.ones(shape, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        path = (
            _plane(shape, rng.uniform(0, np.pi))
            + 30 * _waves(rng, shape, 200)
            + rng.uniform(-0.5, 0.5) * max(shape)
        )
        out *= 1 - np.float32(draw(rng, config["bend"])) * np.exp(
            -((path / np.float32(draw(rng, config["bend_px"]))) ** 2)
        )
    return out


def _steps(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any]) -> Floats32:
    """Foil steps and grain boundaries.

    The brightness changes at a line, often with a dark edge or fringes along it.
    """
    path = _border(rng, shape, reach=0.4, waviness_px=25)
    step = 1 + rng.uniform(-0.25, 0.25) / (1 + np.exp(np.clip(-path / rng.uniform(1, 8), -30, 30)))
    edge = 1 - rng.uniform(0, 0.5) * np.exp(-((path / rng.uniform(1.5, 6)) ** 2))
    if rng.random() < 0.3:
        # an inclined boundary: fringes that end where it leaves the foil
        band = (path > 0) & (path < rng.uniform(25, 90))
        edge = edge * (
            1
            - band
            * rng.uniform(0.1, 0.4)
            * (0.5 + 0.5 * np.cos(path * np.float32(2 * np.pi / rng.uniform(8, 25))))
        )
    return np.asarray(step * edge, np.float32)


def _curtain(rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any]) -> Floats32:
    """Parallel stripes that ion milling leaves."""
    path = _plane(shape, rng.uniform(0, np.pi))
    reach = int(np.hypot(*shape) / 2) + 2
    stripes = cv2.GaussianBlur(
        rng.standard_normal((1, 2 * reach + 1)).astype(np.float32),
        (0, 0),
        draw_log(rng, config["curtain_px"]),
    )[0]
    stripes *= draw(rng, config["curtain"]) / (stripes.std() + 1e-9)
    return np.asarray(1 + stripes[(path + reach).astype(np.int32)], np.float32)


def _other_grain(rng: np.random.Generator, canvas: Floats32, config: dict[str, Any]) -> Floats32:
    """Paint a grain of another orientation beyond a boundary, in place.

    It has another brightness, and its defects hardly any contrast.
    """
    path = _border(rng, canvas.shape, reach=0.45, waviness_px=20)
    beyond = 1 / (1 + np.exp(np.clip(-path / np.float32(rng.uniform(1, 5)), -30, 30)))
    edge = 1 - rng.uniform(0, 0.6) * np.exp(-((path / rng.uniform(1.5, 7)) ** 2))
    canvas *= (1 + beyond * (draw(rng, config["other_grain"]) - 1)) * edge
    return np.asarray(1 - beyond * (1 - draw(rng, config["other_grain_contrast"])), np.float32)


def _hole(rng: np.random.Generator, canvas: Floats32, config: dict[str, Any]) -> Floats32:
    """Paint the edge of the foil, in place.

    Beyond it is vacuum, bright and without structure; along it runs a Fresnel fringe, and the foil thins
    towards it.
    """
    path = _border(rng, canvas.shape, reach=0.45, waviness_px=40)
    beyond = 1 / (1 + np.exp(np.clip(-path / np.float32(rng.uniform(1, 4)), -30, 30)))
    wedge = 1 + rng.uniform(0, 0.35) * np.exp(np.minimum(path, 0) / np.float32(rng.uniform(20, 150)))
    fringe = rng.uniform(-0.3, 0.3) * np.exp(-(((path + 4) / rng.uniform(2, 5)) ** 2))
    foil = canvas * (wedge + fringe)
    canvas[:] = foil + beyond * (draw(rng, config["hole"]) + 0.2 * (canvas - 1) - foil)
    return np.asarray(1 - beyond, np.float32)
