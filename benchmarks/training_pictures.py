"""The pictures that the shipped network `loops` was trained on.

Drawn scenes, real micrographs, and drawn defects on real micrographs.

``write(FOLDER, model)`` needs ``../shared/data`` beside the repository for the real part and leaves that out
where it is absent. One fifth of the real pictures, whole series and whole crops, is held out: `held_out` says
which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import on_zone
from numpy.typing import NDArray

from insitrack.io.detections import Detections, Masks
from insitrack.segment.base import SegmentConfig
from insitrack.segment.labels.reader import read_labelled
from insitrack.segment.labels.yolo import read_labels
from insitrack.segment.models import load_segmenter
from insitrack.segment.prepare.grey import stretch_to_8_bit
from insitrack.segment.training.composite import drawn_onto
from insitrack.segment.training.dataset import (
    DatasetSettings,
    jittered,
    write_example,
    write_synth_dataset,
    write_yaml,
)

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
SIDE_PX = 320
DRAWN = DatasetSettings(
    scenes=3000,
    first_seed=60_000,
    held_out=0.02,
    shares={
        "two_beam": 0.28,
        "loops": 0.38,
        "diffuse": 0.12,
        "mixed": 0.08,
        "voids": 0.05,
        "precipitates": 0.04,
        "dense": 0.05,
    },
)
REPEATS = {"synth": 1, "onzone": 3, "ti": 3, "316l": 3}
FOLDS = 5
BRIGHT_SHARE = 0.06

Picture = tuple[str, NDArray[np.uint8], Detections]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How windows are cut from a real picture, and what is drawn onto half of them."""

    fold: int
    windows: int
    scales: tuple[float, float]
    nm_per_px: float
    turn: float | None
    kinds: dict[str, float]
    blur_px: float


def crops_316l() -> Iterator[tuple[int, Picture]]:
    """Sixteen labelled crops of 316L under in-situ irradiation, by number."""
    for picture in read_labelled(REAL / "creme-316L" / "clean.json", {"hcloop": "loop"}):
        yield int(picture.name), (f"316l_{picture.name}", np.asarray(picture.image, np.uint8), picture.truth)


def frames_ti() -> list[Picture]:
    """Eighteen labelled frames of neutron-irradiated Ti, in order of time."""
    out = []
    for path in sorted((REAL / "ti-anneal" / "images").iterdir()):
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        label = REAL / "ti-anneal" / "annotation_new" / f"{path.stem}.txt"
        out.append((path.stem, image, read_labels(label, (image.shape[0], image.shape[1]), ("loop",) * 3)))
    return out


def fold_of_series(series: str) -> int:
    """Fold of a series of on-zone pictures."""
    return sorted(on_zone.SERIES).index(series) % FOLDS


def real_pictures(model: str) -> Iterator[tuple[Picture, Source]]:
    """Real pictures with their labels; the detections of `model` label what people did not box."""
    segment = load_segmenter(model, SegmentConfig(confidence=0.15))
    pictures = list(on_zone.pictures())
    axes = on_zone.axes(pictures)
    for i, picture in enumerate(pictures):
        picture.found = on_zone.detect(segment, picture.image)
        truth = on_zone.labels(picture, axes[picture.series])
        windows = 4 if picture.series in ("200kV_500kx", "g1_", "g2_") else 9
        turn, fold = float(np.radians(axes[picture.series])), fold_of_series(picture.series)
        source = Source(
            fold=fold,
            windows=windows,
            scales=(0.6, 1.6),
            nm_per_px=picture.nm_per_px,
            turn=turn,
            kinds={"loops": 1.0},
            blur_px=1.3,
        )
        yield (f"onzone_{i:03d}", picture.image, truth), source
    for number, crop in crops_316l():
        kinds = {"diffuse": 0.7, "two_beam": 0.3}
        yield (
            crop,
            Source(
                fold=number % FOLDS,
                windows=48,
                scales=(0.4, 1.3),
                nm_per_px=0.39,
                turn=None,
                kinds=kinds,
                blur_px=4.0,
            ),
        )
    for i, (name, image, truth) in enumerate(frames_ti()):
        kinds = {"diffuse": 0.5, "two_beam": 0.5}
        source = Source(
            fold=i % FOLDS,
            windows=56,
            scales=(0.35, 1.2),
            nm_per_px=0.2554,
            turn=None,
            kinds=kinds,
            blur_px=3.0,
        )
        yield (f"ti_{name}", image, truth), source


