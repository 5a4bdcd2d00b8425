"""Labels drawn in annotation programs: COCO, VGG Image Annotator (VIA 2), LabelMe, ImageJ ROI."""

from __future__ import annotations

import base64
import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.errors import SourceError
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Points, Sheet, ellipse_points, sheet_of
from insitrack.segment.labels.pictures import PictureFinder
from insitrack.segment.labels.predictions import rle_mask

Region = tuple[dict[str, Any], dict[str, Any]]
_CLASS_KEYS = ("class", "defect_class", "label", "type", "name", "category", "defect")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    SourceError
        If it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path}: not JSON ({str(error).splitlines()[0]}); export the labels again"
        ) from error


def json_kind(data: Any) -> str:
    """Which program wrote a JSON file: ``COCO``, ``LabelMe``, ``VIA``, or nothing that is known here."""
    if not isinstance(data, dict):
        return ""
    if isinstance(data.get("images"), list) and isinstance(data.get("annotations"), list):
        return "COCO"
    if isinstance(data.get("shapes"), list):
        return "LabelMe"
    entries = data.get("_via_img_metadata", data)
    regions = (
        isinstance(entries, dict)
        and entries
        and all(isinstance(entry, dict) and "regions" in entry for entry in entries.values())
    )
    return "VIA" if regions else ""


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


def via_sheets(path: Path, find: PictureFinder) -> Iterator[Sheet]:
    """Read a project or export of VIA 2, JSON or CSV: polygons, circles, ellipses, and rectangles as boxes.

    Pictures without regions are left out, since VIA lists those nobody has come to yet. Points and open lines
    have no area and are left out too.

    Raises
    ------
    SourceError
        If the file is not VIA's, or it cannot be told which attribute names the class.
    """
    regions = _via_csv(path) if path.suffix.lower() == ".csv" else _via_json(path)
    keys = {key for found in regions.values() for _, attributes in found for key in attributes}
    known = [key for wanted in _CLASS_KEYS for key in keys if key.lower().replace(" ", "_") == wanted]
    if len(keys) > 1 and not known:
        raise SourceError(
            f"{path}: regions have the attributes {', '.join(sorted(keys))}; expected one of them to be"
            " called class"
        )
    key = known[0] if known else next(iter(keys), "")
    for name, found in regions.items():
        drawn = []
        for shape, attributes in found:
            try:
                one = _via_defect(shape, _via_class(attributes.get(key)))
            except (KeyError, TypeError, ValueError) as error:
                raise SourceError(
                    f"{path}: {name}: a {shape.get('name')} that VIA 2 would not write ({error!r}); export it"
                    " again"
                ) from error
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
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                name = row.get("filename") or row["#filename"]
                shape = json.loads(row["region_shape_attributes"] or "{}")
                attributes = json.loads(row["region_attributes"] or "{}")
            except (KeyError, ValueError) as error:
                raise SourceError(
                    f"{path}, line {number}: not a row of VIA 2 ({error!r}); export the annotations again"
                    " as CSV"
                ) from error
            out.setdefault(name, []).extend([(shape, attributes)] if shape else [])
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


def labelme_sheet(path: Path, data: Mapping[str, Any], find: PictureFinder) -> Sheet:
    """Read a LabelMe file: polygons, circles and masks, and rectangles as boxes.

    Shapes of one group are one defect.

    Points and open lines have no area and are left out.

    Raises
    ------
    SourceError
        If a shape is not as LabelMe writes it, or the picture is missing.
    """
    groups: dict[Any, list[Drawn]] = {}
    for number, shape in enumerate(data["shapes"]):
        try:
            one = _labelme_defect(shape)
        except (KeyError, TypeError, ValueError, cv2.error) as error:
            raise SourceError(
                f"{path}: shape {number} is not as LabelMe writes it ({error!r}); save the file again in"
                " LabelMe"
            ) from error
        if one:
            group = shape.get("group_id")
            groups.setdefault(number if group is None or not one.parts else (group, one.name), []).append(one)
    drawn = [
        ones[0] if len(ones) == 1 else Drawn(ones[0].name, tuple(part for one in ones for part in one.parts))
        for ones in groups.values()
    ]
    size = (data.get("imageHeight"), data.get("imageWidth"))
    shape_px = (int(size[0]), int(size[1])) if size[0] and size[1] else None
    name = str(data.get("imagePath") or path.with_suffix(".png").name)
    return sheet_of(path, find(name, path), drawn, shape=shape_px)


