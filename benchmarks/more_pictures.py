"""Images added to the training of `loops` after the first four trainings.

Computed cavities and particles (drawn), more of what the fifth training found too few of (diffuse loops, laths),
dense fields of needles and laths on clean steel and on an even foil, defects drawn onto micrographs of clean steel, the same without
defects and nanoporous gold (nothing there is to be found), particles that people boxed, without a type or as precipitates, and
mottle: real images with their phases randomised, so that the spectrum is real and nothing else.
The real ones are read from ``../shared/data`` beside the repository. `held_out` names those kept for tests.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.detections import Detections
from insitrack.io.synth.settings import ranges
from insitrack.segment.prepare.grey import stretch_to_8_bit
from insitrack.segment.training.composite import drawn_onto
from insitrack.segment.training.dataset import (
    TRAINED_CLASSES,
    DatasetSettings,
    jittered,
    write_example,
    write_synth_dataset,
)

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
SIDE_PX = 320
BRIGHT_SHARE = 0.06
CAVITIES = DatasetSettings(
    scenes=260,
    frames_per_scene=2,
    first_seed=200_000,
    held_out=0.0,
    shares={"voids": 0.3, "bubbles": 0.35, "swelling": 0.35},
)
PARTICLES = DatasetSettings(
    scenes=220,
    frames_per_scene=2,
    first_seed=210_000,
    held_out=0.0,
    shares={"laths": 0.45, "particles": 0.4, "precipitates": 0.15},
)
MORE_DRAWN = DatasetSettings(
    scenes=330,
    frames_per_scene=2,
    first_seed=230_000,
    held_out=0.0,
    shares={"diffuse": 0.34, "two_beam": 0.2, "laths": 0.2, "mixed": 0.13, "precipitates": 0.13},
)
ON_STEEL = {
    "voids": 0.14,
    "bubbles": 0.2,
    "swelling": 0.18,
    "loops": 0.16,
    "two_beam": 0.14,
    "laths": 0.08,
    "particles": 0.1,
}
DENSE_FORMS: dict[str, dict[str, list[float]]] = {
    "lath": {
        "contrast": [0.35, 0.98],
        "median_nm": [5.0, 22.0],
        "ratio": [0.12, 0.4],
        "strain": [0.2, 1.0],
    },
    "needle": {
        "contrast": [0.4, 0.98],
        "inner": [0.3, 0.66],
        "strain": [0.1, 0.7],
        "median_nm": [2.5, 7.0],
    },
}
NUMBERS = {"voids": (4, 40), "bubbles": (30, 200), "swelling": (8, 70), "laths": (10, 90)}
BRIGHT_FIELD = ("PtC1", "PtC2", "Pt_carbon1", "Pt_carbon2")  # of the particles; the others are dark-field
PARTICLE_LABELS = {"arda": len(TRAINED_CLASSES), "arda_typed": TRAINED_CLASSES.index("precipitate")}
HELD_MATERIALS = ("Cu", "Pt_carbon")

Grey = NDArray[np.uint8]
Boxes = NDArray[np.float64]


def grey(path: Path) -> Grey:
    """Read an image as 8-bit grey levels."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)


def steel(*, held_out: bool) -> list[Path]:
    """Micrographs of clean steel; every third is kept for tests."""
    paths = sorted((REAL / "bf-clean-steel" / "images").iterdir())
    return [path for i, path in enumerate(paths) if (i % 3 == 1) == held_out]


def gold(*, held_out: bool) -> list[Path]:
    """Frames of nanoporous gold: the movie of the brittle specimen trains, that of the ductile one tests."""
    return sorted((REAL / "no-defects-gold" / ("ductile" if held_out else "brittle")).iterdir())


def particles(*, held_out: bool) -> list[Path]:
    """Images of supported particles; whole materials are kept for tests."""
    paths = sorted((REAL / "nanoparticles-arda" / "images").iterdir())
    return [path for path in paths if path.stem.startswith(HELD_MATERIALS) == held_out]


