"""More images of what the networks have never learnt to see, drawn from seeds: patterns, maps, surfaces, objects, sections."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from trust_images import Image, Rng, Values, camera, fractal, grid, mottle

Shape = tuple[int, int]


def _place(rng: Rng, shape: Shape) -> tuple[int, int]:
    """Draw a place in an image, x and y."""
    return int(rng.uniform(0, shape[1])), int(rng.uniform(0, shape[0]))


def _stick(rng: Rng, shape: Shape, length: float, width: float) -> Values:
    """Draw one straight stick at a random place, 1 on 0."""
    middle, turn = rng.uniform(0, shape[0], 2), rng.uniform(0, np.pi)
    half = np.array([np.cos(turn), np.sin(turn)]) * length / 2
    layer = np.zeros(shape)
    ends = [tuple(int(v) for v in end) for end in (middle - half, middle + half)]
    cv2.line(layer, ends[0], ends[1], 1.0, int(width), cv2.LINE_AA)
    return layer


def _three_waves(rng: Rng, shape: Shape, period: float) -> Values:
    """Sum of three waves at 60 degrees: a hexagonal lattice."""
    y, x = grid(shape)
    turn = rng.uniform(0, np.pi)
    turns = [turn + k * np.pi / 3 for k in range(3)]
    return np.sum([np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / period) for a in turns], axis=0)


def moire(rng: Rng, shape: Shape) -> Image:
    """Two pairs of fringes that nearly agree."""
    y, x = grid(shape)
    period, image = rng.uniform(4, 12), np.zeros(shape)
    for _ in range(2):
        turn, other = rng.uniform(0, np.pi), period * rng.uniform(0.93, 1.07)
        for angle, p in ((turn, period), (turn + rng.uniform(0.02, 0.2), other)):
            image += np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / p)
    return camera(rng, 0.5 + 0.1 * image + 0.06 * mottle(rng, shape, 2))


def hexagonal_columns(rng: Rng, shape: Shape) -> Image:
    """Columns of atoms on a hexagonal lattice under an uneven background."""
    bright = np.clip(_three_waves(rng, shape, rng.uniform(9, 30)) - 0.3, 0, None)
    return camera(
        rng, 0.4 + 0.15 * bright * (1 + 0.3 * mottle(rng, shape, 90)) + 0.05 * mottle(rng, shape, 1)
    )


def sheet_of_atoms(rng: Rng, shape: Shape) -> Image:
    """Draw a honeycomb with holes to vacuum."""
    atoms = 0.5 - 0.12 * np.clip(-_three_waves(rng, shape, rng.uniform(10, 22)), -1, 2)
    vacuum = mottle(rng, shape, 60) > rng.uniform(0.3, 1)
    return camera(rng, np.where(vacuum, 0.8, atoms) + 0.05 * mottle(rng, shape, 1.5))


def topography(rng: Rng, shape: Shape) -> Image:
    """Draw a rough surface lit from one side, bright where it is steep."""
    dy, dx = np.gradient(fractal(rng, shape, rng.uniform(1.2, 2.0)))
    slope = np.hypot(dx, dy)
    steep = np.clip(slope / slope.std(), 0, 4)
    return camera(rng, 0.4 + 0.075 * dx / dx.std() + 0.06 * steep)


def spheres(rng: Rng, shape: Shape) -> Image:
    """Heaped spheres with bright rims, as secondary electrons show them."""
    image, (y, x) = np.full(shape, 0.15), grid(shape)
    for _ in range(int(rng.integers(40, 200))):
        (cx, cy), radius = _place(rng, shape), rng.uniform(8, 50)
        far = np.hypot(y - cy, x - cx) / radius
        image[far < 1] = 0.35 + 0.5 * far[far < 1] ** 3
    return camera(rng, image)


def holey_carbon(rng: Rng, shape: Shape) -> Image:
    """Draw a carbon film with round holes."""
    image = 0.45 + 0.02 * mottle(rng, shape, 1.5)
    for _ in range(int(rng.integers(5, 30))):
        hole = _place(rng, shape), (int(rng.uniform(15, 90)), int(rng.uniform(15, 90))), rng.uniform(0, 180)
        cv2.ellipse(image, *hole, 0, 360, 0.85, -1)
        cv2.ellipse(image, *hole, 0, 360, 0.4, 1)
    return camera(rng, image)


def nanowires(rng: Rng, shape: Shape) -> Image:
    """Long wires across each other on a thin support."""
    image = 0.8 + 0.02 * mottle(rng, shape, 2)
    for _ in range(int(rng.integers(10, 60))):
        image -= 0.25 * _stick(rng, shape, rng.uniform(100, 600), rng.uniform(4, 20))
    return camera(rng, image)


def nanorods(rng: Rng, shape: Shape) -> Image:
    """Short rods, many of them, some on others."""
    image = 0.8 + 0.02 * mottle(rng, shape, 2)
    for _ in range(int(rng.integers(80, 250))):
        image -= 0.35 * _stick(rng, shape, rng.uniform(15, 45), rng.uniform(4, 9))
    return camera(rng, np.clip(image, 0.1, 1))


def nanotubes(rng: Rng, shape: Shape) -> Image:
    """Winding tubes with dark walls."""
    image = 0.6 + 0.04 * mottle(rng, shape, 1.5)
    for _ in range(int(rng.integers(5, 20))):
        turn = rng.uniform(0, 2 * np.pi)
        along = np.cumsum(np.column_stack([np.full(60, 12.0), rng.normal(0, 6, 60)]), axis=0)
        around = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        path = [(along @ around + rng.uniform(0, shape[0], 2)).astype(np.int32)]
        cv2.polylines(image, path, False, 0.35, int(rng.uniform(8, 16)), cv2.LINE_AA)
        cv2.polylines(image, path, False, 0.55, int(rng.uniform(3, 6)), cv2.LINE_AA)
    return camera(rng, image)


def cell_section(rng: Rng, shape: Shape) -> Image:
    """Draw a stained section: membranes, organelles with folds, ribosomes."""
    image = 0.65 + 0.05 * mottle(rng, shape, 6) + 0.04 * mottle(rng, shape, 1.2)
    for _ in range(int(rng.integers(5, 20))):
        where, turn = _place(rng, shape), rng.uniform(0, 180)
        axes = int(rng.uniform(20, 80)), int(rng.uniform(15, 50))
        cv2.ellipse(image, where, axes, turn, 0, 360, 0.5, -1)
        cv2.ellipse(image, where, axes, turn, 0, 360, 0.2, 2)
        for k in range(4):
            inner = max(3, axes[0] - 10 - 5 * k), max(3, int((axes[1] - 8) * rng.uniform(0.1, 0.9)))
            cv2.ellipse(image, where, inner, turn, 0, 360, 0.3, 1)
    for _ in range(int(rng.integers(3, 9))):
        path = np.cumsum(rng.normal(0, 25, (30, 2)), axis=0) + rng.uniform(0, shape[0], 2)
        cv2.polylines(image, [path.astype(np.int32)], False, 0.2, 2, cv2.LINE_AA)
    return camera(rng, image - 0.1 * np.clip(mottle(rng, shape, 1.8) - 1.3, 0, None))


def tissue(rng: Rng, shape: Shape) -> Image:
    """Cells side by side, with dark nuclei."""
    image = 0.3 + 0.35 * np.clip(np.abs(mottle(rng, shape, 14)), 0, 1) + 0.08 * mottle(rng, shape, 2)
    for _ in range(int(rng.integers(20, 60))):
        cv2.circle(image, _place(rng, shape), int(rng.uniform(6, 16)), 0.15, -1)
    return camera(rng, image)


def fluorescence(rng: Rng, shape: Shape) -> Image:
    """Bright cells on black."""
    image = np.full(shape, 0.05)
    for _ in range(int(rng.integers(10, 60))):
        blob = np.zeros(shape)
        cv2.circle(blob, _place(rng, shape), int(rng.uniform(10, 30)), 1.0, -1)
        image += rng.uniform(0.2, 0.8) * cv2.GaussianBlur(blob, (0, 0), 4) * (1 + 0.2 * mottle(rng, shape, 3))
    return camera(rng, image)


def spotty_rings(rng: Rng, shape: Shape) -> Image:
    """Diffraction of a few grains: rings of spots."""
    y, x = grid(shape)
    cy, cx = (side / 2 for side in shape)
    image = 2 * np.exp(-np.hypot(y - cy, x - cx) / 20)
    for _ in range(int(rng.integers(3, 7))):
        radius = rng.uniform(50, 240)
        for _ in range(int(rng.integers(10, 80))):
            turn = rng.uniform(0, 2 * np.pi)
            spot = int(cx + radius * np.cos(turn)), int(cy + radius * np.sin(turn))
            cv2.circle(image, spot, int(rng.integers(1, 4)), float(rng.uniform(0.3, 1)), -1)
    return camera(rng, np.clip(image, 0, 1))


def kikuchi(rng: Rng, shape: Shape) -> Image:
    """Kikuchi bands with bright and dark edges around a bright middle."""
    y, x = grid(shape)
    cy, cx = (side / 2 for side in shape)
    image = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * (shape[0] / 3) ** 2))
    for _ in range(int(rng.integers(5, 16))):
        turn, width = rng.uniform(0, np.pi), rng.uniform(8, 50)
        off = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn) - rng.uniform(-200, 200)
        image += rng.uniform(0.1, 0.5) / (1 + np.exp((np.abs(off) - width) / 3))
        image += rng.uniform(0, 0.3) * np.exp(-(((off - width) / 2) ** 2))
        image -= rng.uniform(0, 0.3) * np.exp(-(((off + width) / 2) ** 2))
    return camera(rng, image)


def convergent_beam(rng: Rng, shape: Shape) -> Image:
    """Discs of a convergent-beam pattern, with fringes in them."""
    y, x = grid(shape)
    image, spacing, turn = np.full(shape, 0.02), rng.uniform(60, 130), rng.uniform(0, np.pi)
    radius, cos, sin = spacing * rng.uniform(0.3, 0.48), np.cos(turn), np.sin(turn)
    for i, j in np.ndindex(9, 9):
        i, j = i - 4, j - 4
        dx = x - shape[1] / 2 - spacing * (i * cos - j * sin)
        dy = y - shape[0] / 2 - spacing * (i * sin + j * cos)
        fringes = 0.6 + 0.4 * np.cos((dx * np.cos(turn + 1) + dy * np.sin(turn + 1)) / rng.uniform(4, 12))
        image += (np.hypot(dx, dy) < radius) * np.exp(-np.hypot(i, j) / 2) * fringes
    return camera(rng, image)


def spectrum_map(rng: Rng, shape: Shape) -> Image:
    """Draw a map of few, large pixels, as a spectrum image gives."""
    side = int(rng.integers(16, 64))
    values = mottle(rng, (side, side), rng.uniform(2, 6)) + rng.normal(0, 0.4, (side, side))
    large = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_NEAREST)
    return camera(rng, 0.5 + 0.2 * large, noise=(0.001, 0.01))


def spectra(rng: Rng, shape: Shape) -> Image:
    """Spectra in rows: edges and peaks as columns."""
    energy = np.linspace(0, 1, shape[1])
    one = np.exp(-3 * energy) + (energy > rng.uniform(0.3, 0.8)) * rng.uniform(0.1, 0.4)
    for _ in range(int(rng.integers(1, 6))):
        one += rng.uniform(0.1, 0.5) * np.exp(-(((energy - rng.random()) / rng.uniform(0.003, 0.03)) ** 2))
    along = 1 + 0.2 * mottle(rng, (shape[0], 1), 8)
    return camera(rng, one[None] * along + 0.02 * rng.normal(0, 1, shape))


def amorphous(rng: Rng, shape: Shape) -> Image:
    """Phase contrast of an amorphous film out of focus."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    square = fy**2 + fx**2
    transfer = np.sin(np.pi * rng.uniform(40, 400) * square) * np.exp(-30 * square)
    image = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * transfer, shape)
    return camera(rng, 0.5 + 0.12 * image / image.std())


