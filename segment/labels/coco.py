"""COCO labels: polygons, run lengths, boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.segment.labels.files import check_count, reading
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Sheet, sheet_of
from insitrack.segment.labels.pictures import PictureFinder
from insitrack.segment.labels.run_lengths import check_runs


def coco_sheets(path: Path, data: Mapping[str, Any], find: PictureFinder) -> Iterator[Sheet]:
    """Read a COCO file: polygons, run lengths, or the box where there is neither; crowds are left out.

    An image that is listed without annotations holds nothing.

    Raises
    ------
    SourceError
        If an entry lacks what COCO prescribes, or an image is missing.
    """
    with reading(
        path, "expected images, annotations and categories as COCO prescribes, see cocodataset.org"
    ) as place:
        names = {entry["id"]: str(entry["name"]) for entry in data.get("categories", [])}
        by_picture: defaultdict[Any, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
        for number, annotation in enumerate(data["annotations"]):
            place.at = f"annotation {number}"
            if not annotation.get("iscrowd"):
                by_picture[annotation["image_id"]].append((number, annotation))
        for image in data["images"]:
            place.at = f"image {image['id']}"
            name = str(image["file_name"])
            listed = by_picture[image["id"]]
            check_count(len(listed))
            shape = (
                (int(image["height"]), int(image["width"]))
                if image.get("height") and image.get("width")
                else None
            )
            drawn = []
            for number, one in listed:
                place.at = f"annotation {number}"
                drawn.append(
                    _coco_defect(one, names.get(one.get("category_id"), str(one.get("category_id", UNNAMED))))
                )
            yield sheet_of(path, find(name, path), drawn, shape=shape)


def _coco_defect(annotation: Mapping[str, Any], name: str) -> Drawn:
    outline = annotation.get("segmentation")
    if isinstance(outline, Mapping):
        check_runs(outline)
        return Drawn(name, runs=outline)
    if outline:
        parts = [outline] if isinstance(outline[0], int | float) else outline
        return Drawn(name, tuple(np.array(part, np.float64).reshape(-1, 2) for part in parts))
    x, y, width, height = (float(value) for value in annotation["bbox"])
    return Drawn(name, box=(x, y, x + width, y + height))
