"""Detections made elsewhere: COCO results, and predictions of Mask R-CNN as NumPy archives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SourceError
from insitrack.segment.labels.files import read_json, shown
from insitrack.segment.labels.outlines import exact_masks
from insitrack.segment.labels.run_lengths import rle_mask

_EXPECTED = (
    "expected COCO results (JSON), or a folder of Mask R-CNN predictions (NAME.npz with boxes, labels,"
    " scores, masks)"
)


def read_predictions(
    path: Path, shapes: Mapping[str, tuple[int, int]], labels: Mapping[str, Any] | None = None
) -> dict[str, Detections]:
    """Read what was found in each image.

    Parameters
    ----------
    path : Path
        COCO results: a JSON list of `image_id`, `category_id`, `score`, `segmentation` (run lengths or
        polygons) or `bbox`; or a JSON object that has such a list under `annotations`, with `images` and
        `categories`. Or a folder with one NAME.npz per image in torchvision's form: `boxes` (N, 4),
        `labels` (N,) from 1, `scores` (N,), `masks` (N, 1, H, W), and `class_names` where they are not those
        of insitrack.
    shapes : mapping of str to (int, int)
        Height and width of every labelled image, by name (no folder, no suffix).
    labels : mapping, optional
        COCO labels, for the meaning of `image_id` and `category_id` where the results do not say it
        themselves.

    Returns
    -------
    dict of str to Detections
        By name of the image; an image without predictions is empty. Masks are the boxes where there are
        only boxes.

    Raises
    ------
    SourceError
        If the file is not readable, or names an image or a class that is not known.
    """
    try:
        if path.is_dir():
            return {name: _read_npz(path / f"{name}.npz", name, shape) for name, shape in shapes.items()}
        if path.suffix.lower() == ".npz" and len(shapes) == 1:
            return {name: _read_npz(path, name, shape) for name, shape in shapes.items()}
        data = read_json(path)
        entries = data["annotations"] if isinstance(data, dict) else data
        told: Mapping[str, Any] = {**(labels or {}), **(data if isinstance(data, dict) else {})}
        return _from_results(entries, shapes, told)
    except OSError as error:
        raise SourceError(
            f"--predictions {error.filename or path}: cannot be read ({error.strerror or error}); {_EXPECTED}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, BadZipFile) as error:
        raise SourceError(
            f"--predictions {path}: not readable ({type(error).__name__}: {shown(str(error), 120)}); {_EXPECTED}"
        ) from error


def coco_facts(paths: Iterable[Path]) -> dict[str, Any]:
    """Images and categories that COCO labels list, for results that give only their numbers.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    out: dict[str, Any] = {"images": [], "categories": []}
    for path in sorted(paths):
        try:
            data = read_json(path)
            for key, values in out.items():
                values += data.get(key, [])
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise SourceError(f"{path}: not readable as COCO labels ({shown(str(error), 120)})") from error
    return out


def _from_results(
    entries: Sequence[Any], shapes: Mapping[str, tuple[int, int]], told: Mapping[str, Any]
) -> dict[str, Detections]:
    names = {image["id"]: Path(image["file_name"]).stem for image in told.get("images", [])}
    categories = {category["id"]: str(category["name"]) for category in told.get("categories", [])}
    by_picture: dict[str, list[Mapping[str, Any]]] = {name: [] for name in shapes}
    for entry in entries:
        image_id = entry["image_id"]
        name = names.get(image_id, Path(str(image_id)).stem)
        if name not in by_picture:
            if name in names.values():
                continue  # an image of the data set that is not scored here
            raise SourceError(
                f"--predictions: image_id {image_id!r} is none of the labelled images"
                f" ({', '.join(list(shapes)[:4])}, ...)"
            )
        by_picture[name].append(entry)
    classes = tuple(dict.fromkeys((*DEFECT_CLASSES, *categories.values())))
    return {name: _detections(part, shapes[name], categories, classes) for name, part in by_picture.items()}


def _detections(
    entries: Sequence[Mapping[str, Any]],
    shape: tuple[int, int],
    categories: Mapping[Any, str],
    classes: tuple[str, ...],
) -> Detections:
    dense, labels, scores = [], [], []
    for entry in entries:
        if entry["category_id"] not in categories:
            raise SourceError(
                f"--predictions: category_id {entry['category_id']!r} is not known; give `categories` in the"
                " file or use COCO labels"
            )
        dense.append(Masks.from_dense(_mask(entry, shape)[None]))
        labels.append(classes.index(categories[entry["category_id"]]) + 1)
        scores.append(float(entry.get("score", 1.0)))
    masks = Masks.empty()
    for mask in dense:
        masks = masks.then(mask)
    return Detections(
        0, 0.0, shape, masks.boxes(), np.array(labels, np.int64), np.array(scores, np.float32), masks, classes
    )


def _mask(entry: Mapping[str, Any], shape: tuple[int, int]) -> BoolImage:
    """Return the full mask of one result, from run lengths, polygons or its box."""
    outline = entry.get("segmentation")
    if isinstance(outline, Mapping):
        return rle_mask(outline, shape)
    if not outline:
        x, y, width, height = entry["bbox"]
        outline = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    return np.asarray(exact_masks(shape, [np.array(part) for part in outline], 1).any(axis=0), bool)


def _read_npz(path: Path, name: str, shape: tuple[int, int]) -> Detections:
    with np.load(path, allow_pickle=False) as archive:
        prediction = {key: archive[key] for key in ("boxes", "labels", "scores", "masks")}
        classes = (
            tuple(str(value) for value in archive["class_names"])
            if "class_names" in archive
            else DEFECT_CLASSES
        )
    if prediction["masks"].shape[-2:] != shape:
        raise ValueError(f"{name}: masks of {prediction['masks'].shape[-2:]} for an image of {shape}")
    return Detections.from_maskrcnn(prediction, frame_index=0, t_s=0.0, class_names=classes)
