"""ImageJ regions of interest as labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.errors import SourceError
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Points, Sheet, sheet_of
from insitrack.segment.labels.pictures import PictureFinder


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