def particle_boxes(path: Path, shape: tuple[int, int]) -> Boxes:
    """Boxes that people drew around the particles of an image: x0, y0, x1, y1, px."""
    rows = np.loadtxt(REAL / "nanoparticles-arda" / "labels" / f"{path.stem}.txt").reshape(-1, 5)[:, 1:]
    middle, sides = rows[:, :2], rows[:, 2:]
    size = np.array([shape[1], shape[0]] * 2)
    return np.asarray(np.hstack([middle - sides / 2, middle + sides / 2]) * size, np.float64)


def window(image: Grey, rng: np.random.Generator, scales: tuple[float, float]) -> tuple[Grey, float]:
    """Cut a square at a random place and scale, resampled to `SIDE_PX`; also the scale it has then."""
    side = int(min(SIDE_PX / np.exp(rng.uniform(*np.log(scales))), *image.shape))
    y, x = (int(rng.integers(0, length - side + 1)) for length in image.shape)
    return resampled(image[y : y + side, x : x + side]), SIDE_PX / side


def resampled(part: Grey) -> Grey:
    """Resample a square to `SIDE_PX`."""
    smooth = cv2.INTER_AREA if part.shape[0] > SIDE_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (SIDE_PX, SIDE_PX), interpolation=smooth), np.uint8)


def varied(part: Grey, rng: np.random.Generator, *, negative: bool = False) -> Grey:
    """Stretch and vary the grey levels; a few images, and those of bright objects, become negatives."""
    part = jittered(stretch_to_8_bit(part), rng)
    return 255 - part if negative != (rng.random() < BRIGHT_SHARE) else part


def nothing() -> Detections:
    """Labels of an image without defects."""
    return Detections.empty(0, 0.0, (SIDE_PX, SIDE_PX))


def empty_windows(n: int, seed: int = 3) -> Iterator[tuple[str, Grey, Detections]]:
    """Windows of clean steel and of gold without a label."""
    rng = np.random.default_rng(seed)
    sources = [grey(path) for path in steel(held_out=False)], [grey(path) for path in gold(held_out=False)]
    for i in range(n):
        chosen = sources[int(rng.random() >= 0.72)]
        part, _ = window(chosen[rng.integers(len(chosen))], rng, (0.3, 1.6))
        yield f"neg_{i}", varied(part, rng), nothing()


def on_steel(n: int, seed: int = 4) -> Iterator[tuple[str, Grey, Detections]]:
    """Drawn defects on windows of clean steel, a few on gold."""
    rng = np.random.default_rng(seed)
    sources = (
        [grey(path) for path in steel(held_out=False)],
        [grey(path) for path in gold(held_out=False)[:4]],
    )
    kinds, shares = list(ON_STEEL), np.array(list(ON_STEEL.values()))
    done = 0
    while done < n:
        chosen = sources[int(rng.random() >= 0.93)]
        part, _ = window(chosen[rng.integers(len(chosen))], rng, (0.35, 1.6))
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        part, truth = drawn_onto(
            stretch_to_8_bit(part),
            nothing(),
            rng,
            kind=kind,
            nm_per_px=float(np.exp(rng.uniform(*np.log((0.2, 0.8))))),
            turn=rng.uniform(0, np.pi / 2),
            n=rng.uniform(*NUMBERS.get(kind, (4, 45))),
            blur_px=float(np.exp(rng.uniform(*np.log((0.5, 1.8))))),
        )
        if len(truth) >= 2:
            yield f"onreal_{kind}_{done}", varied(part, rng), truth
            done += 1


