"""Labels of LabelMe."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from insitrack.io.errors import SourceError
from insitrack.segment.labels.outlines import Drawn, Sheet, ellipse_points, sheet_of
from insitrack.segment.labels.pictures import PictureFinder


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
