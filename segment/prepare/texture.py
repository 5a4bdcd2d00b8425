"""What an image is made of, in a few dozen figures that hardly depend on what is in it.

How its power is shared among scales, how it is spread over the image, how sharp and how straight its edges
are, whether it is flat or periodic: micrographs of defects in a foil resemble each other in these, and lattice
fringes, surfaces, photographs or text do not resemble them.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from insitrack.io.arrays import BoolImage, Floats, GreyImage, Ints

LONGEST_SIDE_PX = 768
"""Larger images are shrunk to this: the figures are of structures of 2 px and more of what is left."""
LEAST_SIDE_PX = 64
"""Smaller images hold too little to tell."""

_BANDS = 6
_BLOCK = 8
_FLAT = 1.6  # contrast of a block without structure, as a multiple of what noise of the pixels explains
_LARGEST, _LEAST_AREA, _CLEAR_STEP = 12, 4, 0.15
"""Flat areas that are looked at, their least size in blocks, and the step at the rim of a pore, of the grey range."""
_PATCH = 128  # side of the patches whose spectra are averaged, px
_LONGEST_PERIOD = 0.04  # cycles per pixel: 25 px
_SHARP_PEAK = 12.0  # times the power of its ring, above which a bin of the spectrum is a peak
_TINY = 1e-9

NAMES = (
    *(f"share of power in octave {k}" for k in range(_BANDS)),
    *(f"heavy tails in octave {k}" for k in range(_BANDS)),
    *(f"asymmetry in octave {k}" for k in range(_BANDS)),
    *(f"unevenness in octave {k}" for k in range(4)),
    *(f"alike in octaves {k} and {k + 1}" for k in range(4)),
    "straightness, fine",
    "straightness, coarse",
    "one direction",
    "noise",
    "two grey levels",
    "heavy tails of grey levels",
    "asymmetry of grey levels",
    "one grey level",
    "spread of the darker part",
    "spread of the brighter part",
    "sharp edges",
    "few edges",
    "flat area",
    "largest flat area",
    "flat area at an end of the grey levels",
    "flat area with a step at its rim",
    "flat areas with steps at their rims",
    "flat areas and the step at the rim of the largest",
    "spectral peak",
    "power in peaks",
    "spectral peak of single patches",
    "bump of the spectrum",
)
"""Names of the figures, in order."""


def texture(image: GreyImage, field: BoolImage | None = None) -> Floats | None:
    """Figures of an image, in the order of `NAMES`.

    None of them changes when grey levels are multiplied, shifted or inverted.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W)
        The image.
    field : ndarray of bool, shape (H, W), or None
        True where it shows the specimen; None: everywhere.

    Returns
    -------
    ndarray of float64, shape (F,), or None
        None where the image is smaller than `LEAST_SIDE_PX`, of one grey level, or shows too little.
    """
    grey, inside = _standard(image, field)
    if min(grey.shape) < LEAST_SIDE_PX or np.count_nonzero(inside) < inside.size // 8:
        return None
    values = grey[inside]
    low, high = np.percentile(values[::7], [1, 99])
    if high - low <= _TINY:
        return None
    grey = (grey - np.float32(values.mean())) / np.float32(high - low)
    _fill(grey, inside)
    noise = _noise(grey, inside)
    soft = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    within = cv2.resize(inside.view(np.uint8), soft.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    figures = [
        *_octaves(grey, inside),
        *_directions(soft, within),
        np.log(max(noise, 1e-4)),
        *_grey_levels(soft, within),
        *_edges(soft, within),
        *_flat(grey, inside, noise),
        *_periodic(grey, inside),
    ]
    return np.array(figures, np.float64)


def _standard(image: GreyImage, field: BoolImage | None) -> tuple[NDArray[np.float32], BoolImage]:
    """Cut an image to where it shows the specimen, and shrink it to the size that is looked at."""
    rows = columns = slice(None)
    if field is not None:
        rows, columns = (_extent(field.mean(axis=axis)) for axis in (1, 0))
        field = np.ascontiguousarray(field[rows, columns])
    part = np.ascontiguousarray(image[rows, columns])
    shrink = max(LONGEST_SIDE_PX / max(part.shape), LEAST_SIDE_PX / min(part.shape))
    if shrink >= 1:
        return part.astype(np.float32), np.ones(part.shape, bool) if field is None else field.copy()
    size = (round(part.shape[1] * shrink), round(part.shape[0] * shrink))
    grey = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    if field is None:
        return grey, np.ones(grey.shape, bool)
    shown = cv2.resize(field.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return grey, shown > 0


def _extent(share: Floats) -> slice:
    """From the first to the last row or column of which a third shows the specimen; all if none does."""
    shown = np.flatnonzero(share > 1 / 3)
    return slice(int(shown[0]), int(shown[-1]) + 1) if len(shown) else slice(None)


def _fill(grey: NDArray[np.float32], inside: BoolImage) -> None:
    """Put the mean of what is around where no specimen is shown, so that no edge is left there; in place."""
    if inside.all():
        return
    size = (max(1, grey.shape[1] // 16), max(1, grey.shape[0] // 16))
    weight = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(grey * inside, size, interpolation=cv2.INTER_AREA)
    near = cv2.GaussianBlur(small, (0, 0), 2.0) / (cv2.GaussianBlur(weight, (0, 0), 2.0) + np.float32(1e-3))
    full = cv2.resize(near, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    grey[~inside] = full[~inside]


def _noise(grey: NDArray[np.float32], inside: BoolImage) -> float:
    """Return the standard deviation of what differs from pixel to pixel."""
    rows = grey[::5]
    second = np.abs(rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2])
    return float(1.4826 * np.median(second[inside[::5, 1:-1]]) / np.sqrt(6.0))


def _moments(values: NDArray[np.float32]) -> tuple[float, float, float]:
    """Variance, asymmetry without its sign, and logarithm of the kurtosis."""
    square = values * values
    variance = float(square.mean()) + 1e-12
    asymmetry = abs(float((square * values).mean())) / variance**1.5
    return variance, np.log1p(asymmetry), np.log(float((square * square).mean()) / variance**2 + _TINY)


def _octaves(grey: NDArray[np.float32], inside: BoolImage) -> list[float]:
    """Power, tails and asymmetry of octaves; how uneven their power is, and how alike in neighbouring ones."""
    power, tails, skew, maps, shown = [], [], [], [], []
    now = grey
    for k in range(_BANDS):
        lower = cv2.pyrDown(now)
        band = now - cv2.pyrUp(lower, dstsize=now.shape[::-1])
        within = cv2.resize(inside.view(np.uint8), band.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        variance, asymmetry, kurtosis = _moments(band[within] if within.any() else band)
        power.append(variance)
        tails.append(kurtosis)
        skew.append(asymmetry)
        if k < 5:  # local power over eight pixels of the octave
            size = (max(2, band.shape[1] // _BLOCK), max(2, band.shape[0] // _BLOCK))
            shown.append(cv2.resize(within.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.9)
            maps.append(
                np.log(cv2.resize(band * band, size, interpolation=cv2.INTER_AREA) + 1e-3 * variance + 1e-12)
            )
        now = lower
    uneven = [
        float(part[known].std()) if known.any() else 0.0 for part, known in zip(maps[:4], shown, strict=False)
    ]
    alike = []
    for (fine, _), (coarse, known) in pairwise(zip(maps, shown, strict=True)):
        if not known.any():
            alike.append(0.0)
            continue
        small = cv2.resize(fine, coarse.shape[::-1], interpolation=cv2.INTER_AREA)
        a, b = small[known] - small[known].mean(), coarse[known] - coarse[known].mean()
        alike.append(float((a * b).mean() / (a.std() * b.std() + _TINY)))
    total = sum(power)
    return [*(float(np.log(p / total + 1e-6)) for p in power), *tails, *skew, *uneven, *alike]


def _directions(soft: NDArray[np.float32], within: BoolImage) -> list[float]:
    """How straight structures are over a short and a longer distance, and over the whole image."""
    smooth = cv2.GaussianBlur(soft, (0, 0), 1.0)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    parts = np.stack([dx * dx - dy * dy, 2 * dx * dy, dx * dx + dy * dy], axis=-1) * within[..., None]
    out = []
    for shrink in (4, 16):
        size = (max(1, soft.shape[1] // shrink), max(1, soft.shape[0] // shrink))
        a, b, both = np.moveaxis(cv2.resize(parts, size, interpolation=cv2.INTER_AREA), -1, 0)
        out.append(float(np.hypot(a, b).sum() / (both.sum() + _TINY)))
    a, b, both = parts.reshape(-1, 3).sum(axis=0).tolist()
    return [*out, float(np.hypot(a, b) / (both + _TINY))]


def _grey_levels(soft: NDArray[np.float32], within: BoolImage) -> list[float]:
    """How far the grey levels fall into two, or into one, and their tails."""
    values = soft[within]
    counts, ends = np.histogram(values, 64, (-1.2, 1.2))
    share, middle = counts / max(1, counts.sum()), (ends[1:] + ends[:-1]) / 2
    below, first = np.cumsum(share), np.cumsum(share * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (first[-1] * below - first) ** 2 / (below * (1 - below))
    cut = int(np.nanargmax(np.where(np.isfinite(between), between, -1)))
    variance, asymmetry, kurtosis = _moments(values - values.mean())
    dark, bright = values[values <= ends[cut + 1]], values[values > ends[cut + 1]]
    gap = abs(float(bright.mean() - dark.mean())) + _TINY if len(dark) and len(bright) else 1.0
    spreads = sorted(float(part.std()) / gap if len(part) else 0.0 for part in (dark, bright))
    return [
        float(np.nan_to_num(between[cut]) / variance),
        kurtosis,
        asymmetry,
        float(np.log(share.max())),
        *spreads,
    ]


def _edges(soft: NDArray[np.float32], within: BoolImage) -> list[float]:
    """How sharp the sharpest edges are, and by how much they stand out."""
    slope = cv2.magnitude(
        cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=1 / 8)
    )
    few, most = np.percentile(slope[within][::3], [60, 99.5])
    return [float(np.log(most + 1e-4)), float(np.log((most + 1e-4) / (few + 1e-4)))]


def _flat(grey: NDArray[np.float32], inside: BoolImage, noise: float) -> list[float]:
    """Share of blocks without structure and of the largest area of them, their grey level, and the steps at their rims."""
    height, width = (side // _BLOCK for side in grey.shape)
    part = grey[: height * _BLOCK, : width * _BLOCK]
    size = (width, height)
    mean = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    square = cv2.resize(part * part, size, interpolation=cv2.INTER_AREA)
    known = (
        cv2.resize(
            inside[: height * _BLOCK, : width * _BLOCK].view(np.uint8) * np.uint8(255),
            size,
            interpolation=cv2.INTER_AREA,
        )
        == 255
    )
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    # what a codec leaves of noise is not the same everywhere: the quietest blocks tell too
    quiet = float(np.percentile(spread[known], 4)) if known.any() else 0.0
    flat = known & (spread < _FLAT * max(noise, quiet, 0.004))
    n_known = max(1, int(np.count_nonzero(known)))
    n, labels, stats, _ = cv2.connectedComponentsWithStats(flat.view(np.uint8), connectivity=4)
    areas = stats[1:n, cv2.CC_STAT_AREA]
    largest = int(areas.max(initial=0))
    steps = [
        (int(areas[i]), _step(mean, labels == i + 1, known)) for i in np.argsort(-areas)[:_LARGEST].tolist()
    ]
    bounded = sum(area for area, step in steps if area >= _LEAST_AREA and step > _CLEAR_STEP) / n_known
    rank = 0.0
    if flat.any():
        levels = np.sort(mean[known])
        rank = abs(2 * float(np.searchsorted(levels, np.median(mean[flat])) / n_known) - 1)
    step = steps[0][1] if steps else 0.0
    return [np.count_nonzero(flat) / n_known, largest / n_known, rank, step, bounded, step * bounded]


def _step(mean: NDArray[np.float32], area: BoolImage, known: BoolImage) -> float:
    """By how much the grey level changes from a flat area to what lies two blocks beyond its rim."""
    part = area.view(np.uint8)
    near = cv2.dilate(part, np.ones((3, 3), np.uint8))
    rim = (cv2.dilate(near, np.ones((3, 3), np.uint8)) > near) & known
    return float(abs(np.median(mean[rim]) - np.median(mean[area]))) if rim.any() else 0.0


@cache
def _rings(side: int) -> tuple[BoolImage, Ints, Ints, Ints]:
    """Bins of the spectrum of a patch that are looked at, by rising ring.

    Returns which ones, their order, where each ring begins in it, and the number of each ring.
    """
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    f = np.hypot(fy, fx)
    # what cameras and codecs leave lies on the axes: lines of a scan, blocks of 8 px
    clean = (np.abs(fy) * side > 1.5) & (np.abs(fx) * side > 1.5) & (f > _LONGEST_PERIOD) & (f < 0.48)
    ring = np.rint(f * side).astype(np.int64)[clean]
    order = np.argsort(ring, kind="stable")
    numbers, start = np.unique(ring[order], return_index=True)
    return clean, order, start, numbers


def _periodic(grey: NDArray[np.float32], inside: BoolImage) -> list[float]:
    """How far the spectrum rises in sharp peaks above its ring."""
    height, width = grey.shape
    side = min(_PATCH, height, width)
    window = np.outer(np.hanning(side), np.hanning(side)).astype(np.float32)
    rows = np.linspace(0, height - side, 3 if height > side else 1).astype(int)
    columns = np.linspace(0, width - side, 3 if width > side else 1).astype(int)
    places = [(slice(y, y + side), slice(x, x + side)) for y in rows for x in columns]
    shown = [place for place in places if inside[place].mean() > 0.8] or places
    patches = np.stack([grey[place] for place in shown])
    patches = (patches - patches.mean(axis=(1, 2), keepdims=True)) * window
    spectra = fft.rfft2(patches)
    clean, order, start, numbers = _rings(side)
    power = (spectra.real**2 + spectra.imag**2)[:, clean][:, order] + np.float32(1e-9)
    power = np.concatenate([power, power.mean(axis=0, keepdims=True)])
    n = np.diff(np.append(start, power.shape[1]))
    # the geometric mean of a ring hardly feels a peak in it
    level = np.add.reduceat(np.log(power), start, axis=1) / n
    ratio = power / np.exp(np.repeat(level, n, axis=1))
    peaks = ratio.max(axis=1)
    total, above = power[-1], ratio[-1] > _SHARP_PEAK
    smooth = np.polyval(np.polyfit(np.log(numbers), level[-1], 2), np.log(numbers))
    return [
        float(np.log(peaks[-1])),
        float(np.log(total[above].sum() / total.sum() + 1e-4)),
        float(np.log(np.median(peaks[:-1]))),
        float((level[-1] - smooth).max()),
    ]
