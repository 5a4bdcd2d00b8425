"""One frame laid on another: shrunken, band-passed, correlated, and the peak refined by least squares.

The correlation is plain, not phase-only: phase correlation gives every spatial frequency the same weight and so
locks to the noise pattern of the camera, which does not move; shrinking averages that pattern away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Floats32

_COARSE_PX, _FINE_PX = 25, 1.5
"""Band kept, in shrunken pixels: width of the box whose mean is taken off, and sigma of the Gaussian that
smooths."""
CLIP_SD = 2.5
"""Grey levels are clipped at this many standard deviations, so that burnt-in text counts no more than a
defect."""
_ITERATIONS = 2
"""Least-squares steps after the parabola through the peak, which is right to about 0.1 px."""

_LEAST_COMMON = 0.15
"""Two frames that show less than this share of a frame in common are not compared."""


@dataclass(slots=True)
class View:
    """A shrunken frame prepared for registration; `shift` is in shrunken pixels since the first frame."""

    band: Floats32
    weight: Floats32
    contrast: float
    shift: tuple[float, float]
    spectrum: Floats32 | None = field(default=None, init=False)


def shrink_factor(shape: tuple[int, int], size_px: int) -> int:
    """Power of two that brings the longer side near `size_px`."""
    return int(2 ** max(0, round(math.log2(max(shape) / size_px))))


def shrunken(image: NDArray[Any], factor: int) -> Floats32:
    """Means over `factor` x `factor` pixels, by halving.

    Many times faster than one step, and floats keep what averaging gains.
    """
    while factor > 1:
        height, width = image.shape
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        image, factor = image.astype(np.float32, copy=False), factor // 2
    return np.asarray(image, np.float32)


def fast_length(length: int) -> int:
    """Longest even length up to `length` with a fast Fourier transform."""
    while length > 2 and (length % 2 or cv2.getOptimalDFTSize(length) != length):
        length -= 1
    return length


def shrunken_field(field: BoolImage | None, shape: tuple[int, int], factor: int) -> Floats32:
    """1 where the whole shrunken pixel and its neighbours lie in the field, else 0."""
    if field is None:
        return np.ones(shape, np.float32)
    height, width = shape
    share = shrunken(field[: height * factor, : width * factor].astype(np.float32), factor)
    return np.asarray(cv2.erode((share > 0.999).astype(np.float32), np.ones((3, 3), np.uint8)), np.float32)


def band_pass(small: Floats32, weight: Floats32 | None) -> Floats32:
    """Smoothed frame less its local mean.

    With a field both means count only what lies in it, and the outside becomes 0.
    """
    size = (min(_COARSE_PX, small.shape[1] | 1), min(_COARSE_PX, small.shape[0] | 1))
    if weight is None:
        return np.asarray(cv2.GaussianBlur(small, (0, 0), _FINE_PX) - cv2.blur(small, size), np.float32)
    floor = np.float32(1e-3)
    inside = small * weight
    fine = cv2.GaussianBlur(inside, (0, 0), _FINE_PX) / np.maximum(
        cv2.GaussianBlur(weight, (0, 0), _FINE_PX), floor
    )
    coarse = cv2.blur(inside, size) / np.maximum(cv2.blur(weight, size), floor)
    return np.asarray((fine - coarse) * weight, np.float32)


def correlation_peak(key: View, view: View, near: tuple[float, float]) -> tuple[tuple[float, float], float]:
    """Shift with the highest correlation and its height in standard deviations; a rival close to `near` wins."""
    height, width = view.band.shape
    if view.spectrum is None:
        view.spectrum = _spectrum(view)
    if key.spectrum is None:
        key.spectrum = _spectrum(key)
    product = cv2.mulSpectrums(view.spectrum, key.spectrum, 0, conjB=True)
    surface = cv2.idft(product, flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
    spread = float(cv2.norm(surface)) / math.sqrt(surface.size)
    _, peak, _, (x, y) = cv2.minMaxLoc(surface)
    # Frames of a periodic structure have rivals to the true peak: close to the last shift a slightly lower
    # one is taken.
    columns = np.arange(round(near[0]) - 3, round(near[0]) + 4) % width
    rows = np.arange(round(near[1]) - 3, round(near[1]) + 4) % height
    around = surface[np.ix_(rows, columns)]
    row, column = np.unravel_index(int(np.argmax(around)), around.shape)
    if around[row, column] >= 0.9 * peak:
        peak, x, y = float(around[row, column]), int(columns[column]), int(rows[row])
    dx = _vertex(float(surface[y, x - 1]), peak, float(surface[y, (x + 1) % width]))
    dy = _vertex(float(surface[y - 1, x]), peak, float(surface[(y + 1) % height, x]))
    x, y = (x + width // 2) % width - width // 2, (y + height // 2) % height - height // 2
    return (x + dx, y + dy), (peak / spread if spread > 0 else 0.0)


def _vertex(before: float, peak: float, after: float) -> float:
    """Where between -0.5 and 0.5 the parabola through three neighbours is highest."""
    bend = before - 2.0 * peak + after
    return min(0.5, max(-0.5, 0.5 * (before - after) / bend)) if bend < 0 else 0.0


def _spectrum(view: View) -> Floats32:
    """Fourier transform under a window, without which the borders of the frame.

    Which do not move, would correlate at 0.
    """
    height, width = view.band.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    return np.asarray(cv2.dft(view.band * window), np.float32)


def refine(key: View, view: View, start: tuple[float, float]) -> tuple[tuple[float, float], float]:
    """Sub-pixel shift by Gauss-Newton least squares from `start`, and the correlation there.

    Solves ``view(p + s) = key(p)`` for ``s`` over the overlap of the two fields. Residuals are clipped, so
    that what does not move with the specimen, or changes, has little weight.
    """
    whole = math.floor(start[0]), math.floor(start[1])
    part = _overlap(key, view, whole)
    if part is None:
        return start, 0.0
    a, view_part, weight, gx, gy = part
    xx, xy, yy = _dot(gx, gx), _dot(gx, gy), _dot(gy, gy)
    determinant = xx * yy - xy * xy
    if determinant <= 1e-6 * max(xx, yy) ** 2:
        return start, 0.0
    x, y = start
    for _ in range(_ITERATIONS):
        b = _moved(view_part, x - whole[0], y - whole[1]) * weight
        residual = a - b
        clipped = np.clip(residual, -1.0, 1.0)
        # Clipping makes the step too short by about the share of pixels that were clipped.
        share = max(0.3, int(np.count_nonzero(clipped == residual)) / residual.size)
        rx, ry = _dot(gx, clipped) / share, _dot(gy, clipped) / share
        x += min(1.0, max(-1.0, (yy * rx - xy * ry) / determinant))
        y += min(1.0, max(-1.0, (xx * ry - xy * rx) / determinant))
    norm = math.sqrt(_dot(a, a) * _dot(b, b))
    quality = _dot(a, b) / norm if norm > 0 else 0.0
    if max(abs(x - start[0]), abs(y - start[1])) > 1.5:
        x, y = start
    return (x, y), min(1.0, max(0.0, quality))


def _moved(part: Floats32, dx: float, dy: float) -> Floats32:
    """Frame at ``p + (dx, dy)`` by four-point cubic interpolation.

    Less its border of 2 px (cv2.remap rounds to 1/32 px).
    """
    return np.asarray(
        cv2.sepFilter2D(part, cv2.CV_32F, _cubic_taps(dx), _cubic_taps(dy), anchor=(1, 1))[2:-2, 2:-2],
        np.float32,
    )


def _cubic_taps(t: float) -> NDArray[np.float64]:
    """Catmull-Rom weights of the points at -1, 0, 1, 2 for a place `t` between 0 and 1."""
    return 0.5 * np.array(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
    )


def _overlap(
    key: View, view: View, whole: tuple[int, int]
) -> tuple[Floats32, Floats32, Floats32, Floats32, Floats32] | None:
    """Cut out what both show of the specimen.

    Key, view with 2 px around it, weight, and the weighted slopes of the key.
    """
    height, width = key.band.shape
    x, y = whole
    rows, columns = slice(max(0, -y), min(height, height - y)), slice(max(0, -x), min(width, width - x))
    if rows.stop - rows.start < 16 or columns.stop - columns.start < 16:
        return None
    there = (slice(rows.start + y, rows.stop + y), slice(columns.start + x, columns.stop + x))
    a = key.band[rows, columns]
    core = (slice(2, -2), slice(2, -2))
    weight: Floats32 = np.ascontiguousarray((key.weight[rows, columns] * view.weight[there])[core])
    gx = (a[2:-2, 3:-1] - a[2:-2, 1:-3]) * (np.float32(0.5) * weight)
    gy = (a[3:-1, 2:-2] - a[1:-3, 2:-2]) * (np.float32(0.5) * weight)
    return a[core] * weight, np.ascontiguousarray(view.band[there]), weight, gx, gy


def _dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.vdot(a, b))


def far_fits(key: View, view: View, *, most: int = 6) -> list[tuple[tuple[float, float], float, float]]:
    """Shifts at which two frames may fit, however far apart, shrunken px, with correlation and its significance.

    Without the window, which hides what lies near the borders, and without the period of the transform; every
    shift is judged by what both frames show there. The significance is the correlation times the root of the
    number of independent places in what they have in common.
    """
    height, width = key.band.shape
    padded = [
        cv2.dft(cv2.copyMakeBorder(part, 0, height, 0, width, cv2.BORDER_CONSTANT))
        for part in (key.band * key.weight, view.band * view.weight, key.weight, view.weight)
    ]
    surface, common = (
        cv2.idft(cv2.mulSpectrums(b, a, 0, conjB=True), flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
        for a, b in ((padded[0], padded[1]), (padded[2], padded[3]))
    )
    score = np.where(
        common >= _LEAST_COMMON * height * width, surface / np.sqrt(np.maximum(common, 1.0)), 0.0
    )
    power = np.abs(np.fft.rfft2(key.band * key.weight)) ** 2
    total = float(power.sum())
    # half of the spectrum, whose squares scatter to twice those of its mean: a quarter
    grain_px = height * width * float((power**2).sum()) / total**2 / 4 if total > 0 else math.inf
    found = []
    for _ in range(most):
        _, peak, _, (x, y) = cv2.minMaxLoc(score)
        if peak <= 0:
            break
        start = (float((x + width) % (2 * width) - width), float((y + height) % (2 * height) - height))
        shift, quality = refine(key, view, start)
        found.append((shift, quality, quality * math.sqrt(float(common[y, x]) / grain_px)))
        rows, columns = np.arange(y - 3, y + 4) % (2 * height), np.arange(x - 3, x + 4) % (2 * width)
        score[np.ix_(rows, columns)] = 0.0
    return found
