"""Labels of the VGG Image Annotator (VIA 2), as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.errors import SourceError
from insitrack.segment.labels.files import check_count, read_json, read_text, reading, shown
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Sheet, ellipse_points, sheet_of
from insitrack.segment.labels.pictures import PictureFinder

Region = tuple[dict[str, Any], dict[str, Any]]
_CLASS_KEYS = ("class", "defect_class", "label", "type", "name", "category", "defect")


def via_sheets(path: Path, find: PictureFinder) -> Iterator[Sheet]:
    """Read a project or export of VIA 2, JSON or CSV: polygons, circles, ellipses, and rectangles as boxes.

    Images without regions are left out, since VIA lists those nobody has come to yet. Points and open lines
    have no area and are left out too.

    Raises
    ------
    SourceError
        If the file is not VIA's, or it is not clear which attribute names the class.
    """
    with reading(path, "expected a project or export of VIA 2; export it again"):
        regions = _via_csv(path) if path.suffix.lower() == ".csv" else _via_json(path)
        keys = {str(key) for found in regions.values() for _, attributes in found for key in dict(attributes)}
        known = [key for wanted in _CLASS_KEYS for key in keys if key.lower().replace(" ", "_") == wanted]
    if len(keys) > 1 and not known:
        raise SourceError(
            f"{path}: regions have the attributes {shown(', '.join(sorted(keys)), 200)}; expected one of them to be"
            " called class"
        )
    key = known[0] if known else next(iter(keys), "")
    for name, found in regions.items():
        drawn = []
        with reading(path, "expected a region as VIA 2 writes it; export it again") as place:
            place.at = shown(name)
            check_count(len(found))
            for number, (shape, attributes) in enumerate(found):
                place.at = f"{shown(name, 40)}, region {number}"
                one = _via_defect(shape, _via_class(attributes.get(key)))
                drawn += [one] if one else []
        if drawn:
            yield sheet_of(path, find(name, path), drawn)


def _via_json(path: Path) -> dict[str, list[Region]]:
    data = read_json(path)
    out: dict[str, list[Region]] = {}
    for entry in data.get("_via_img_metadata", data).values():
        regions = entry["regions"].values() if isinstance(entry["regions"], dict) else entry["regions"]
        out.setdefault(str(entry.get("filename")), []).extend(
            (r.get("shape_attributes", {}), r.get("region_attributes", {})) for r in regions
        )
    return out


def _via_csv(path: Path) -> dict[str, list[Region]]:
    out: dict[str, list[Region]] = {}
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    with reading(path, "expected rows as VIA 2 writes them; export the annotations again as CSV") as place:
        place.at = "line 1"
        try:
            for row in rows:
                place.at = f"line {rows.line_num}"
                name = str(row.get("filename") or row["#filename"])
                shape = json.loads(row["region_shape_attributes"] or "{}")
                attributes = json.loads(row["region_attributes"] or "{}")
                out.setdefault(name, []).extend([(shape, attributes)] if shape else [])
        except csv.Error as error:
            raise ValueError(f"no CSV ({error})") from error
    return out


def _via_class(value: Any) -> str:
    if isinstance(value, Mapping):  # a checkbox: the names of those that are ticked
        value = " ".join(key for key, ticked in value.items() if ticked)
    return str(value).strip() if value not in (None, "") else UNNAMED


def _via_defect(shape: Mapping[str, Any], name: str) -> Drawn | None:
    match shape.get("name"):
        case "polygon":
            return Drawn(
                name,
                (np.stack([np.array(shape[f"all_points_{axis}"], np.float64) for axis in "xy"], axis=1),),
            )
        case "rect":
            x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
            return Drawn(name, box=(x, y, x + width, y + height))
        case "circle":
            return Drawn(
                name,
                (
                    ellipse_points(
                        (float(shape["cx"]), float(shape["cy"])), (float(shape["r"]), float(shape["r"]))
                    ),
                ),
            )
        case "ellipse":
            centre, radii = (float(shape["cx"]), float(shape["cy"])), (float(shape["rx"]), float(shape["ry"]))
            return Drawn(name, (ellipse_points(centre, radii, float(shape.get("theta", 0.0))),))
    return None
