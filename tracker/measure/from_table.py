"""Measures of detections that come as a table: from size and box, for there are no outlines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from insitrack.io.detections import Detections
from insitrack.io.results import NAN, Measures
from insitrack.io.tables.detection_table import DetectionTable


def measured_frames(table: DetectionTable) -> Iterator[tuple[Detections, Measures]]:
    """Give detections and measures of every frame of a table, also of those in which nothing was found.

    A defect is the ellipse that fills its box, scaled to the diameter that the table states: the box may be
    something else, a padded crop say.

    Parameters
    ----------
    table : DetectionTable
        Detections of a movie.

    Yields
    ------
    Detections, Measures
        Of one frame, in order of time. Lengths in nm are NaN where the table has no scale.
    """
    for rows, found in zip(table.rows_by_frame(), table.frames(), strict=True):
        yield found, _measures(table, rows)


def _measures(table: DetectionTable, rows: slice) -> Measures:
    boxes, size = table.boxes[rows], table.size_px[rows]
    sides = boxes[:, 2:] - boxes[:, :2]
    nm = table.nm_per_px or NAN
    long, short = sides.max(axis=1, initial=0.0), sides.min(axis=1, initial=np.inf)
    scale = size / np.maximum(np.sqrt(long * short), 1e-9)
    height, width = table.shape
    edge = (boxes[:, :2] <= 0).any(axis=1) | (boxes[:, 2] >= width) | (boxes[:, 3] >= height)
    area = np.pi / 4 * size**2
    angle = np.where(sides[:, 1] > sides[:, 0], 90.0, 0.0)
    excluded = (boxes[:, 0] <= 0) | (boxes[:, 3] >= height)
    long, short = long * scale, short * scale
    return Measures(
        x_px=table.x_px[rows],
        y_px=table.y_px[rows],
        area_px=area,
        major_px=long,
        minor_px=short,
        angle_deg=angle,
        on_edge=edge,
        size_nm=size * nm,
        area_nm2=area * nm**2,
        on_exclusion_edge=excluded,
        feret_px=long,
        r_min_px=short / 2,
        r_max_px=long / 2,
    )
