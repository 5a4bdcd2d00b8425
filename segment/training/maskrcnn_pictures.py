"""Images and truth as torchvision trains on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from insitrack.io.arrays import Bytes
from insitrack.io.detections import Detections
from insitrack.io.errors import SourceError
from insitrack.io.files.folder import IMAGE_SUFFIXES
from insitrack.segment.labels.yolo import read_labels

Picture = tuple[Path, Path]
Target = dict[str, torch.Tensor]
_PADDING_GREY = 114
_LEAST_PX = 12  # smaller masks have no shape; so small a piece at the border of an image is not taught
_LEAST_SHARE = 0.4  # of a defect that must be left when the border cuts it


def dataset_pictures(data: Path, split: str = "train") -> list[Picture]:
    """Images and label files of one split of a YOLO segmentation data set.

    Parameters
    ----------
    data : Path
        ``data.yaml``; its ``path`` counts from the folder that it lies in.
    split : str
        ``train`` or ``val``.

    Raises
    ------
    SourceError
        If the file says nothing of the split, or there are no images.
    """
    import yaml

    if not data.is_file():
        raise SourceError(f"{data}: no such file; expected the data.yaml of a YOLO segmentation data set")
    facts: Any = yaml.safe_load(data.read_text(encoding="utf-8"))
    if not isinstance(facts, dict) or not isinstance(facts.get(split), str):
        raise SourceError(
            f"{data}: names no folder for {split!r}; expected {split}: images/{split} as in YOLO's data.yaml"
        )
    folder = data.parent / str(facts.get("path", ".")) / facts[split]
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not pictures:
        raise SourceError(f"{folder}: no images; expected those that {data} names")
    return [
        (path, Path(*("labels" if part == "images" else part for part in path.parts)).with_suffix(".txt"))
        for path in pictures
    ]


def read_example(picture: Picture, classes: Sequence[str]) -> tuple[Bytes, Detections]:
    """Read one image, grey, and its labels."""
    image = np.asarray(cv2.imread(str(picture[0]), cv2.IMREAD_GRAYSCALE), np.uint8)
    return image, read_labels(picture[1], (image.shape[0], image.shape[1]), classes)


def augmented(
    image: Bytes, truth: Detections, side_px: int, scale: float, rng: np.random.Generator
) -> tuple[Bytes, NDArray[np.uint8], NDArray[np.int64]]:
    """Turn, mirror, magnify and cut a labelled image at random.

    Returns
    -------
    image : ndarray of uint8, shape (side_px, side_px)
    masks : ndarray of uint8, shape (N, side_px, side_px)
        0 or 1; defects that the border cuts to less than 40 % are left out.
    rows : ndarray of int64, shape (N,)
        Rows of `truth` that they are.
    """
    factor = rng.uniform(1 - scale, 1 + scale)
    room = side_px - factor * np.array(image.shape[::-1])
    turn = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]][rng.integers(2)]) * rng.choice([-1, 1], 2)[:, None]
    # about the middle of the image, which then goes to a random place
    middle = (np.array(image.shape[::-1]) - 1) / 2
    to = (side_px - 1) / 2 + rng.uniform(-0.5, 0.5, 2) * np.abs(room if turn[0, 0] else room[::-1])
    matrix = np.concatenate([factor * turn, (to - factor * turn @ middle)[:, None]], axis=1)
    picture = cv2.warpAffine(
        image, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderValue=_PADDING_GREY
    )
    masks, rows = [], []
    for i, (y, x) in enumerate(truth.masks.corners.tolist()):
        crop = truth.masks.crop(i).astype(np.float32)
        moved = matrix.copy()
        moved[:, 2] += matrix[:, :2] @ (x, y)
        mask = cv2.warpAffine(crop, moved, (side_px, side_px), flags=cv2.INTER_LINEAR) >= 0.5
        if mask.sum() >= max(_LEAST_PX, _LEAST_SHARE * factor**2 * crop.sum()):
            masks.append(mask)
            rows.append(i)
    return (
        np.asarray(picture, np.uint8),
        np.array(masks, np.uint8).reshape(-1, side_px, side_px),
        np.array(rows, np.int64),
    )


def target_of(masks: NDArray[np.uint8], labels: NDArray[np.int64]) -> Target:
    """Truth in the form that torchvision trains on; boxes end where the last pixel ends."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for i, mask in enumerate(masks):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes[i] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return {
        "boxes": torch.from_numpy(boxes),
        "labels": torch.from_numpy(labels),
        "masks": torch.from_numpy(masks),
    }