def etched_grains(rng: Rng, shape: Shape) -> Image:
    """Polished and etched grains: grey areas with dark boundaries, or a map of orientations without them."""
    y, x = grid(shape)
    n = int(rng.integers(30, 120))
    first, second = np.full(shape, np.inf), np.full(shape, np.inf)
    owner = np.zeros(shape, np.int64)
    for k in range(n):
        cx, cy = _place(rng, shape)
        far = np.hypot(y - cy, x - cx)
        owner = np.where(far < first, k, owner)
        second = np.minimum(second, np.maximum(first, far))
        first = np.minimum(first, far)
    image = 0.6 + rng.uniform(0.05, 0.2) * rng.normal(0, 1, n)[owner]
    dark = rng.choice([0.0, 0.4]) * np.exp(-(((second - first) / 3) ** 2))
    return camera(rng, image - dark + 0.03 * mottle(rng, shape, 1.5))


def vacuum_edge(rng: Rng, shape: Shape) -> Image:
    """Draw the edge of a specimen to vacuum, with its fringe, and nothing in it."""
    y, x = grid(shape)
    turn = rng.uniform(0, np.pi)
    off = (x - shape[1] / 2) * np.cos(turn) + (y - shape[0] / 2) * np.sin(turn)
    off += rng.uniform(4, 20) * mottle(rng, shape, 50) + rng.uniform(-100, 100)
    image = np.where(off > 0, 0.85, 0.55 - 0.25 * np.clip(-off / 200, 0, 1)) + 0.1 * np.exp(-((off / 4) ** 2))
    return camera(rng, image + 0.015 * mottle(rng, shape, 1), noise=(0.01, 0.04))


