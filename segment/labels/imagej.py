"""ImageJ regions of interest as labels."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.segment.labels.files import check_count, reading
from insitrack.segment.labels.outlines import UNNAMED, Drawn, Points, Sheet, sheet_of
from insitrack.segment.labels.pictures import PictureFinder

_MOST_BYTES = 100 * 2**20  # of all regions of a set together


def imagej_sheets(paths: Sequence[Path], find: PictureFinder) -> Iterator[Sheet]:
    """Read ImageJ regions of interest, ``.roi`` files and ``.zip`` sets.

    Each is named as its image, or belongs to the only image there is.

    The class is the name of the region where it has letters, ``loop_100-3`` being one of ``loop_100``, or
    else the number of its group. Rectangles are boxes. The position in a stack is the number of the frame.
    Points and lines are left out.

    Raises
    ------
    SourceError
        If a file cannot be read or it is not clear to which image it belongs.
    """
    from roifile import roiread

    frames: dict[tuple[Path, int], tuple[Path, list[Drawn]]] = {}
    for path in paths:
        with reading(path, "expected ImageJ regions; save them again in the ROI Manager"):
            _check_archive(path)
            try:
                found = roiread(path)
            except Exception as error:  # a damaged region may raise anything in the library
                raise ValueError(f"not an ImageJ region or set of regions ({error})") from error
        bare = re.sub(r"(?i)[-_ ]?(roi_?set|rois?)[-_ ]?", "", path.stem)
        picture = find.of_stem((path.stem, bare), path)
        regions = found if isinstance(found, list) else [found]
        for number, roi in enumerate(regions):
            with reading(path, "expected a region as ImageJ writes it; save it again") as place:
                place.at = f"region {number}"
                check_count(len(regions))
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


def _check_archive(path: Path) -> None:
    """Refuse a set of regions that unpacks to far more than regions are."""
    if path.suffix.lower() != ".zip":
        return
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [entry.file_size for entry in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError) as error:  # the second: a version of ZIP that is none
        raise ValueError(f"not an ImageJ region or set of regions ({error})") from error
    check_count(len(sizes))
    if sum(sizes) > _MOST_BYTES:
        raise ValueError(f"unpacks to {sum(sizes) / 2**20:.0f} MB, more than {_MOST_BYTES // 2**20} MB")
