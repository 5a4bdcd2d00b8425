"""What is not a defect in a synthetic movie but may be taken for one: lines, arcs, ghosts, clouds, dust."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats32


def draw(rng: np.random.Generator, limits: Any) -> float:
    """Draw one number uniformly from ``[low, high]``."""
    return float(rng.uniform(limits[0], limits[1]))


def draw_log(rng: np.random.Generator, limits: Any) -> float:
    """Draw one number from ``[low, high]``, uniformly in its logarithm; 0 < low."""
    return float(np.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]))))


def draw_count(rng: np.random.Generator, limits: Any) -> int:
    """Draw one whole number uniformly from ``[low, high]``, both included."""
    return int(rng.integers(limits[0], limits[1] + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line on the specimen, a background to the defects.

    Parameters
    ----------
    points : ndarray of float64, shape (K, 2)
        Its course, px (x, y) on the canvas.
    levels : ndarray of float64, shape (K - 1,)
        Contrast of each piece, fraction of the brightness.
    width_px : float
        Thickness.
    smear_px : tuple of float
        Extent (x, y) of the fading band on one side: an inclined line or a small boundary seen obliquely; (0,
        0) for none.
    twin_px : float
        Distance of a second line beside it; 0 for none.
    soft : int
        Layer it is drawn in, each with its own blur.
    """

    points: NDArray[np.float64]
    levels: NDArray[np.float64]
    width_px: float
    smear_px: tuple[float, float] = (0.0, 0.0)
    twin_px: float = 0.0
    soft: int = 0


def curves(
    rng: np.random.Generator,
    shape: tuple[int, int],
    config: dict[str, Any],
    *,
    lines: int,
    arcs: int,
    nm_per_px: float,
) -> list[Curve]:
    """Draw the courses of long lines and of short bent pieces.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the numbers.
    shape : tuple of int
        Height and width of the canvas, px.
    config : dict
        Section ``background`` of ``synth.toml``.
    lines, arcs : int
        How many.
    nm_per_px : float
        Width of a pixel, nm.

    Returns
    -------
    list of Curve
    """
    out = [
        _curve(
            rng, shape, config, draw(rng, config["line_length"]) * max(shape), rng.normal(0, 1.0), nm_per_px
        )
        for _ in range(lines)
    ]
    for _ in range(arcs):
        length = draw_log(rng, config["arc_nm"]) / nm_per_px
        turn = draw(rng, config["arc_turn"]) * rng.choice([-1, 1])
        out.append(_curve(rng, shape, config, min(length, 0.8 * max(shape)), turn, nm_per_px))
    return out


