"""Training data of the pixel-wise networks.

Synthetic images with a map of classes, centrelines and places that do not count.

``python -m insitrack.segment.training.semantic_data FOLDER --scenes 1300`` draws them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from insitrack.io.arrays import Bytes
from insitrack.io.errors import SourceError
from insitrack.io.synth.source import SynthSource
from insitrack.io.write import write_bytes
from insitrack.segment.prepare.grey import stretch_to_8_bit

CHANNELS: tuple[str, ...] = ("dislocation", "precipitate", "void", "centreline")
"""Outputs of the network, each of its own: a line that crosses a precipitate is both. Bit k of a stored
map is channel k."""

IGNORE_BIT = 16
"""Pixels of what is there but too faint for a person: neither right nor wrong in training."""

CENTRELINE_PX = 3
"""Width of the centreline channel, px: lines of a pile-up whose outlines touch still have centrelines apart.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticDataSettings:
    """What to draw.

    Parameters
    ----------
    scenes : int
        Movies, each with its own seed.
    frames_per_scene : int
        Images taken from each, far apart in time.
    size_px : int
        Side of the images; training cuts smaller ones out of them.
    first_seed : int
        Seeds run from here.
    held_out : float
        Share of the movies that goes to validation, all their frames together.
    pile_up_share : float
        Share of movies of the kind ``pileup``; the others are of the kind ``lines``.
    """

    scenes: int = 1300
    frames_per_scene: int = 3
    size_px: int = 384
    first_seed: int = 100_000
    held_out: float = 0.03
    pile_up_share: float = 0.3


def class_map(movie: SynthSource, index: int) -> Bytes:
    """Map of frame `index`: bit k set where channel k of `CHANNELS` is.

    `IGNORE_BIT` where something is too faint to be asked for.

    Returns
    -------
    ndarray of uint8, shape (H, W)

    Examples
    --------
    >>> found = class_map(SynthSource("synth:pileup?seed=3&size=128&frames=2"), 1)
    >>> found.shape, bool((found & 1).any())
    ((128, 128), True)
    """
    state = movie.truth_state(index)
    out, faint = np.zeros(movie.shape, np.uint8), np.zeros(movie.shape, bool)
    masks = state.detections.masks
    for row, name in enumerate(state.detections.names()):
        if name not in CHANNELS:
            continue
        y, x = masks.corners[row].tolist()
        crop = masks.crop(row)
        window = (slice(y, y + crop.shape[0]), slice(x, x + crop.shape[1]))
        if state.visible[row]:
            out[window] |= crop * np.uint8(1 << CHANNELS.index(name))
        else:
            faint[window] |= crop
    core = np.zeros(movie.shape, np.uint8)
    for line in movie.line_truth(index):
        if line.visible:
            for piece in line.pieces:
                cv2.polylines(
                    core,
                    [np.round((piece - 0.5) * 16).astype(np.int32)],
                    False,
                    1,
                    CENTRELINE_PX,
                    cv2.LINE_8,
                    4,
                )
    out |= core << CHANNELS.index("centreline")
    out[faint & (out == 0)] = IGNORE_BIT
    return out


def scenes(settings: SemanticDataSettings) -> Iterator[tuple[str, bool]]:
    """Address of each movie and whether it is held out; which one depends on its seed alone."""
    for seed in range(settings.first_seed, settings.first_seed + settings.scenes):
        rng = np.random.default_rng([seed, 97])
        kind = "pileup" if rng.random() < settings.pile_up_share else "lines"
        uri = f"synth:{kind}?seed={seed}&size={settings.size_px}&frames=60&fps=2&jumps=2&overlay=2&start=0.5"
        yield uri, bool(rng.random() < settings.held_out)


def examples(uri: str, count: int) -> Iterator[tuple[str, Bytes, Bytes]]:
    """Name, stretched image and map of `count` frames of a movie, far apart in time."""
    movie = SynthSource(uri)
    for index in np.linspace(2, (movie.n_frames or 1) - 1, count).astype(int).tolist():
        yield f"{movie.name}_{index:03d}", stretch_to_8_bit(movie.frame(index).image), class_map(movie, index)


def write_semantic_dataset(folder: Path, settings: SemanticDataSettings) -> None:
    """Write images and maps of many synthetic movies.

    Parameters
    ----------
    folder : Path
        Made if absent; receives ``images/train images/val maps/train maps/val`` and ``settings.json``. Movies
        already there are kept.
    settings : SemanticDataSettings
        What to draw.
    """
    for part in ("images/train", "images/val", "maps/train", "maps/val"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    for uri, held_out in scenes(settings):
        split = "val" if held_out else "train"
        movie = SynthSource(uri).name
        if (
            len(list((folder / "images" / split).glob(f"{movie}_[0-9][0-9][0-9].png")))
            == settings.frames_per_scene
        ):
            continue
        for name, image, found in examples(uri, settings.frames_per_scene):
            cv2.imwrite(str(folder / "maps" / split / f"{name}.png"), found)
            # the image last: a training that runs already takes what has one
            write_bytes(folder / "images" / split / f"{name}.png", cv2.imencode(".png", image)[1].tobytes())


def list_examples(folder: Path, split: str) -> list[tuple[Path, Path]]:
    """Image and map of every example of a split, in order of name.

    Raises
    ------
    SourceError
        If there are none.
    """
    images = sorted((folder / "images" / split).glob("*.png"))
    if not images:
        raise SourceError(
            f"{folder}: no images in images/{split}; draw them with python -m"
            f" insitrack.segment.training.semantic_data {folder}"
        )
    return [(path, folder / "maps" / split / path.name) for path in images]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw a data set from the command line."""
    parser = argparse.ArgumentParser(
        description="draw images and class maps to train a pixel-wise network on"
    )
    parser.add_argument("folder", type=Path)
    for name in ("scenes", "frames_per_scene", "size_px", "first_seed"):
        parser.add_argument(
            "--" + name.replace("_", "-"), type=int, default=getattr(SemanticDataSettings(), name)
        )
    given = vars(parser.parse_args(arguments))
    write_semantic_dataset(given.pop("folder"), SemanticDataSettings(**given))


if __name__ == "__main__":
    main()
