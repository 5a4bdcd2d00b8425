"""Images of what the networks have never learnt to see, drawn from seeds: what `benchmarks/trust.py` fits and measures with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Values = NDArray[np.float64]
Rng = np.random.Generator


def mottle(rng: Rng, shape: tuple[int, int], sigma: float) -> Values:
    """Gaussian random field of unit variance, correlated over `sigma` px."""
    shrink = max(1, int(sigma // 3))
    small = rng.standard_normal((shape[0] // shrink + 2, shape[1] // shrink + 2))
    field = cv2.GaussianBlur(small, (0, 0), max(sigma / shrink, 0.3), borderType=cv2.BORDER_REFLECT)
    field = cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray((field - field.mean()) / field.std(), np.float64)


def fractal(rng: Rng, shape: tuple[int, int], slope: float) -> Values:
    """Random field of unit variance whose amplitude falls with frequency to the power -`slope`."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    f = np.hypot(fy, fx)
    f[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) / f**slope
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, shape)
    return np.asarray(field / field.std(), np.float64)


def camera(rng: Rng, image: Values, *, noise: tuple[float, float] = (0.005, 0.12)) -> Image:
    """Turn brightness, its range about 0..1, into grey levels, with the noise and the point spread of a camera."""
    image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.2)))
    image = image + rng.standard_normal(image.shape) * np.exp(rng.uniform(*np.log(noise)))
    low, high = np.percentile(image, [rng.uniform(0, 0.5), rng.uniform(99.5, 100)])
    floor, span = rng.uniform(0, 40), rng.uniform(120, 215)
    return np.asarray(np.clip(floor + span * (image - low) / max(high - low, 1e-9), 0, 255), np.uint8)


def _around(shape: tuple[int, int], y: float, x: float, reach: float) -> tuple[slice, slice]:
    """Rows and columns of a square around a place, as far as they lie in the image."""
    rows, columns = (slice(max(0, int(at - reach)), int(at + reach) + 1) for at in (y, x))
    return rows, columns


