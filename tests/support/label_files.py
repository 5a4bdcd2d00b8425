"""Label files as the programs write them that people label with: COCO, VIA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Outline = Sequence[Sequence[float]]
"""Corners of a defect, px (x, y)."""


def coco_labels(
    name: str,
    shape: tuple[int, int],
    segmentations: Sequence[object],
    *,
    image_id: int = 7,
    category: tuple[int, str] = (3, "Loop"),
) -> dict[str, Any]:
    """Labels of one image, all of one class; `segmentations` are polygons or run lengths."""
    number, of_class = category
    return {
        "images": [{"id": image_id, "file_name": name, "height": shape[0], "width": shape[1]}],
        "annotations": [
            {
                "image_id": image_id,
                "category_id": number,
                "segmentation": one,
                "bbox": [0, 0, 1, 1],
                "iscrowd": 0,
            }
            for one in segmentations
        ],
        "categories": [{"id": number, "name": of_class}],
    }


def coco_polygon(outline: Outline) -> list[list[float]]:
    """One outline as COCO writes it."""
    return [[value for point in outline for value in point]]


def packed(counts: Sequence[int]) -> str:
    """Run lengths as pycocotools writes them."""
    out = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            out += chr(48 + bits + 32 * more)
    return out


def via_regions(outlines: Sequence[Outline], **attributes: str) -> list[dict[str, Any]]:
    """Outlines as regions of the VGG Image Annotator."""
    return [
        {
            "shape_attributes": {
                "name": "polygon",
                "all_points_x": [x for x, _ in one],
                "all_points_y": [y for _, y in one],
            },
            "region_attributes": attributes,
        }
        for one in outlines
    ]