def _labelme_defect(shape: Mapping[str, Any]) -> Drawn | None:
    name, points = str(shape["label"]), np.array(shape["points"], np.float64).reshape(-1, 2)
    match shape.get("shape_type", "polygon"):
        case "polygon":
            return Drawn(name, (points,))
        case "circle":
            radius = float(np.hypot(*(points[1] - points[0])))
            return Drawn(name, (ellipse_points((points[0, 0], points[0, 1]), (radius, radius)),))
        case "rectangle":
            (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            return Drawn(name, box=(x1, y1, x2, y2))
        case "mask":
            crop = cv2.imdecode(
                np.frombuffer(base64.b64decode(shape["mask"]), np.uint8), cv2.IMREAD_GRAYSCALE
            )
            if crop is None:
                raise ValueError("the mask is not a PNG")
            return Drawn(
                name, pixels=(np.asarray(crop > 0, bool), (round(points[0, 1]), round(points[0, 0])))
            )
    return None


def imagej_sheets(paths: Sequence[Path], find: PictureFinder) -> Iterator[Sheet]:
    """Read ImageJ regions of interest, ``.roi`` files and ``.zip`` sets.

    Each named as its picture or for the only picture there.

    The class is the name of the region where it has letters, ``loop_100-3`` being one of ``loop_100``, or
    else the number of its group. Rectangles are boxes. The position in a stack is the number of the frame.
    Points and lines are left out.

    Raises
    ------
    SourceError
        If a file cannot be read or it cannot be told to which picture it belongs.
    """
    from roifile import roiread

    frames: dict[tuple[Path, int], tuple[Path, list[Drawn]]] = {}
    for path in paths:
        try:
            found = roiread(path)
        except Exception as error:
            raise SourceError(
                f"{path}: not an ImageJ region or set of regions ({error}); save it again in the ROI Manager"
            ) from error
        bare = re.sub(r"(?i)[-_ ]?(roi_?set|rois?)[-_ ]?", "", path.stem)
        picture = find.of_stem((path.stem, bare), path)
        for roi in found if isinstance(found, list) else [found]:
            one = _imagej_defect(roi)
            frame = max(1, int(roi.position or 0), int(roi.t_position or 0), int(roi.z_position or 0)) - 1
            frames.setdefault((picture, frame), (path, []))[1].extend([one] if one else [])
    for (picture, frame), (path, drawn) in frames.items():
        yield sheet_of(path, picture, drawn, frame=frame)


def _imagej_defect(roi: Any) -> Drawn | None:
    named = re.sub(r"[-_ ]+\d+$", "", roi.name) if re.search("[A-Za-z]", roi.name or "") else ""
    name = (
        roi.name if roi.name and not re.search(r"[-_ ]\d{1,2}$|[-_ ]\d{4,}$", roi.name) and named else named
    )
    name = name or (str(roi.group) if roi.group else UNNAMED)
    match roi.roitype.name:
        case "RECT" if roi.composite is False:
            return Drawn(name, box=(float(roi.left), float(roi.top), float(roi.right), float(roi.bottom)))
        case "POLYGON" | "FREEHAND" | "TRACED" | "OVAL" | "RECT":
            parts: list[Points] = [
                np.asarray(part, np.float64).reshape(-1, 2) for part in roi.coordinates(multi=True)
            ]
            return Drawn(name, tuple(part for part in parts if len(part) >= 3))
    return None
