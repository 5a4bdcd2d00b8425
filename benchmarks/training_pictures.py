"""The images that the shipped network `loops` was trained on.

Drawn scenes, real micrographs, and drawn defects on real micrographs; `more_pictures` holds the sets that
came later.

``write(FOLDER, model)`` needs ``../shared/data`` beside the repository for the real part and leaves that out
where it is absent. One fifth of the real images, whole series and whole crops, is held out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import more_pictures
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
    TRAINED_CLASSES,
    UNTYPED,
    DatasetSettings,
    jittered,
    write_example,
    write_synth_dataset,
    write_yaml,
)

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
SIDE_PX = 320
DRAWN = DatasetSettings(
    scenes=560,
    first_seed=90_000,
    held_out=0.02,
    shares={
        "two_beam": 0.3,
        "loops": 0.4,
        "diffuse": 0.13,
        "mixed": 0.08,
        "precipitates": 0.04,
        "dense": 0.05,
    },
)
ROWS = 7000
SHARES = {
    "synth": 0.24,
    "onzone": 0.2,
    "ti": 0.09,
    "316l": 0.05,
    "void": 0.1,
    "onreal": 0.1,
    "neg": 0.06,
    "ppt": 0.05,
    "arda": 0.06,
    "mottle": 0.05,
}
"""Share of each set in the list of training images; the sets themselves are smaller or larger."""
FOLDS = 5
BRIGHT_SHARE = 0.06

Picture = tuple[str, NDArray[np.uint8], Detections]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How windows are cut from a real image, and what is drawn onto half of them."""

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
    """Fold of a series of on-zone images."""
    return sorted(on_zone.SERIES).index(series) % FOLDS


def real_pictures(model: str) -> Iterator[tuple[Picture, Source]]:
    """Real images with their labels; the detections of `model` label what people did not box."""
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
    """Write windows of a real image at random places and scales; half of them get drawn defects too."""
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


def listed(
    lists: dict[str, list[Path]], shares: dict[str, float], rows: int, rng: np.random.Generator
) -> list[Path]:
    """List `rows` images, each set thinned or repeated to its share; sets that are missing leave theirs."""
    present = {name: share for name, share in shares.items() if lists.get(name)}
    out: list[Path] = []
    for name, share in present.items():
        wanted, paths = round(rows * share / sum(present.values())), lists[name]
        rounds = -(-wanted // len(paths))
        order = np.concatenate([rng.permutation(len(paths)) for _ in range(rounds)])[:wanted]
        out += [paths[i] for i in order.tolist()]
    return out


def mottle_sources(
    held_fold: int | None = 0,
) -> dict[str, list[tuple[Any, tuple[float, float], float, float]]]:
    """Images whose spectrum the mottle takes: range of scales, nm/px, point spread (px)."""
    clean = [more_pictures.grey(path) for path in more_pictures.steel(held_out=False)]
    on_axis = [p for p in on_zone.pictures() if fold_of_series(p.series) != held_fold][::12]
    return {
        "ti": [
            (image, (0.35, 1.2), 0.2554, 3.0)
            for i, (_, image, _) in enumerate(frames_ti())
            if i % 2 and i % FOLDS != held_fold
        ],
        "316l": [
            (image, (0.4, 1.3), 0.39, 4.0) for n, (_, image, _) in crops_316l() if n % FOLDS != held_fold
        ],
        "steel": [(image, (0.35, 1.5), 0.4, 1.5) for image in clean],
        "onzone": [(p.image, (0.5, 1.5), p.nm_per_px, 1.3) for p in on_axis],
    }


def write_sets(
    folder: Path, model: str, held_fold: int | None = 0, *, share: float = 1.0, real: bool = True
) -> dict[str, list[Path]]:
    """Write every set of training images, or list those that are there.

    `share` below 1 draws fewer scenes; without `real` only drawn ones are made.
    """
    listing = folder / "sets.json"
    if listing.is_file():
        stored = json.loads(listing.read_text(encoding="utf-8"))
        return {name: [folder / path for path in paths] for name, paths in stored.items()}
    real = real and REAL.is_dir()
    write_synth_dataset(folder, replace(DRAWN, scenes=max(4, round(share * DRAWN.scenes))))
    lists = {"synth": sorted((folder / "images" / "train").iterdir())}
    if real:
        for i, (picture, source) in enumerate(real_pictures(model)):
            if source.fold != held_fold:
                kind = picture[0].split("_")[0]
                windows = write_windows(folder, picture, source, np.random.default_rng([7, i]))
                lists.setdefault(kind, []).extend(windows)
    lists |= more_pictures.write_more(folder, mottle_sources(held_fold) if real else {}, share)
    paths = {name: [str(path.relative_to(folder)) for path in chosen] for name, chosen in lists.items()}
    listing.write_text(json.dumps(paths) + "\n", encoding="utf-8")
    return lists


def write_list(folder: Path, pictures: Sequence[Path], val: Path) -> Path:
    """Write ``train.txt`` and the ``data.yaml`` that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = "\n".join(str(path.resolve()) for path in pictures)
    (folder / "train.txt").write_text(rows + "\n", encoding="utf-8")
    told = write_yaml(folder, (*TRAINED_CLASSES, UNTYPED))
    text = told.read_text(encoding="utf-8").replace("train: images/train", "train: train.txt")
    told.write_text(text.replace("val: images/val", f"val: {val.resolve()}"), encoding="utf-8")
    return told


def write(folder: Path, model: str, held_fold: int | None = 0) -> Path:
    """Write all training images and the list of them.

    Returns
    -------
    Path
        ``data.yaml``.
    """
    lists = write_sets(folder, model, held_fold)
    return write_list(
        folder, listed(lists, SHARES, ROWS, np.random.default_rng(1000)), folder / "images" / "val"
    )
