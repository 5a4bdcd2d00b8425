"""Drift of the stage: how far the specimen has moved on the picture since the first frame.

A shrunken, band-passed picture is correlated with a keyframe, then the peak is refined by least squares. The
correlation is plain, not phase-only: phase correlation gives every spatial frequency the same weight and so
locks to the noise pattern of the camera, which does not move; shrinking averages that pattern away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Floats32
from insitrack.io.frames import Frame
from insitrack.tracker.link.settings import DriftConfig

_COARSE_PX, _FINE_PX = 25, 1.5
"""Band kept, in shrunken pixels: width of the box whose mean is taken off, and sigma of the Gaussian that
smooths."""
_CLIP_SD = 2.5
"""Grey levels are clipped at this many standard deviations, so that burnt-in text counts no more than a
defect."""
_ITERATIONS = 2
"""Least-squares steps after the parabola through the peak, which is right to about 0.1 px."""
_FEATURELESS = 0.3
"""A picture with less than this share of the keyframe's contrast shows no specimen: beam off, far out of
focus."""


class Drift(NamedTuple):
    """Where the specimen is.

    Parameters
    ----------
    shift_px : tuple of float
        How far the specimen has moved on the picture since the first frame, (x, y), px; x right, y down.
    quality : float
        Correlation with the keyframe where the two overlap, 0..1; 0 where the shift could not be measured and
        the last one is kept.
    """

    shift_px: tuple[float, float]
    quality: float


@dataclass(slots=True)
class _View:
    """A shrunken picture prepared for registration; `shift` is in shrunken pixels since the first frame."""

    band: Floats32
    weight: Floats32
    contrast: float
    shift: tuple[float, float]
    spectrum: Floats32 | None = field(default=None, init=False)


@dataclass(frozen=True, slots=True)
class DriftSnapshot:
    """Everything that is remembered of the drift after a frame; another estimator goes on from it.

    Parameters
    ----------
    key, previous : view or None
        Keyframe and last frame, prepared for registration.
    shift : tuple of float
        Total shift, shrunken pixels.
    fresh_quality : float or None
        Quality just after the last keyframe.
    n_lost : int
        Frames in a row that did not fit the keyframe.
    """

    key: _View | None
    previous: _View | None
    shift: tuple[float, float]
    fresh_quality: float | None
    n_lost: int


class DriftEstimator:
    """Follows the drift frame by frame; looks only back.

    Frames are registered against a keyframe, not against the frame before, so errors do not add up from frame
    to frame.

    Examples
    --------
    >>> picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8), (0, 0), 2)
    >>> estimator = DriftEstimator(DriftConfig())
    >>> [estimator.update(Frame(i, float(i), np.roll(picture, 3 * i, axis=1))).shift_px[0].__round__(1) for i in range(3)]
    [0.0, 3.0, 6.0]
    """

    def __init__(self, config: DriftConfig | None = None) -> None:
        self._config = config or DriftConfig()
        self._key: _View | None = None
        self._previous: _View | None = None
        self._shift = (0.0, 0.0)
        self._fresh_quality: float | None = None
        self._n_lost = 0
        self._weight: tuple[object, Floats32] | None = None

    def update(self, frame: Frame, field: BoolImage | None = None) -> Drift:
        """Take the next frame and tell where the specimen is.

        Parameters
        ----------
        frame : Frame
            The next frame; all frames of a run have one shape.
        field : ndarray of bool, shape (H, W), or None
            True where the picture shows the specimen; text, bars and borders, which do not drift, are False.

        Returns
        -------
        Drift
            Total shift since the first frame, and how well it is known.
        """
        factor = _shrink_factor(frame.shape, self._config.size_px)
        if not self._config.enabled or min(frame.shape) // factor < 16:
            return Drift((0.0, 0.0), 0.0)
        view = self._prepare(frame, field, factor)
        quality = self._register(view)
        return Drift((self._shift[0] * factor, self._shift[1] * factor), quality)

    def snapshot(self) -> DriftSnapshot:
        """Return everything that is remembered after the last frame."""
        key, previous = (None if view is None else replace(view) for view in (self._key, self._previous))
        return DriftSnapshot(key, previous, self._shift, self._fresh_quality, self._n_lost)

    def restore(self, snapshot: DriftSnapshot) -> None:
        """Go on from where another estimator was."""
        self._key, self._previous, self._shift = snapshot.key, snapshot.previous, snapshot.shift
        self._fresh_quality, self._n_lost = snapshot.fresh_quality, snapshot.n_lost

    def _prepare(self, frame: Frame, field: BoolImage | None, factor: int) -> _View:
        """Shrink the picture, keep the band of sizes that defects have, and give it unit contrast."""
        height, width = (_fast_length(length // factor) for length in frame.shape)
        small = _shrunken(frame.image[: height * factor, : width * factor], factor)
        if self._weight is None or self._weight[0] is not field or self._weight[1].shape != small.shape:
            self._weight = (field, _shrunken_field(field, (height, width), factor))
        weight = self._weight[1]
        band = _band_pass(small, weight if field is not None else None)
        inside = band if field is None else band[weight > 0]
        contrast = float(inside.std()) if inside.size else 0.0
        if contrast > 0:
            band *= 1.0 / contrast
            np.clip(band, -_CLIP_SD, _CLIP_SD, out=band)
        return _View(band, weight, contrast, self._shift)

    def _register(self, view: _View) -> float:
        """Find the view's shift, decide on keyframes, and return the quality."""
        key, previous = self._key, self._previous
        self._previous = view
        if key is None or key.band.shape != view.band.shape:
            self._key, self._fresh_quality = (view if view.contrast > 0 else None), None
            return 1.0 if view.contrast > 0 else 0.0
        found = self._measure(key, view)
        if found is None:
            return self._lost(previous, view)
        (x, y), quality = found
        self._shift = view.shift = (key.shift[0] + x, key.shift[1] + y)
        self._n_lost = 0
        if self._fresh_quality is None:
            self._fresh_quality = quality
        height, width = view.band.shape
        moved = max(abs(x) / width, abs(y) / height)
        if moved > self._config.refresh_shift or quality < self._config.refresh_quality * self._fresh_quality:
            self._key, self._fresh_quality = view, None
        return quality

    def _lost(self, previous: _View | None, view: _View) -> float:
        """Keep the last shift; after some frames that agree among themselves take the new view as it is."""
        blank = self._key is not None and view.contrast < _FEATURELESS * self._key.contrast
        found = None if blank or previous is None else self._measure(previous, view)
        if found is None or previous is None:
            self._n_lost = 0
            return 0.0
        (x, y), _ = found
        view.shift = (previous.shift[0] + x, previous.shift[1] + y)
        self._n_lost += 1
        if self._n_lost >= self._config.lost_frames:
            self._shift, self._key, self._fresh_quality, self._n_lost = view.shift, view, None, 0
        return 0.0

    def _measure(self, key: _View, view: _View) -> tuple[tuple[float, float], float] | None:
        """Shift of `view` against `key`, shrunken px, and the correlation there.

        None where no peak can be believed.
        """
        if view.contrast < _FEATURELESS * key.contrast:
            return None
        near = (view.shift[0] - key.shift[0], view.shift[1] - key.shift[1])
        start, significance = _correlation_peak(key, view, near)
        if significance < self._config.min_significance:
            return None
        shift, quality = _refine(key, view, start)
        return (shift, quality) if quality > 0 else None


