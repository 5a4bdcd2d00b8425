"""Images for tests that a training with a fold held out has not seen, with what is true of each.

Frames and crops of the held fold (Ti by both rounds of annotation, 316L), boxed <111> loops of held-out on-zone
series, particles of materials held out (boxes), sintering particles, clean steel and gold (nothing is there),
drawn scenes, and cavities by profiles that were computed elsewhere on clean steel.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import more_pictures
import numpy as np
import on_zone
from numpy.typing import NDArray
from training_pictures import FOLDS, REAL, crops_316l, fold_of_series, frames_ti

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.synth.source import SynthSource
from insitrack.segment.labels.yolo import read_labels

HELD_FOLD = 0
SCENES = {"two_beam": 5, "loops": 5, "mixed": 3, "voids": 3, "precipitates": 3, "dense": 2} | dict.fromkeys(
    ("bubbles", "swelling", "laths", "particles"), 2
)
#           median radius nm, spread, number, nm/px, under focus
CAVITIES = (
    (3, 0.25, 60, 0.35, True),
    (6, 0.3, 35, 0.4, True),
    (2, 0.2, 120, 0.3, True),
    (12, 0.3, 16, 0.5, True),
    (4, 0.3, 50, 0.4, False),
    (8, 0.3, 20, 0.4, False),
    (2, 0.2, 140, 0.35, True),
    (5, 0.5, 60, 0.5, True),
    (3, 0.2, 80, 0.4, True),
    (2, 0.25, 90, 0.3, False),
)

Grey = NDArray[np.uint8]
Test = tuple[Grey, Detections, Any]
"""An image, what is true of it, and by which overlap detections are compared with that."""


def labelled(
    crops: list[NDArray[np.bool_]], corners: list[tuple[int, int]], shape: tuple[int, int], name: str
) -> Detections:
    """Labels of one class."""
    masks = Masks.from_crops(crops, corners)
    numbers = np.full(len(masks), DEFECT_CLASSES.index(name) + 1, np.int64)
    return Detections(
        0, 0.0, shape, masks.boxes(), numbers, np.ones(len(masks), np.float32), masks, DEFECT_CLASSES
    )


def boxed(boxes: NDArray[np.float64], shape: tuple[int, int]) -> Detections:
    """Particles in boxes x0, y0, x1, y1, px."""
    low, high = np.floor(boxes[:, :2]).astype(int), np.ceil(boxes[:, 2:]).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, shape[::-1])
    rows = [
        (y1 - y0, x1 - x0, y0, x0) for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True)
    ]
    rows = [row for row in rows if row[0] > 0 and row[1] > 0]
    return labelled(
        [np.ones(row[:2], bool) for row in rows], [(row[2], row[3]) for row in rows], shape, "precipitate"
    )


def cavities(seed: int = 11) -> list[Test]:
    """Cavities on clean steel, their profiles interpolated in a table that was computed elsewhere."""
    table = np.load(REAL / "bf-clean-steel" / "cavity_fresnel_profiles.npz")
    rng, papers = np.random.default_rng(seed), more_pictures.steel(held_out=True)
    return [
        _cavity_picture(rng, table, more_pictures.grey(papers[i % len(papers)]), *plan)
        for i, plan in enumerate(CAVITIES)
    ]


def _cavity_picture(
    rng: np.random.Generator,
    table: Any,
    image: Grey,
    median_nm: float,
    spread: float,
    number: int,
    nm_per_px: float,
    under: bool,
) -> Test:
    """One image of 512 px; cavities do not overlap, their outline is their radius."""
    y, x = (int(rng.integers(0, length - 511)) for length in image.shape)
    level = image[y : y + 512, x : x + 512].astype(np.float32)
    defocus = table["defocus_nm"]
    column = int(rng.choice(np.flatnonzero(defocus < 0 if under else defocus > 0)))
    contrast, factor = rng.uniform(0.2, 0.5), np.ones((512, 512), np.float32)
    crops, corners, there = [], [], np.zeros((0, 3))
    for _ in range(number):
        wanted_nm = np.clip(median_nm * np.exp(spread * rng.standard_normal()), 1.6, 25)
        row = int(np.argmin(np.abs(table["r0_nm"] - wanted_nm)))
        radius_px = float(table["r0_nm"][row]) / nm_per_px
        profile = table["intensity"][row, column]
        place = rng.uniform(4, 508, 2)
        near = np.hypot(*(there[:, :2] - place).T) < there[:, 2] + radius_px
        if not np.isfinite(profile[:100]).all() or near.any():
            continue
        there = np.vstack([there, [*place, radius_px]])
        reach = int(1.5 * radius_px) + 2
        x0, y0 = np.maximum(place.astype(int) - reach, 0).tolist()
        rows, columns = np.mgrid[y0 : int(place[1]) + reach + 1, x0 : int(place[0]) + reach + 1]
        rows, columns = rows[:512, :512], columns[:512, :512]
        inside = (rows < 512).all(axis=1), (columns < 512).all(axis=0)
        rows, columns = rows[inside[0]][:, inside[1]], columns[inside[0]][:, inside[1]]
        away = np.hypot(columns + 0.5 - place[0], rows + 0.5 - place[1]) / radius_px
        known = profile[np.isfinite(profile)]
        ring = np.interp(away, np.arange(len(known)) / 100, known, right=1.0)
        ring = 1 + (ring - 1) * np.clip((1.5 - away) / 0.15, 0, 1)
        factor[y0 : y0 + len(rows), x0 : x0 + rows.shape[1]] *= 1 + contrast * (ring - 1)
        crops.append(away <= 1)
        corners.append((y0, x0))
    level = (level - 0.7 * level.min()) * cv2.GaussianBlur(factor, (0, 0), 0.8)
    level *= 200 / np.percentile(level, 98) * (1 + rng.uniform(0.01, 0.03) * rng.standard_normal(level.shape))
    return np.clip(level, 0, 255).astype(np.uint8), labelled(crops, corners, (512, 512), "void"), "mask"


def sintering() -> list[Test]:
    """Sintering particles, every third image of the published test part."""
    folder, out = REAL / "msa-nanoparticles" / "test", []
    for number in range(0, 20, 3):
        image = more_pictures.grey(folder / "images" / f"image_{number}.png")
        label = cv2.imread(str(folder / "labels" / f"label_{number}.png"), cv2.IMREAD_UNCHANGED)
        label = label if label.ndim == 2 else label[..., 0]
        if len(np.unique(label)) <= 3:
            _, label = cv2.connectedComponents((label > 0).astype(np.uint8))
        masks = [label == value for value in np.unique(label)[1:].tolist()]
        masks = [mask for mask in masks if mask.sum() >= 30]
        truth = labelled(masks, [(0, 0)] * len(masks), (image.shape[0], image.shape[1]), "precipitate")
        out.append((image, truth, "mask"))
    return out


def none_there(paths: list[Path]) -> list[Test]:
    """Images of which everything that is found is false; the middle of the large ones."""
    out: list[Test] = []
    for path in paths:
        image = more_pictures.grey(path)
        image = image[512:1536, 512:1536] if image.shape[0] > 1200 else image
        out.append((image, Detections.empty(0, 0.0, (image.shape[0], image.shape[1])), "mask"))
    return out


def drawn(scenes: dict[str, int] = SCENES, side: int = 512) -> dict[str, list[Test]]:
    """Drawn scenes of seeds that no training has."""
    out: dict[str, list[Test]] = {}
    for kind, count in scenes.items():
        for seed in range(50_000, 50_000 + count):
            movie = SynthSource(
                f"synth:{kind}?seed={seed}&size={side}&frames=40&fps=4&overlay=2&start=.4&jumps=2"
            )
            out.setdefault(f"drawn, {kind}", []).append((movie.frame(35).image, movie.truth(35), "mask"))
    return out


def test_sets() -> dict[str, list[Test]]:
    """All sets by name; only the drawn ones where real images are absent."""
    if not REAL.is_dir():
        return drawn()
    sets: dict[str, list[Test]] = {}
    for i, (name, image, truth) in enumerate(frames_ti()):
        if i % FOLDS == HELD_FOLD:
            old = REAL / "ti-anneal" / "annotation_old" / f"{name}.txt"
            shape = (image.shape[0], image.shape[1])
            sets.setdefault("Ti, held frames", []).append((image, truth, "mask"))
            older = (image, read_labels(old, shape, ("loop",) * 3), "mask")
            sets.setdefault("Ti, the other round of labels", []).append(older)
    crops = [(image, truth, "mask") for n, (_, image, truth) in crops_316l() if n % FOLDS == HELD_FOLD]
    sets["316L, held crops"] = list(crops)
    seen: Counter[str] = Counter()
    for picture in on_zone.pictures():
        if fold_of_series(picture.series) == HELD_FOLD and seen[picture.series] < 4:
            seen[picture.series] += 1
            sets.setdefault("on zone, boxed <111>", []).append((picture.image, on_zone.boxed(picture), "box"))
    for path in more_pictures.particles(held_out=True):
        image = more_pictures.grey(path)
        shape = (image.shape[0], image.shape[1])
        truth = boxed(more_pictures.particle_boxes(path, shape), shape)
        sets.setdefault("particles of held materials", []).append((image, truth, "box"))
    sets["sintering particles"] = sintering()
    sets["nothing there: clean steel"] = none_there(more_pictures.steel(held_out=True))
    sets["nothing there: gold"] = none_there(more_pictures.gold(held_out=True)[::3])
    sets["computed cavities"] = cavities()
    return sets | drawn()