def needles(n: int, seed: int = 51) -> Iterator[tuple[str, Grey, Detections]]:
    """Fields of laths and end-on needles, up to hundreds of them, dark and with bright strain beside them.

    As in aged aluminium alloys; on windows of clean steel (nearly half of them) and on an even foil.
    """
    rng, done = np.random.default_rng(seed), 0
    sources = [grey(path) for path in steel(held_out=False)]
    while done < n:
        if rng.random() < 0.45:
            part, _ = window(sources[rng.integers(len(sources))], rng, (0.35, 1.6))
            part = stretch_to_8_bit(part)
        else:
            part = _even_foil(rng)
        drawing = copy.deepcopy(ranges())
        for form, values in DENSE_FORMS.items():
            drawing["form"][form].update(values)
        laths = float(rng.uniform(0.35, 0.8))
        drawing["scene"]["laths"]["forms"] = {"lath": laths, "needle": 1 - laths}
        part, truth = drawn_onto(
            part,
            nothing(),
            rng,
            kind="laths",
            nm_per_px=float(np.exp(rng.uniform(*np.log((0.22, 0.95))))),
            turn=rng.uniform(0, np.pi / 2),
            n=float(np.exp(rng.uniform(*np.log((25, 320))))),
            blur_px=float(np.exp(rng.uniform(*np.log((0.5, 1.6))))),
            drawing=drawing,
        )
        if len(truth) >= 4:
            noisy = part + rng.uniform(0, 9) * rng.standard_normal(part.shape)
            yield f"needles_{done}", varied(np.clip(noisy, 0, 255).astype(np.uint8), rng), truth
            done += 1


def _even_foil(rng: np.random.Generator) -> Grey:
    """Grey levels of a foil without defects: slow bending, mottle, grain."""
    level = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for width_px, least, most in ((60, 3, 25), (14, 1, 9), (4, 0.5, 5)):
        field = rng.standard_normal((SIDE_PX, SIDE_PX)).astype(np.float32)
        field = np.asarray(cv2.GaussianBlur(field, (0, 0), width_px), np.float32)
        level += np.float32(rng.uniform(least, most)) * field / field.std()
    return np.clip(level + rng.uniform(120, 190), 0, 255).astype(np.uint8)


def randomised(image: Grey, rng: np.random.Generator) -> Grey:
    """Texture with the amplitude spectrum of an image and random phases."""
    level = image.astype(np.float32)
    mean = float(level.mean())
    # mirrored, so that the borders add no cross to the spectrum
    mirrored = np.pad(level - mean, ((0, level.shape[0]), (0, level.shape[1])), "reflect")
    noise = np.fft.rfft2(rng.standard_normal(mirrored.shape))
    spectrum = np.abs(np.fft.rfft2(mirrored)) * noise / np.maximum(np.abs(noise), 1e-9)
    field = np.fft.irfft2(spectrum, s=mirrored.shape)[: image.shape[0], : image.shape[1]] + mean
    return np.asarray(np.clip(field, 0, 255), np.uint8)


def mottle(
    sources: dict[str, list[tuple[Grey, tuple[float, float], float, float]]], n: int, seed: int = 8
) -> Iterator[tuple[str, Grey, Detections]]:
    """Randomised windows of real images, three quarters of them with drawn defects.

    `sources` lists for each set the images with their range of scales, nm/px and point spread in px.
    """
    rng = np.random.default_rng(seed)
    for i in range(n):
        name = str(rng.choice(list(sources)))
        image, scales, nm_per_px, blur_px = sources[name][rng.integers(len(sources[name]))]
        part, scale = window(image, rng, scales)
        part, truth = randomised(stretch_to_8_bit(part), rng), nothing()
        if rng.random() < 0.75:
            part, truth = drawn_onto(
                part,
                truth,
                rng,
                kind=str(rng.choice(["two_beam", "diffuse", "loops"], p=[0.5, 0.3, 0.2])),
                nm_per_px=max(0.12, nm_per_px / scale),
                turn=rng.uniform(0, np.pi / 2),
                n=rng.uniform(3, 40),
                blur_px=blur_px * rng.uniform(0.4, 1.3) * scale,
            )
        yield f"mottle_{name}_{i}", varied(part, rng), truth


