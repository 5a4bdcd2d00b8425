"""Which images are known and which are not: what `trust.py` fits with, and what it only tests on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from record import DATA
from trust_images import UNKNOWN
from trust_images_more import MORE

from insitrack.io.synth.source import SynthSource

Grey = NDArray[np.uint8]
Rng = np.random.Generator

DRAWN_KINDS = (
    *("loops", "two_beam", "voids", "bubbles", "swelling", "laths", "particles", "precipitates"),
    *("mixed", "dense", "diffuse", "lines", "pileup"),
)
REAL = {
    "Ti": ("ti-anneal/images/*.jpg", 1, 4),
    "316L": ("creme-316L/imgs/*.png", 1, 5),
    "on-zone FeCrAl": ("fecral-loops-111/images/*", 8, 3),
    "sintering particles": ("msa-nanoparticles/*/images/*", 1, 2),
    "clean steel": ("bf-clean-steel/images/*.jpg", 1, 4),
    "particles": ("nanoparticles-arda/images/*.jpg", 1, 3),
    "AM316": ("steel-am316/*.jpg", 1, 14),
    "HT-9": ("lines-ht9/image.png", 1, 5),
    "Al-Mg-Si": ("precipitates-almgsi/[0B]*.png", 1, 8),
}
"""Experiment: files, every how-manieth of them, and changed copies of each."""
GOLD = {"gold, brittle": "no-defects-gold/brittle/*.jpg", "gold, ductile": "no-defects-gold/ductile/*.jpg"}
ONLY_TESTED = {
    "FeCrAl movie (known)": "fecral-video/*.mp4",
    "Al-Mg-Si, columns of atoms (unknown)": "precipitates-almgsi/6*.png",
}
SIZES = ("512", "768x512", "640")
MORE_EACH = 14
"""Images of each of `MORE`, which are slower to draw."""
SIDES = (384, 512, 640, 768)


@dataclass(frozen=True, slots=True)
class Example:
    """One image.

    Parameters
    ----------
    kind : str
        Kind or experiment; what is left out together.
    known : bool
        Whether the networks have learnt to see such images.
    fitted : bool
        False: for tests only.
    changed : bool
        A changed copy of another one.
    image : ndarray of uint8, shape (H, W)
    """

    kind: str
    known: bool
    fitted: bool
    changed: bool
    image: Grey


def read_grey(path: Path) -> Grey | None:
    """Read an image as 8-bit grey; None if it is none, or too small."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or min(image.shape[:2]) < 100:
        return None
    if image.ndim == 3:
        image = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_BGR2GRAY)
    if image.dtype != np.uint8:
        image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.asarray(image, np.uint8)


def changed(rng: Rng, image: Grey) -> Grey:
    """Change an image as other sessions, cameras and files would: part, magnification, focus, noise, gamma, codec, polarity."""
    height, width = image.shape
    least = min(200, height, width)
    side = int(rng.uniform(max(least, 0.45 * min(height, width)), min(height, width) + 1))
    y, x = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    part = image[y : y + side, x : x + side]
    scale = max(float(np.exp(rng.uniform(np.log(0.6), np.log(1.6)))), 200 / side)
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=smooth)
    if rng.random() < 0.25:
        part = cv2.GaussianBlur(part, (0, 0), rng.uniform(0.5, 2.5) * min(part.shape) / 512)
    if rng.random() < 0.4:
        noise = rng.standard_normal(part.shape) * part.std() * rng.uniform(0.05, 1.0)
        part = np.clip(part + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        part = (255 * (part / 255.0) ** np.exp(rng.normal(0, 0.35))).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(30, 90))]
        part = cv2.imdecode(cv2.imencode(".jpg", part, quality)[1], cv2.IMREAD_GRAYSCALE)
    return np.ascontiguousarray(255 - part if rng.random() < 0.25 else part, np.uint8)


