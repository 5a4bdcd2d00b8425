"""ImageJ regions of interest: one polygon per defect and frame, in a set that the ROI Manager opens."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from insitrack.io.draw.palette import class_colours
from insitrack.io.exchange.polygons import polygons
from insitrack.io.exchange.run_parts import RunParts


def write(run: RunParts, path: Path) -> None:
    """Write a set of regions.

    Each is named after class and track and stands on its frame, counted from 1; its group is the number of
    its class. A defect of several parts is several regions of one name; holes are filled.
    """
    from roifile import ImagejRoi

    colours = class_colours(run.class_names)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for found in run.masks():
            for i, track in enumerate(found.track_ids.tolist()):
                name, (y, x) = found.names[i], found.masks.corners[i].tolist()
                for k, corners in enumerate(polygons(found.masks.crop(i))):
                    roi = ImagejRoi.frompoints(corners + np.array([x, y]), name=f"{name}-{track}")
                    roi.position = found.frame + 1
                    roi.group = run.class_names.index(name) + 1
                    roi.stroke_color = bytes((255, *colours[name]))
                    archive.writestr(f"{found.frame:06d}-{track}-{k}.roi", roi.tobytes())
