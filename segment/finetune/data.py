"""Labelled images made ready to train on: split by movie, cut to tiles, mixed with drawn ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import GreyImage
from insitrack.io.detections import Detections
from insitrack.io.frames import Frame
from insitrack.segment.finetune.boxes import outline_boxes
from insitrack.segment.labels.fill import filled
from insitrack.segment.labels.outlines import Drawn
from insitrack.segment.labels.reader import LabelledPicture
from insitrack.segment.labels.yolo import polygons
from insitrack.segment.prepare.field import field_of
from insitrack.segment.prepare.find_view import SCALES
from insitrack.segment.prepare.view import View
from insitrack.segment.training.dataset import (
    SYNTHETIC,
    DatasetSettings,
    jittered,
    tiles,
    write_example,
    write_synth_dataset,
)

_PADDING_GREY = 114
_FIRST_SEED = 80_000  # apart from the seeds of the shipped models' images and of the test images
_SMALLEST_PX = 6.0  # smaller defects are not found
_FEWEST_TILES = 240  # of labelled images, copies that differ in place and grey levels included


def with_outlines(
    pictures: Iterable[LabelledPicture], segment: Callable[..., Detections] | None
) -> Iterable[tuple[LabelledPicture, Detections]]:
    """Images with their labels, boxes given outlines, see `outline_boxes`."""
    for picture in pictures:
        yield picture, outline_boxes(picture.frame, picture.truth, picture.outlined, segment)


def not_too_small(scale: float, truths: Sequence[Detections]) -> float:
    """Take a larger one of the candidate scales where the small labelled defects would vanish.

    Parameters
    ----------
    scale : float
        What the base model prefers.
    truths : sequence of Detections
        Labels of images of one series.

    Returns
    -------
    float
        The least scale from `scale` up at which nine tenths of the labels have an equivalent diameter of 6 px
        or more; 1 at most.
    """
    areas = np.concatenate([truth.masks.area_px() for truth in truths]) if truths else np.zeros(0)
    if not areas.size or scale >= 1:
        return scale
    least = _SMALLEST_PX / float(np.percentile(2 * np.sqrt(areas / np.pi), 10))
    return min(one for one in SCALES if 1 >= one >= min(1.0, max(scale, least)))


def seen(picture: LabelledPicture, truth: Detections, view: View) -> tuple[NDArray[np.uint8], Detections]:
    """Give what the network sees of an image, and the labels in px of that."""
    image = view.picture(picture.image, field_of(picture.frame))
    if view.scale == 1.0:
        return image, truth
    shape = (int(image.shape[0]), int(image.shape[1]))
    factor = np.array([shape[1] / truth.shape[1], shape[0] / truth.shape[0]])
    return (
        image,
        filled(
            [
                Drawn(name, (points * factor,))
                for name, points in zip(truth.names(), polygons(truth.masks), strict=True)
                if len(points) >= 3
            ],
            shape,
        )[0],
    )


def write_tiles(
    folder: Path,
    split: str,
    pictures: Sequence[tuple[str, NDArray[np.uint8], Detections]],
    classes: Sequence[str],
    side_px: int,
    copies: int = 1,
) -> int:
    """Cut images to tiles of one size and write them with their labels.

    Parameters
    ----------
    folder : Path
        YOLO data set.
    split : str
        ``train`` or ``val``; training tiles differ from copy to copy in place, brightness, contrast and
        gamma.
    pictures : sequence of (str, ndarray of uint8, Detections)
        Name, what the network sees, and its labels.
    classes : sequence of str
        In the order of the network's outputs; labels of other classes are left out.
    side_px : int
        Side of the tiles, px.
    copies : int
        Rounds through the images.

    Returns
    -------
    int
        Tiles written.
    """
    written = 0
    for number, (name, image, truth) in enumerate(pictures):
        for copy in range(copies):
            rng = np.random.default_rng([number, copy])
            room = [max(0, length - side_px) // 2 if copy else 0 for length in image.shape]
            dy, dx = (int(rng.integers(0, most + 1)) for most in room)
            moved = _placed(truth, (dy, dx), (image.shape[0] - dy, image.shape[1] - dx))
            for y, x, part, found in tiles(image[dy:, dx:], moved, side_px, side_px * 3 // 4):
                grey = (
                    jittered(np.asarray(part, np.uint8), rng)
                    if split == "train"
                    else np.asarray(part, np.uint8)
                )
                padded, labels = _padded(grey, found, side_px)
                write_example(folder, split, f"{number:04d}_{name}_{copy}_{y}_{x}", padded, labels, classes)
                written += 1
    return written


def _padded(
    image: NDArray[np.uint8], truth: Detections, side_px: int
) -> tuple[NDArray[np.uint8], Detections]:
    """Tiles smaller than the rest are filled up with grey: the trainer would magnify them."""
    height, width = image.shape
    if (height, width) == (side_px, side_px):
        return image, truth
    out = np.full((side_px, side_px), _PADDING_GREY, np.uint8)
    out[:height, :width] = image
    return out, _placed(truth, (0, 0), (side_px, side_px))


def _placed(truth: Detections, corner: tuple[int, int], shape: tuple[int, int]) -> Detections:
    """Labels as they are in a window of the image; what lies outside stays, and is cut when the window is."""
    masks = truth.masks.shifted(-corner[0], -corner[1])
    return Detections(0, 0.0, shape, masks.boxes(), truth.labels, truth.scores, masks, truth.class_names)


def copies_for(pictures: Sequence[tuple[str, NDArray[np.uint8], Detections]], side_px: int) -> int:
    """Count the rounds through the images that give a few hundred tiles."""
    stride = side_px * 3 // 4
    n = sum(
        (1 + -(-max(0, image.shape[0] - side_px) // stride))
        * (1 + -(-max(0, image.shape[1] - side_px) // stride))
        for _, image, _ in pictures
    )
    return int(np.clip(-(-_FEWEST_TILES // max(1, n)), 1, 12))


def write_synthetic(folder: Path, n_pictures: int, side_px: int, classes: Sequence[str]) -> None:
    """Draw the synthetic images once; they are kept, and drawn again only if the settings differ."""
    settings = DatasetSettings(
        scenes=-(-n_pictures // 2), frames_per_scene=2, size_px=side_px, first_seed=_FIRST_SEED, held_out=0.0
    )
    told = folder / SYNTHETIC / "settings.json"
    if n_pictures and not (
        told.is_file()
        and json.loads(told.read_text(encoding="utf-8")) == json.loads(json.dumps(asdict(settings)))
    ):
        write_synth_dataset(folder / SYNTHETIC, settings, classes)


def write_data_yaml(folder: Path, classes: Sequence[str], synthetic: bool) -> Path:
    """Write the list of images for the trainer."""
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(classes))
    train = f"[images/train, {SYNTHETIC}/images/train]" if synthetic else "images/train"
    path = folder / "data.yaml"
    # JSON's quotes are YAML's: the folder may have any name
    path.write_text(
        f"path: {json.dumps(str(folder.resolve()))}\ntrain: {train}\nval: images/val\nnames:\n{names}",
        encoding="utf-8",
    )
    return path


def middle_of(frame: Frame, truth: Detections, side_px: int) -> tuple[Frame, Detections]:
    """Middle of a large image and the labels in it, to look at after each epoch."""
    if max(frame.shape) <= side_px:
        return frame, truth
    y, x = (max(0, (length - side_px) // 2) for length in frame.shape)
    part: GreyImage = frame.image[y : y + side_px, x : x + side_px].copy()
    _, _, _, inside = next(tiles(part, _placed(truth, (y, x), truth.shape), side_px, side_px))
    return Frame(frame.index, frame.t_s, part), inside