def frozen_particles(rng: Rng, shape: Shape) -> Image:
    """Particles in ice, hardly above the noise."""
    image = 0.5 + rng.normal(0, 0.12, shape)
    for _ in range(int(rng.integers(60, 200))):
        cv2.circle(image, _place(rng, shape), int(rng.uniform(6, 10)), 0.42, -1)
    return camera(rng, cv2.GaussianBlur(image + rng.normal(0, 0.2, shape), (0, 0), 0.8))


MORE: dict[str, tuple[str, Callable[[Rng, Shape], Image]]] = {
    "moire": ("lattice", moire),
    "hexagonal columns": ("lattice", hexagonal_columns),
    "sheet of atoms": ("lattice", sheet_of_atoms),
    "topography": ("surface", topography),
    "spheres": ("surface", spheres),
    "holey carbon": ("pores", holey_carbon),
    "nanowires": ("surface", nanowires),
    "nanorods": ("surface", nanorods),
    "nanotubes": ("surface", nanotubes),
    "cell section": ("surface", cell_section),
    "tissue": ("surface", tissue),
    "fluorescence": ("surface", fluorescence),
    "spotty rings": ("drawing", spotty_rings),
    "kikuchi": ("drawing", kikuchi),
    "convergent beam": ("drawing", convergent_beam),
    "spectrum map": ("drawing", spectrum_map),
    "spectra": ("drawing", spectra),
    "amorphous": ("noise", amorphous),
    "etched grains": ("surface", etched_grains),
    "vacuum edge": ("pores", vacuum_edge),
    "frozen particles": ("noise", frozen_particles),
}
"""Short name of what each is like, as in `insitrack.tracker.trust.reasons.REASONS`, and how it is drawn."""