def drawn(n: int) -> Iterator[Example]:
    """Frames of drawn movies of every kind, with overlays and without, and a changed copy of each."""
    for place, kind in enumerate(DRAWN_KINDS):
        for seed in range(100 * place, 100 * place + n):  # the same seed would be the same foil in every kind
            uri = f"synth:{kind}?seed={7000 + seed}&frames=20&size={SIZES[seed % 3]}&overlay={seed % 3}"
            image = SynthSource(uri).frame((seed * 7) % 20).image.astype(np.uint8)
            yield Example(f"drawn {kind}", True, True, False, image)
            yield Example(f"drawn {kind}", True, True, True, changed(np.random.default_rng(seed), image))


def real() -> Iterator[Example]:
    """Licensed micrographs, experiment by experiment, and gold; none where they are absent."""
    rng = np.random.default_rng(1)
    for kind, (files, every, copies) in REAL.items():
        for path in sorted(DATA.glob(files))[::every]:
            yield from _with_copies(rng, kind, path, copies, known=True)
    for kind, files in GOLD.items():
        for path in sorted(DATA.glob(files)):
            yield from _with_copies(rng, kind, path, 3, known=False)


def _with_copies(rng: Rng, kind: str, path: Path, copies: int, *, known: bool) -> Iterator[Example]:
    image = read_grey(path)
    if image is not None:
        yield Example(kind, known, True, False, image)
        for _ in range(copies):
            yield Example(kind, known, True, True, changed(rng, image))


def unknown(n: int) -> Iterator[Example]:
    """Drawn images of every kind that the networks have not learnt to see, and changed copies."""
    kinds = [(kind, draw, n) for kind, draw in UNKNOWN.items()]
    kinds += [(kind, draw, min(n, MORE_EACH)) for kind, (_, draw) in MORE.items()]
    for kind, draw, each in kinds:
        for seed in range(each):
            side = SIDES[seed % len(SIDES)]
            rng = np.random.default_rng([seed, len(kind)])
            image = draw(rng, (side, side if seed % 3 else side * 5 // 4))
            yield Example(kind, False, True, False, image)
            yield Example(kind, False, True, True, changed(rng, image))


def spoilt(n: int) -> Iterator[Example]:
    """Known images out of focus: blurred over a thirty-second of their height, with the noise of a camera after that."""
    rng = np.random.default_rng(4)
    known = [one.image for one in drawn(n) if not one.changed]
    known += [one.image for one in real() if one.known and not one.changed][::12]
    for image in known:
        side = min(image.shape)
        values = image.astype(np.float32)
        noise = values.std() * rng.choice([0.01, 0.1, 0.3])
        soft = cv2.GaussianBlur(values, (0, 0), side / 32) + rng.standard_normal(values.shape) * noise
        yield Example("out of focus", False, True, False, np.clip(soft, 0, 255).astype(np.uint8))


def tested() -> Iterator[Example]:
    """What nothing is fitted to: a movie without a licence, columns of atoms, images that packages bring along."""
    for kind, files in ONLY_TESTED.items():
        for path in sorted(DATA.glob(files)):
            for image in _frames(path) if path.suffix == ".mp4" else [read_grey(path)]:
                if image is not None:
                    yield Example(kind, "(known)" in kind, False, False, image)
    site = Path(cv2.__file__).resolve().parents[1]
    for files in ("skimage/data/*.png", "skimage/data/*.jpg", "sklearn/datasets/images/*.jpg"):
        for path in sorted(site.glob(files)):
            image = read_grey(path)
            if image is not None:
                yield Example("photographs of packages", False, False, False, image)


def _frames(path: Path, every: int = 10) -> Iterator[Grey]:
    movie, number = cv2.VideoCapture(str(path)), 0
    while True:
        good, frame = movie.read()
        if not good:
            return
        if number % every == 0:
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        number += 1


def examples(*, smoke: bool) -> Iterator[Example]:
    """All of them; in small mode a few drawn ones."""
    if smoke:
        yield from drawn(1)
        yield from unknown(1)
        return
    for part in (real(), tested(), unknown(30), drawn(20), spoilt(3)):
        yield from part
        print("figures so far", file=sys.stderr, flush=True)