def _curve(
    rng: np.random.Generator,
    shape: tuple[int, int],
    config: dict[str, Any],
    length_px: float,
    turn: float,
    nm_per_px: float,
) -> Curve:
    """Draw one smooth curve that turns by `turn` rad in all, with depth-oscillating contrast."""
    width = max(1.0, 0.6 * draw(rng, config["line_width_nm"]) / nm_per_px)
    step = max(3.0, min(8.0, 0.7 * width))
    n = max(5, int(length_px / step))
    wander = np.convolve(rng.normal(0, 0.03 * step, n + 20), np.ones(21) / 21, "valid")
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turn / n + wander[:n])
    path = np.cumsum(step * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    points = path - path[n // 2] + rng.uniform((0, 0), shape[::-1])
    contrast, deep = draw(rng, config["line_contrast"]), draw(rng, config["line_depth"])
    if rng.random() < config["dashed_share"]:
        deep = 1.0
    along = np.arange(n - 1) * step / (
        draw(rng, config["line_period_nm"]) / nm_per_px
    ) * 2 * np.pi + rng.uniform(0, 6.3)
    levels = contrast * (1 + deep * np.cos(along)) / (1 + deep)
    if rng.random() < config["taper_share"]:
        # the ends leave through the surfaces and fade
        places = np.linspace(0, 1, n - 1)
        levels *= np.clip(np.minimum(places, 1 - places) * rng.uniform(2.5, 9) + 0.1, 0, 1)
    smear = (0.0, 0.0)
    if rng.random() < config["smear_share"]:
        reach, angle = draw(rng, config["smear_nm"]) / nm_per_px, rng.uniform(0, 2 * np.pi)
        smear = (reach * math.cos(angle), reach * math.sin(angle))
    twin = 1.8 * width + 2 if rng.random() < config["twin_share"] else 0.0
    return Curve(
        points=points, levels=levels, width_px=width, smear_px=smear, twin_px=twin, soft=int(rng.integers(3))
    )


def paint_curves(shape: tuple[int, int], found: list[Curve], blur_px: float) -> Floats32:
    """Transmission behind the curves: 1 where there is none; `blur_px` is the blur of the sharpest layer, px."""
    out = np.ones(shape, np.float32)
    for soft in range(3):
        layer = np.zeros(shape, np.uint8)
        for curve in found:
            if curve.soft == soft:
                _paint_curve(layer, curve)
        if layer.any():
            blurred = cv2.GaussianBlur(layer, (0, 0), blur_px * (1 + 0.7 * soft))
            out *= cv2.LUT(blurred, (1 - np.arange(256) / 255).astype(np.float32))
    return out


def _paint_curve(layer: NDArray[np.uint8], curve: Curve) -> None:
    """Draw a curve into a layer of contrasts, 255 for complete extinction."""
    thick = max(1, round(curve.width_px))
    reach = math.hypot(*curve.smear_px)
    copies = min(8, int(reach / max(2.0, 0.7 * thick)))
    for k in range(copies, 0, -1):
        shifted = curve.points + np.array(curve.smear_px) * k / copies
        level = 0.5 * float(np.median(curve.levels)) * (1 - k / (copies + 1))
        cv2.polylines(
            layer,
            [np.round(shifted * 16).astype(np.int32)],
            False,
            int(255 * level),
            thick + 1,
            cv2.LINE_AA,
            4,
        )
    for shift in (0.0, curve.twin_px) if curve.twin_px else (0.0,):
        fixed = np.round((curve.points + shift) * 16).astype(np.int32).tolist()
        for a, b, level in zip(fixed[:-1], fixed[1:], (255 * curve.levels).tolist(), strict=True):
            cv2.line(layer, a, b, level, thick, cv2.LINE_AA, 4)


def paint_ghosts(
    rng: np.random.Generator, shape: tuple[int, int], config: dict[str, Any], magnified: float
) -> Floats32:
    """Blobs and rings out of focus or out of contrast, too faint to be outlined, and large soft clouds."""
    out = np.ones(shape, np.float32)
    for _ in range(draw_count(rng, config["ghosts"])):
        _ghost(
            rng,
            out,
            draw(rng, config["ghost_px"]) * magnified,
            draw(rng, config["ghost_contrast"]),
            ring=rng.random() < 0.3,
        )
    if rng.random() < config["cloud_share"]:
        for _ in range(draw_count(rng, config["clouds"])):
            size, contrast = draw(rng, config["cloud_px"]), draw(rng, config["cloud_contrast"])
            # a cloud is a heap of softer ones: no edge anywhere
            for _ in range(4):
                _ghost(rng, out, size * rng.uniform(0.5, 1), contrast / 2.5, ring=False, spread=0.4 * size)
    return out


def _ghost(
    rng: np.random.Generator, out: Floats32, size: float, contrast: float, *, ring: bool, spread: float = 0.0
) -> None:
    """Multiply one soft blob or ring into a field, anywhere.

    `spread` keeps nothing but widens the choice beyond the border.
    """
    half = int(1.6 * size) + 2
    cy, cx = (int(rng.uniform(-spread, side + spread)) for side in out.shape)
    y0, y1, x0, x1 = (
        max(cy - half, 0),
        min(cy + half, out.shape[0]),
        max(cx - half, 0),
        min(cx + half, out.shape[1]),
    )
    if y1 <= y0 or x1 <= x0:
        return
    y, x = np.ogrid[y0 - cy : y1 - cy, x0 - cx : x1 - cx]
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = x.astype(np.float32), y.astype(np.float32)
    u, v = x * c + y * s, (y * c - x * s) / np.float32(ratio)
    rho2 = (u * u + v * v) / np.float32(size * size)
    profile = np.exp(-(((np.sqrt(rho2) - 0.5) / 0.22) ** 2)) if ring else np.exp(-rho2 / 0.36)
    out[y0:y1, x0:x1] *= 1 - np.float32(contrast) * profile


def paint_specks(rng: np.random.Generator, canvas: Floats32, config: dict[str, Any]) -> None:
    """Dust: tiny black or white specks, in place."""
    for _ in range(draw_count(rng, config["specks"])):
        y, x = int(rng.integers(canvas.shape[0] - 3)), int(rng.integers(canvas.shape[1] - 3))
        h, w = rng.integers(1, 4, 2)
        canvas[y : y + h, x : x + w] *= rng.choice([0.3, 0.5, 1.5])