@cache
def grid(shape: tuple[int, int]) -> tuple[Values, Values]:
    """Rows and columns of every pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return y.astype(np.float64), x.astype(np.float64)


def lattice_fringes(rng: Rng, shape: tuple[int, int]) -> Image:
    """One to three sets of fringes under an uneven envelope, as in a phase-contrast image."""
    y, x = grid(shape)
    period = np.exp(rng.uniform(np.log(3.0), np.log(24)))
    image, turn = np.zeros(shape), rng.uniform(0, np.pi)
    for i in range(int(rng.integers(1, 4))):
        angle = turn + i * rng.choice([np.pi / 3, np.pi / 2, rng.uniform(0.5, 1.5)])
        wave = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
        envelope = np.clip(1 + rng.uniform(0, 0.8) * mottle(rng, shape, rng.uniform(20, 120)), 0, None)
        image += rng.uniform(0.4, 1) * wave * envelope
    image += rng.uniform(0.1, 1.2) * mottle(rng, shape, rng.uniform(0.8, 2.5))
    return camera(rng, 0.5 + 0.12 * image + rng.uniform(0, 0.15) * mottle(rng, shape, 80), noise=(0.01, 0.2))


def atom_columns(rng: Rng, shape: tuple[int, int]) -> Image:
    """Bright or dark columns on a lattice, of one or two kinds, with strain, and sometimes a boundary."""
    y, x = grid(shape)
    spacing = np.exp(rng.uniform(np.log(5), np.log(34)))
    two, bend = rng.random() < 0.4, rng.uniform(0, 0.02)
    ratio, width, turn = rng.uniform(0.8, 1.4), rng.uniform(0.14, 0.28), rng.uniform(0, np.pi)
    image = np.zeros(shape)
    side = mottle(rng, shape, 90) > (rng.uniform(-1, 1) if rng.random() < 0.4 else -9)
    for part in (side, ~side):
        u = (x * np.cos(turn) + y * np.sin(turn)) / spacing + bend * mottle(rng, shape, 60)
        v = (-x * np.sin(turn) + y * np.cos(turn)) / (spacing * ratio) + bend * mottle(rng, shape, 60)
        for shift, weight in ((0.0, 1.0), (0.5, rng.uniform(0.3, 0.9) if two else 0.0)):
            near = (((u + shift) % 1) - 0.5) ** 2 + ((((v + shift) % 1) - 0.5) * ratio) ** 2
            image += part * weight * np.exp(-near / (2 * width**2))
        turn += rng.uniform(0.2, 1.2)
    image *= 1 + rng.uniform(0, 0.3) * mottle(rng, shape, 100)
    image = image if rng.random() < 0.7 else -image
    return camera(rng, image + rng.uniform(0, 0.3) * mottle(rng, shape, 2), noise=(0.02, 0.5))


def nanocrystals(rng: Rng, shape: tuple[int, int]) -> Image:
    """Crystals with their own fringes on amorphous carbon."""
    image = rng.uniform(0.15, 0.5) * mottle(rng, shape, rng.uniform(0.8, 2.0))
    radius, period = np.exp(rng.uniform(np.log(14), np.log(90))), rng.uniform(3.0, 9.0)
    for _ in range(int(rng.uniform(0.2, 1.3) * shape[0] * shape[1] / (4 * radius**2)) + 2):
        cy, cx, r = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), radius * rng.uniform(0.6, 1.4)
        part = _around(shape, cy, cx, r + 2)
        y, x = (axis[part] for axis in grid(shape))
        disc = np.clip((r - np.hypot(y - cy, x - cx)) / 2 + 0.5, 0, 1)
        wave = np.zeros(disc.shape)
        for _ in range(int(rng.integers(0, 3)) + (rng.random() < 0.7)):
            a = rng.uniform(0, np.pi)
            wave += np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / (period * rng.uniform(0.85, 1.2)))
        image[part] += disc * (rng.uniform(0.5, 1.3) * wave - rng.uniform(0.0, 1.5))
    return camera(rng, 0.5 + 0.12 * image, noise=(0.01, 0.12))


def porous_metal(rng: Rng, shape: tuple[int, int]) -> Image:
    """Ligaments of metal with pores and vacuum: thickness, Bragg contrast, bend fringes, Fresnel fringes at edges."""
    width = np.exp(rng.uniform(np.log(8), np.log(70)))
    field = mottle(rng, shape, width) + rng.uniform(0, 0.9) * mottle(rng, shape, 4 * width)
    fill = rng.uniform(0.3, 0.75)
    level = np.quantile(field, 1 - fill)
    metal = field > level
    edge = cv2.GaussianBlur(metal.astype(np.float64), (0, 0), 0.8)
    depth = np.clip(
        cv2.distanceTransform(metal.astype(np.uint8), cv2.DIST_L2, 3) / width, 0, 2
    ) ** rng.uniform(0.3, 1)
    layers = rng.uniform(0.3, 1.2) * depth
    for _ in range(int(rng.integers(0, 4))):
        other = mottle(rng, shape, width * rng.uniform(0.6, 1.5))
        layers += metal * rng.uniform(0.1, 0.5) * (other > rng.uniform(0, 1))
    grains = cv2.GaussianBlur(mottle(rng, shape, width * rng.uniform(0.8, 2)), (0, 0), 1) > rng.uniform(
        -0.5, 1
    )
    layers *= 1 + rng.uniform(0, 0.6) * grains
    if rng.random() < 0.5:  # bend contours
        layers += metal * rng.uniform(0.05, 0.3) * np.cos(mottle(rng, shape, width) * rng.uniform(4, 15))
    image = np.exp(-layers * edge) + rng.uniform(0, 0.25) * (cv2.GaussianBlur(edge, (0, 0), 2.0) - edge)
    image += rng.uniform(0, 0.05) * mottle(rng, shape, 1.2)
    return camera(rng, image if rng.random() < 0.75 else 1 - image, noise=(0.006, 0.05))


def _lit(rng: Rng, height: Values, *, edges: float) -> Values:
    """Brightness of a surface in a scanning microscope: slope towards the detector, and bright edges."""
    dy, dx = np.gradient(height)
    a = rng.uniform(0, 2 * np.pi)
    steep = np.hypot(dx, dy)
    lit = (dx * np.cos(a) + dy * np.sin(a)) / np.sqrt(1 + steep**2)
    return np.asarray(0.45 + 0.35 * lit + edges * (1 - 1 / np.sqrt(1 + steep**2)))


def _nearest(rng: Rng, shape: tuple[int, int], n: int) -> tuple[Values, NDArray[np.int64], Values]:
    """Distance from the nearest of n random points, which it is, and where they lie (n, 2)."""
    points = np.unique((rng.uniform(0, 1, (n, 2)) * shape).astype(np.int64), axis=0)
    apart = np.ones(shape, np.uint8)
    apart[points[:, 0], points[:, 1]] = 0
    far, owner = cv2.distanceTransformWithLabels(apart, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    places = np.zeros((int(owner.max()) + 1, 2))
    places[owner[points[:, 0], points[:, 1]]] = points
    return far.astype(np.float64), owner.astype(np.int64), places


def sem_fracture(rng: Rng, shape: tuple[int, int]) -> Image:
    """Facets, dimples and steps of a broken surface."""
    y, x = grid(shape)
    height = rng.uniform(5, 40) * fractal(rng, shape, rng.uniform(1.4, 2.2))
    far, owner, places = _nearest(rng, shape, int(rng.uniform(10, 120)))
    if rng.random() < 0.5:
        height += rng.uniform(0.3, 1.2) * far  # dimples
    else:
        slopes = rng.normal(0, rng.uniform(0.2, 0.9), (len(places), 2))
        height += slopes[owner, 0] * (y - places[owner, 0]) + slopes[owner, 1] * (x - places[owner, 1])
    return camera(rng, _lit(rng, cv2.GaussianBlur(height, (0, 0), 1.0), edges=rng.uniform(0.2, 0.8)))


def sem_powder(rng: Rng, shape: tuple[int, int]) -> Image:
    """Spheres that lie on each other, lit at their edges."""
    image = np.full(shape, rng.uniform(0.0, 0.25)) + 0.02 * mottle(rng, shape, 3)
    grain = 0.03 * mottle(rng, shape, 2.5)
    radius = np.exp(rng.uniform(np.log(12), np.log(110)))
    for _ in range(int(rng.uniform(0.5, 2.5) * shape[0] * shape[1] / (3 * radius**2)) + 3):
        cy, cx, r = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), radius * np.exp(rng.normal(0, 0.35))
        part = _around(shape, cy, cx, r)
        y, x = (axis[part] for axis in grid(shape))
        square = np.clip(1 - ((y - cy) ** 2 + (x - cx) ** 2) / r**2, 0, None)
        top = np.sqrt(square)
        ball = rng.uniform(0.25, 0.5) + 0.25 * (x - cx + y - cy) / r * top + 0.45 * (1 - top) ** 3
        image[part] = np.where(square > 0, ball + grain[part], image[part])
    return camera(rng, image)


def cells(rng: Rng, shape: tuple[int, int]) -> Image:
    """Draw a foam, etched grains or tissue: cells with walls, each of its own grey or all alike."""
    _, owner, places = _nearest(rng, shape, int(np.exp(rng.uniform(np.log(15), np.log(250)))))
    inner = np.ones(shape, np.uint8)
    inner[:, 1:][owner[:, 1:] != owner[:, :-1]] = 0
    inner[1:][owner[1:] != owner[:-1]] = 0
    wall = np.exp(-((cv2.distanceTransform(inner, cv2.DIST_L2, 3) / rng.uniform(1, 4.5)) ** 2))
    image = rng.uniform(0.0, 0.5) * rng.random(len(places))[owner]
    image = image + rng.choice([-1, 1]) * rng.uniform(0.3, 1) * wall
    return camera(rng, image + 0.03 * mottle(rng, shape, 2))


def fibres(rng: Rng, shape: tuple[int, int]) -> Image:
    """Long fibres over each other, bright at their edges: a filter, wires, tubes."""
    image = np.full(shape, rng.uniform(0.0, 0.3), np.float32)
    along = np.linspace(-1000, 1000, 80)
    for _ in range(int(rng.integers(15, 120))):
        a, width = rng.uniform(0, np.pi), rng.uniform(3, 40)
        across = rng.uniform(0, 30) * np.sin(along / rng.uniform(60, 300))
        x = rng.uniform(0, shape[1]) + along * np.cos(a) - across * np.sin(a)
        y = rng.uniform(0, shape[0]) + along * np.sin(a) + across * np.cos(a)
        line = np.column_stack([x, y]).astype(np.int32)
        core, edge = rng.uniform(0.25, 0.7), rng.uniform(0.1, 0.4)
        for share in (1.0, 0.8, 0.6, 0.35):
            cv2.polylines(image, [line], False, float(core + edge * share**2), max(1, int(width * share)))
    return camera(rng, image.astype(np.float64))


def dead_leaves(rng: Rng, shape: tuple[int, int]) -> Image:
    """Shapes of every size over each other, shaded and textured: the statistics of a photograph."""
    y, x = grid(shape)
    image = rng.uniform(0, 1) + rng.uniform(-0.5, 0.5) * y / shape[0]
    grains = [mottle(rng, shape, rng.uniform(1, 6)) for _ in range(3)]
    for _ in range(int(rng.integers(30, 220))):
        r = 6 / np.clip(rng.random(), 0.015, 1) ** rng.uniform(0.6, 1.1)
        at, a, b = rng.uniform(0, 1, 2) * shape, rng.uniform(0, np.pi), rng.uniform(0.4, 1)
        part = _around(shape, *at.tolist(), 1.5 * r)
        dy, dx = y[part] - at[0], x[part] - at[1]
        u, v = dx * np.cos(a) + dy * np.sin(a), (dy * np.cos(a) - dx * np.sin(a)) / b
        inside = np.hypot(u, v) < r if rng.random() < 0.5 else np.maximum(np.abs(u), np.abs(v)) < r
        shade = rng.random() + rng.uniform(-0.3, 0.3) * u / r
        if rng.random() < 0.4:
            shade = shade + rng.uniform(0, 0.2) * grains[int(rng.integers(0, 3))][part]
        image[part] = np.where(inside, shade, image[part])
    return camera(rng, image, noise=(0.003, 0.04))


def text_page(rng: Rng, shape: tuple[int, int]) -> Image:
    """Draw a page of text, dark on light or light on dark."""
    page = np.full(shape, 235, np.uint8)
    size, row = rng.uniform(0.35, 1.1), 20.0
    while row < shape[0]:
        words = "".join(chr(c) for c in rng.choice([*range(97, 123), 32, 32, 32, 32], 160).tolist())
        cv2.putText(
            page,
            words,
            (int(rng.uniform(4, 30)), int(row)),
            int(rng.integers(0, 4)),
            size,
            30,
            1 + (size > 0.7),
        )
        row += 30 * size * rng.uniform(1.0, 1.4)
    image = page / 255 + rng.uniform(0, 0.1) * mottle(rng, shape, 100)
    return camera(rng, image if rng.random() < 0.8 else 1 - image, noise=(0.002, 0.03))


def plot(rng: Rng, shape: tuple[int, int]) -> Image:
    """Axes with curves or bars: a spectrum, a chart."""
    page, (h, w) = np.full(shape, 255, np.uint8), shape
    cv2.rectangle(page, (w // 8, h // 12), (w - w // 12, h - h // 8), 0, int(rng.integers(1, 3)))
    x = np.linspace(w / 8, w - w / 12, 300)
    for _ in range(int(rng.integers(1, 6))):
        curve = 0.1 * np.cumsum(rng.standard_normal(300)) * rng.uniform(0, 1) + rng.standard_normal(
            300
        ) * rng.uniform(0, 0.1)
        for _ in range(int(rng.integers(0, 9))):
            curve += rng.uniform(0.2, 2) * np.exp(-(((x - rng.uniform(w / 8, w)) / rng.uniform(3, 50)) ** 2))
        curve = (curve - curve.min()) / (np.ptp(curve) + 1e-9)
        points = np.column_stack([x, h - h / 7 - curve * h * 0.7]).astype(np.int32)
        cv2.polylines(page, [points], False, int(rng.integers(0, 150)), int(rng.integers(1, 4)), cv2.LINE_AA)
    for i in range(6):
        cv2.putText(page, f"{i * 50}", (w // 8 + i * w // 8, h - h // 12), 0, 0.45, 0, 1)
    if rng.random() < 0.3:
        for i in range(8):
            cv2.rectangle(
                page,
                (w // 6 + i * w // 11, int(h * rng.uniform(0.3, 0.8))),
                (w // 6 + i * w // 11 + w // 16, h - h // 8),
                120,
                -1,
            )
    return page if rng.random() < 0.8 else np.asarray(255 - page, np.uint8)


def diffraction(rng: Rng, shape: tuple[int, int]) -> Image:
    """Spots, rings or Kikuchi lines around the transmitted beam, with or without its stop."""
    y, x = grid(shape)
    cy, cx = shape[0] * rng.uniform(0.4, 0.6), shape[1] * rng.uniform(0.4, 0.6)
    far = np.hypot(y - cy, x - cx)
    image = rng.uniform(0.5, 3) * np.exp(-far / rng.uniform(15, 120))
    kind = rng.integers(0, 3)
    if kind != 1:
        spacing, turn, width = rng.uniform(25, 110), rng.uniform(0, np.pi), rng.uniform(1.2, 6)
        skew = rng.uniform(0.7, 1.4)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) * skew
        du, dv = (np.abs((c / spacing + 0.5) % 1 - 0.5) * spacing for c in (u, v))
        image += (
            rng.uniform(0.5, 3)
            * np.exp(-(du**2 + dv**2) / (2 * width**2))
            * np.exp(-far / rng.uniform(80, 400))
        )
    if kind != 0:
        for _ in range(int(rng.integers(3, 9))):
            image += rng.uniform(0.1, 0.8) * np.exp(
                -(((far - rng.uniform(30, shape[0] / 2)) / rng.uniform(1.5, 5)) ** 2)
            )
    if kind == 2:
        for _ in range(int(rng.integers(2, 9))):
            a = rng.uniform(0, np.pi)
            off = (x - cx) * np.cos(a) + (y - cy) * np.sin(a) - rng.uniform(-80, 80)
            image += rng.uniform(0.02, 0.2) * (np.abs(off) < rng.uniform(3, 40))
    if rng.random() < 0.4:
        cv2.line(image, (int(cx), int(cy)), (0, int(cy)), 0.0, int(rng.integers(8, 30)))
    image = (
        np.log1p(image * rng.uniform(1, 20)) if rng.random() < 0.6 else np.clip(image, 0, rng.uniform(1, 3))
    )
    return camera(rng, image / image.max(), noise=(0.003, 0.05))


def only_noise(rng: Rng, shape: tuple[int, int]) -> Image:
    """Noise, white or of a few pixels, and an uneven beam."""
    image = mottle(rng, shape, rng.uniform(0.3, 2.0)) * rng.uniform(0.05, 0.3)
    return camera(rng, 0.5 + image + rng.uniform(0, 0.2) * mottle(rng, shape, 200), noise=(0.01, 0.2))


def lamellae(rng: Rng, shape: tuple[int, int]) -> Image:
    """Wavy bands of two phases, or a moire pattern."""
    y, x = grid(shape)
    a, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(14), np.log(80)))
    phase = (x * np.cos(a) + y * np.sin(a)) / period + rng.uniform(0, 0.6) * mottle(
        rng, shape, rng.uniform(30, 120)
    )
    wave = np.sin(2 * np.pi * phase)
    image = np.tanh(wave * rng.uniform(0.5, 6))
    return camera(rng, 0.5 + 0.2 * image + 0.03 * mottle(rng, shape, 2))


def binary(rng: Rng, shape: tuple[int, int]) -> Image:
    """Two grey levels only: a mask, a threshold, a drawing."""
    field = mottle(rng, shape, np.exp(rng.uniform(np.log(3), np.log(40))))
    two = field > rng.uniform(-1.2, 1.2)
    low, high = int(rng.integers(0, 60)), int(rng.integers(180, 256))
    return np.asarray(np.where(two, high, low), np.uint8)


def thick_foam(rng: Rng, shape: tuple[int, int]) -> Image:
    """Metal with pores many ligaments thick: dark overlapping grains, ragged holes, a little vacuum."""
    width = np.exp(rng.uniform(np.log(6), np.log(30)))
    outline = mottle(rng, shape, width * rng.uniform(3, 9)) + rng.uniform(0.2, 0.6) * mottle(
        rng, shape, width
    )
    metal = outline > np.quantile(outline, rng.uniform(0.1, 0.45))
    inward = cv2.distanceTransform(metal.astype(np.uint8), cv2.DIST_L2, 3)
    layers = np.zeros(shape)
    for _ in range(int(rng.integers(3, 10))):
        other = mottle(rng, shape, width * rng.uniform(0.5, 1.6)) > rng.uniform(-0.3, 0.8)
        # a layer more with every ligament inwards
        layers += (other & (inward > rng.uniform(0, 4) * width)) * rng.uniform(0.15, 0.6)
    layers += metal * rng.uniform(0.2, 0.8)
    image = np.exp(-cv2.GaussianBlur(layers, (0, 0), float(rng.uniform(0.6, 1.6))))
    fringe = cv2.GaussianBlur(metal.astype(np.float64), (0, 0), 2.0) - cv2.GaussianBlur(
        metal.astype(np.float64), (0, 0), 0.8
    )
    image += rng.uniform(0, 0.3) * fringe
    return camera(rng, image if rng.random() < 0.8 else 1 - image, noise=(0.006, 0.06))


UNKNOWN: dict[str, Callable[[Rng, tuple[int, int]], Image]] = {
    "lattice fringes": lattice_fringes,
    "columns of atoms": atom_columns,
    "nanocrystals": nanocrystals,
    "porous metal": porous_metal,
    "thick porous metal": thick_foam,
    "fracture surface": sem_fracture,
    "powder": sem_powder,
    "foam, grains": cells,
    "fibres": fibres,
    "photographs": dead_leaves,
    "text": text_page,
    "plots": plot,
    "diffraction": diffraction,
    "noise": only_noise,
    "lamellae": lamellae,
    "two grey levels": binary,
}
"""What can be drawn, by name."""