def write_particles(folder: Path, per_picture: int, label: int = len(TRAINED_CLASSES), seed: int = 5) -> None:
    """Write windows around boxed particles; an ellipse fills each box, of no type unless a class is given."""
    rng = np.random.default_rng(seed)
    for path in particles(held_out=False):
        image = grey(path)
        boxes = particle_boxes(path, (image.shape[0], image.shape[1]))
        usual = float(np.median(np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))))
        for i in range(per_picture):
            wanted = np.exp(rng.uniform(*np.log((9.0, 34.0))))  # usual size of a particle in the window, px
            side = int(min(SIDE_PX / np.clip(wanted / usual, 0.12, 2.0), *image.shape))
            middle = boxes[rng.integers(len(boxes))].reshape(2, 2).mean(axis=0) - rng.uniform(0, side, 2)
            x, y = np.clip(middle, 0, np.array(image.shape[::-1]) - side).astype(int).tolist()
            part = varied(
                resampled(image[y : y + side, x : x + side]), rng, negative=path.stem not in BRIGHT_FIELD
            )
            inside = (boxes - np.array([x, y, x, y])) * (SIDE_PX / side)
            write_example(folder, "train", f"arda_{path.stem}_{i}", part, nothing())
            labels = folder / "labels" / "train" / f"arda_{path.stem}_{i}.txt"
            labels.write_text("\n".join(_ellipses(inside, label)) + "\n", encoding="utf-8")


def _ellipses(boxes: Boxes, label: int) -> list[str]:
    """Labels: ellipses that fill boxes, of which enough lies in the window."""
    cut = np.clip(boxes, 0, SIDE_PX)
    whole, left = (np.prod(np.maximum(part[:, 2:] - part[:, :2], 0), axis=1) for part in (boxes, cut))
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rows = []
    for x0, y0, x1, y1 in cut[(left > 0.4 * whole) & (left > 30)].tolist():
        x, y = (x0 + x1 + (x1 - x0) * np.cos(turn)) / 2, (y0 + y1 + (y1 - y0) * np.sin(turn)) / 2
        places = np.clip(np.stack([x, y], axis=1) / SIDE_PX, 0, 1).ravel()
        rows.append(f"{label} " + " ".join(f"{value:.5f}" for value in places))
    return rows


def write_more(
    folder: Path,
    mottled: dict[str, list[tuple[Grey, tuple[float, float], float, float]]],
    share: float = 1.0,
) -> dict[str, list[Path]]:
    """Write all sets, each into a folder of its name; `share` below 1 makes them smaller.

    The real ones are left out where `mottled`, the images for `mottle`, is empty.

    Returns
    -------
    dict of str to list of Path
        Images of each set.
    """
    drawn = {"void": CAVITIES, "ppt": PARTICLES, "more": MORE_DRAWN}
    for name, chosen in drawn.items():
        fewer = DatasetSettings(**{**_fields(chosen), "scenes": max(2, round(share * chosen.scenes))})
        write_synth_dataset(folder / name, fewer)
    streams: dict[str, Callable[[], Iterator[tuple[str, Grey, Detections]]]] = {}
    if mottled:
        streams = {
            "neg": lambda: empty_windows(max(2, round(420 * share))),
            "onreal": lambda: on_steel(max(2, round(700 * share))),
            "mottle": lambda: mottle(mottled, max(2, round(480 * share))),
            "needles": lambda: needles(max(2, round(520 * share))),
        }
        for name, label in PARTICLE_LABELS.items():
            write_particles(folder / name, max(1, round(22 * share)), label)
    for name, stream in streams.items():
        for stem, image, truth in stream():
            write_example(folder / name, "train", stem, image, truth)
    names = (*drawn, *streams, *(PARTICLE_LABELS if streams else ()))
    return {name: sorted((folder / name / "images" / "train").iterdir()) for name in names}


def _fields(chosen: DatasetSettings) -> dict[str, object]:
    return {name: getattr(chosen, name) for name in chosen.__slots__}