def _shrink_factor(shape: tuple[int, int], size_px: int) -> int:
    """Power of two that brings the longer side near `size_px`."""
    return int(2 ** max(0, round(math.log2(max(shape) / size_px))))


def _shrunken(image: NDArray[Any], factor: int) -> Floats32:
    """Means over `factor` x `factor` pixels, by halving.

    Many times faster than one step, and floats keep what averaging gains.
    """
    while factor > 1:
        height, width = image.shape
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        image, factor = image.astype(np.float32, copy=False), factor // 2
    return np.asarray(image, np.float32)


def _fast_length(length: int) -> int:
    """Longest even length up to `length` with a fast Fourier transform."""
    while length > 2 and (length % 2 or cv2.getOptimalDFTSize(length) != length):
        length -= 1
    return length


def _shrunken_field(field: BoolImage | None, shape: tuple[int, int], factor: int) -> Floats32:
    """1 where the whole shrunken pixel and its neighbours lie in the field, else 0."""
    if field is None:
        return np.ones(shape, np.float32)
    height, width = shape
    share = _shrunken(field[: height * factor, : width * factor].astype(np.float32), factor)
    return np.asarray(cv2.erode((share > 0.999).astype(np.float32), np.ones((3, 3), np.uint8)), np.float32)


def _band_pass(small: Floats32, weight: Floats32 | None) -> Floats32:
    """Smoothed picture less its local mean.

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


def _correlation_peak(
    key: _View, view: _View, near: tuple[float, float]
) -> tuple[tuple[float, float], float]:
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
    # Pictures of a periodic structure have rivals to the true peak: close to the last shift a slightly lower
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


def _spectrum(view: _View) -> Floats32:
    """Fourier transform under a window, without which the borders of the picture.

    Which do not move, would correlate at 0.
    """
    height, width = view.band.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    return np.asarray(cv2.dft(view.band * window), np.float32)


def _refine(key: _View, view: _View, start: tuple[float, float]) -> tuple[tuple[float, float], float]:
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
    """Picture at ``p + (dx, dy)`` by four-point cubic interpolation.

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
    key: _View, view: _View, whole: tuple[int, int]
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