def window(
    image: NDArray[np.uint8], truth: Detections, corner: tuple[int, int], side_px: int
) -> tuple[NDArray[np.uint8], Detections]:
    """Cut a square window and resample it to `SIDE_PX`.

    A defect of which less than 40 % is in it is left out.
    """
    (y, x), shape = corner, (SIDE_PX, SIDE_PX)
    smooth = cv2.INTER_AREA if side_px > SIDE_PX else cv2.INTER_LINEAR
    part = np.asarray(
        cv2.resize(image[y : y + side_px, x : x + side_px], shape, interpolation=smooth), np.uint8
    )
    crops, corners, rows = [], [], []
    moved = truth.masks.shifted(-y, -x)
    for i, (top, left) in enumerate(moved.corners.tolist()):
        mask = moved.crop(i)
        y0, x0, y1, x1 = (
            max(0, top),
            max(0, left),
            min(side_px, top + mask.shape[0]),
            min(side_px, left + mask.shape[1]),
        )
        if y1 <= y0 or x1 <= x0 or mask[y0 - top : y1 - top, x0 - left : x1 - left].sum() < 0.4 * mask.sum():
            continue
        full = np.zeros((side_px, side_px), np.uint8)
        full[y0:y1, x0:x1] = mask[y0 - top : y1 - top, x0 - left : x1 - left] * 255
        small = np.asarray(cv2.resize(full, shape, interpolation=smooth)) >= 128
        if small.sum() < 14:
            continue
        where = np.nonzero(small)
        corners.append((int(where[0].min()), int(where[1].min())))
        crops.append(small[where[0].min() : where[0].max() + 1, where[1].min() : where[1].max() + 1])
        rows.append(i)
    masks = Masks.from_crops(crops, corners)
    kept = np.array(rows, np.int64)
    found = Detections(
        0, 0.0, shape, masks.boxes(), truth.labels[kept], truth.scores[kept], masks, truth.class_names
    )
    return part, found


def write_windows(folder: Path, picture: Picture, source: Source, rng: np.random.Generator) -> list[Path]:
    """Write windows of a real picture at random places and scales; half of them get drawn defects too."""
    name, image, truth = picture
    out = []
    for i in range(source.windows):
        scale = float(np.exp(rng.uniform(*np.log(source.scales))))
        side_px = int(min(SIDE_PX / scale, *image.shape))
        corner = (
            int(rng.integers(0, image.shape[0] - side_px + 1)),
            int(rng.integers(0, image.shape[1] - side_px + 1)),
        )
        part, found = window(image, truth, corner, side_px)
        if rng.random() < 0.5:
            kind = str(rng.choice(list(source.kinds), p=list(source.kinds.values())))
            turn = rng.uniform(0, np.pi / 2) if source.turn is None else source.turn
            scale, blur = SIDE_PX / side_px, source.blur_px * rng.uniform(0.7, 1.5)
            options: dict[str, Any] = {
                "nm_per_px": max(0.12, source.nm_per_px / scale),
                "n": rng.uniform(2, 22),
                "blur_px": blur * scale,
            }
            part, found = drawn_onto(part, found, rng, kind=kind, turn=turn, **options)
        part = jittered(stretch_to_8_bit(part), rng)
        part = 255 - part if rng.random() < BRIGHT_SHARE else part
        write_example(folder, "train", f"{name}_{i}", part, found)
        out.append(folder / "images" / "train" / f"{name}_{i}.png")
    return out


def write(folder: Path, model: str, held_fold: int | None = 0) -> Path:
    """Write all training pictures and the list of them, each set as often as `REPEATS` says.

    Returns
    -------
    Path
        ``data.yaml``.
    """
    write_synth_dataset(folder, DRAWN)
    lists = {"synth": sorted((folder / "images" / "train").iterdir())}
    if REAL.is_dir():
        for i, (picture, source) in enumerate(real_pictures(model)):
            if source.fold != held_fold:
                kind = picture[0].split("_")[0]
                lists.setdefault(kind, []).extend(
                    write_windows(folder, picture, source, np.random.default_rng([7, i]))
                )
    rows = [str(path.resolve()) for kind, paths in lists.items() for path in paths * REPEATS[kind]]
    (folder / "train.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    told = write_yaml(folder)
    told.write_text(
        told.read_text(encoding="utf-8").replace("train: images/train", "train: train.txt"), encoding="utf-8"
    )
    return told
