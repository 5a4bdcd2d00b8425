"""Training data: synthetic scenes and labelled images written as a YOLO segmentation data set.

They are split by movie.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import GreyImage
from insitrack.io.detections import Detections
from insitrack.io.synth.source import SynthSource
from insitrack.segment.labels.window import in_window
from insitrack.segment.labels.yolo import TRAINED_CLASSES, label_lines
from insitrack.segment.prepare.grey import stretch_to_8_bit

UNTYPED = "untyped"
"""Last name of a data set with objects whose type nobody said."""

SYNTHETIC = "synth"
"""Name of a folder of drawn images beside labelled ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSettings:
    """What to draw.

    Parameters
    ----------
    scenes : int
        Movies, each with its own seed.
    frames_per_scene : int
        Images taken from each, far apart in time.
    size_px : int
        Side of the images.
    first_seed : int
        Seeds run from here.
    held_out : float
        Share of the movies that goes to validation, all their frames together.
    shares : dict
        Relative number of movies of each kind.
    """

    scenes: int = 2000
    frames_per_scene: int = 3
    size_px: int = 320
    first_seed: int = 10_000
    held_out: float = 0.03
    shares: dict[str, float] | None = None

    def kinds(self) -> dict[str, float]:
        """Shares of the kinds of scene, summing to 1."""
        shares = self.shares or {
            "two_beam": 0.40,
            "loops": 0.30,
            "mixed": 0.12,
            "voids": 0.06,
            "precipitates": 0.05,
            "dense": 0.07,
        }
        total = sum(shares.values())
        return {kind: share / total for kind, share in shares.items()}


def jittered(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast and gamma beyond what the stretching leaves."""
    levels = np.linspace(0, 1, 256)
    levels = levels ** np.exp(rng.normal(0, 0.25))
    levels = (levels - 0.5) * rng.uniform(0.7, 1.1) + 0.5 + rng.uniform(-0.1, 0.1)
    table = np.clip(levels * 255, 0, 255).astype(np.uint8)
    return np.asarray(table[image], np.uint8)


def scene_uri(kind: str, seed: int, settings: DatasetSettings) -> str:
    """Address of one training movie.

    It is long enough for its frames to differ, and has stage jumps, text and borders.
    """
    return f"synth:{kind}?seed={seed}&size={settings.size_px}&frames=80&fps=4&jumps=3&overlay=2&start=0.35&blink=0.15"


def scenes(settings: DatasetSettings) -> Iterator[tuple[str, bool]]:
    """Address of each movie and whether it is held out; which one depends on its seed alone."""
    shares = settings.kinds()
    for seed in range(settings.first_seed, settings.first_seed + settings.scenes):
        rng = np.random.default_rng([seed, 99])
        kind = str(rng.choice(list(shares), p=list(shares.values())))
        yield scene_uri(kind, seed, settings), bool(rng.random() < settings.held_out)


def write_synth_dataset(
    folder: Path, settings: DatasetSettings, classes: Sequence[str] = TRAINED_CLASSES
) -> Path:
    """Write images and labels of many synthetic movies.

    Parameters
    ----------
    folder : Path
        Made if absent; receives ``images/train images/val labels/train labels/val`` and ``data.yaml``.
    settings : DatasetSettings
        What to draw.
    classes : sequence of str
        In the order of the network's outputs; defects of other classes are left out.

    Returns
    -------
    Path
        ``data.yaml``.
    """
    for uri, held_out in scenes(settings):
        movie = SynthSource(uri)
        rng = np.random.default_rng([int(movie.settings.values["seed"]), 98])
        indices = np.linspace(4, (movie.n_frames or 1) - 1, settings.frames_per_scene).astype(int)
        for index in indices.tolist():
            # at inference the overlay is found in most images, not in all, and left out of the percentiles
            field = ~movie.overlay.covered if rng.random() < 0.7 else None
            image = stretch_to_8_bit(movie.frame(index).image, field)
            image = image if held_out else jittered(image, rng)
            write_example(
                folder,
                "val" if held_out else "train",
                f"{movie.name}_{index:03d}",
                image,
                movie.truth(index),
                classes,
            )
    (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    return write_yaml(folder, classes)


def write_example(
    folder: Path,
    split: str,
    name: str,
    image: NDArray[np.uint8],
    truth: Detections,
    classes: Sequence[str] = TRAINED_CLASSES,
) -> None:
    """Write one image and its labels."""
    for part in ("images", "labels"):
        (folder / part / split).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / split / f"{name}.png"), image)
    (folder / "labels" / split / f"{name}.txt").write_text(
        "\n".join(label_lines(truth, classes)) + "\n", encoding="utf-8"
    )


def write_yaml(folder: Path, classes: Sequence[str] = TRAINED_CLASSES) -> Path:
    """Write ``data.yaml``, with the folders of images and the names of the classes."""
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(classes))
    path = folder / "data.yaml"
    path.write_text(
        f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}", encoding="utf-8"
    )
    return path


def tiles(
    image: GreyImage, truth: Detections, side_px: int, stride_px: int
) -> Iterator[tuple[int, int, GreyImage, Detections]]:
    """Cut a large labelled image into square tiles that cover all of it.

    A defect goes with a tile that holds more than 40 % of it.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (H, W)
        The image.
    truth : Detections
        Its labels.
    side_px, stride_px : int
        Side of the tiles and the largest distance between their corners, px; a smaller image is one tile.

    Yields
    ------
    y, x, image, truth
        Corner of a tile, and the part of both in it.
    """
    height, width = image.shape
    for y in _corners(height, side_px, stride_px):
        for x in _corners(width, side_px, stride_px):
            yield (
                y,
                x,
                image[y : y + side_px, x : x + side_px],
                in_window(truth, (y, x), (min(side_px, height), min(side_px, width)))[0],
            )


def _corners(length: int, side: int, stride: int) -> list[int]:
    """First pixels of tiles, evenly spread from edge to edge."""
    room = max(0, length - side)
    return [round(at) for at in np.linspace(0, room, -(-room // stride) + 1).tolist()]
