"""Labels of LabelMe."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.segment.labels.files import check_count, reading
from insitrack.segment.labels.outlines import Drawn, Shape, Sheet, ellipse_points, sheet_of
from insitrack.segment.labels.pictures import PictureFinder

_MOST_SIDE_PX = 8192  # of a mask in a file that does not say how large its image is


def labelme_sheet(path: Path, data: Mapping[str, Any], find: PictureFinder) -> Sheet:
    """Read a LabelMe file: polygons, circles and masks, and rectangles as boxes.

    Shapes of one group are one defect.

    Points and open lines have no area and are left out.

    Raises
    ------
    SourceError
        If a shape is not as LabelMe writes it, or the image is missing.
    """
    groups: dict[Any, list[Drawn]] = {}
    with reading(path, "expected shapes as LabelMe writes them; save the file again in LabelMe") as place:
        check_count(len(data["shapes"]))
        place.at = "imageHeight, imageWidth"
        height, width = data.get("imageHeight"), data.get("imageWidth")
        shape_px = (int(height), int(width)) if height and width else None
        for number, shape in enumerate(data["shapes"]):
            place.at = f"shape {number}"
            one = _labelme_defect(shape, shape_px)
            if one:
                group = shape.get("group_id")
                key = number if group is None or not one.parts else (group, one.name)
                groups.setdefault(key, []).append(one)
        place.at = "imagePath"
        name = str(data.get("imagePath") or path.with_suffix(".png").name)
        drawn = [
            ones[0]
            if len(ones) == 1
            else Drawn(ones[0].name, tuple(part for one in ones for part in one.parts))
            for ones in groups.values()
        ]
        return sheet_of(path, find(name, path), drawn, shape=shape_px)


def _labelme_defect(shape: Mapping[str, Any], shape_px: Shape | None) -> Drawn | None:
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
            crop = _png_mask(base64.b64decode(shape["mask"]), shape_px)
            return Drawn(
                name, pixels=(np.asarray(crop > 0, bool), (round(points[0, 1]), round(points[0, 0])))
            )
    return None


def _png_mask(data: bytes, shape_px: Shape | None) -> NDArray[Any]:
    """Unpack a mask that claims no more pixels than its image has."""
    width, height = struct.unpack(">II", data[16:24]) if data[:4] == b"\x89PNG" and len(data) > 24 else (0, 0)
    most = shape_px or (_MOST_SIDE_PX, _MOST_SIDE_PX)
    if not (0 < height <= most[0] and 0 < width <= most[1]):
        raise ValueError(f"a mask of {height} x {width} px that is no PNG or larger than its image")
    crop = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if crop is None:
        raise ValueError("the mask is not a PNG")
    return np.asarray(crop)
