"""COCO labels: polygons, run lengths, boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.errors import SourceError
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Sheet, sheet_of
from insitrack.segment.labels.pictures import PictureFinder
from insitrack.segment.labels.run_lengths import rle_mask


def coco_sheets(path: Path, data: Mapping[str, Any], find: PictureFinder) -> Iterator[Sheet]:
    """Read a COCO file: polygons, run lengths, or the box where there is neither; crowds are left out.

    A picture that is listed without annotations holds nothing.

    Raises
    ------
    SourceError
        If an entry lacks what COCO prescribes, or a picture is missing.
    """
    try:
        names = {entry["id"]: str(entry["name"]) for entry in data.get("categories", [])}
        by_picture: defaultdict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in data["annotations"]:
            if not annotation.get("iscrowd"):
                by_picture[annotation["image_id"]].append(annotation)
        for image in data["images"]:
            drawn = [
                _coco_defect(one, names.get(one.get("category_id"), str(one.get("category_id", UNNAMED))))
                for one in by_picture[image["id"]]
            ]
            shape = (
                (int(image["height"]), int(image["width"]))
                if image.get("height") and image.get("width")
                else None
            )
            yield sheet_of(path, find(str(image["file_name"]), path), drawn, shape=shape)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"{path}: not as COCO prescribes ({error!r}); expected images, annotations and categories, see"
            " cocodataset.org"
        ) from error


def _coco_defect(annotation: Mapping[str, Any], name: str) -> Drawn:
    outline = annotation.get("segmentation")
    if isinstance(outline, Mapping):
        return Drawn(name, pixels=_cropped(rle_mask(outline)))
    if outline:
        parts = [outline] if isinstance(outline[0], int | float) else outline
        return Drawn(name, tuple(np.array(part, np.float64).reshape(-1, 2) for part in parts))
    x, y, width, height = (float(value) for value in annotation["bbox"])
    return Drawn(name, box=(x, y, x + width, y + height))


def _cropped(mask: BoolImage) -> tuple[BoolImage, tuple[int, int]]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return np.zeros((0, 0), bool), (0, 0)
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], (int(rows[0]), int(columns[0]))
