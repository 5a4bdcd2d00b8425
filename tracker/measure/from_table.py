"""Measures of detections that come as a table: from size and box, for there are no outlines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats
from insitrack.io.detections import Detections
from insitrack.io.results import NAN, Measures
from insitrack.io.tables.detection_table import DetectionTable
from insitrack.io.tables.frame_views import frame_scales
from insitrack.tracker.measure.measure import MeasureConfig, sizes_px

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = ("area_px", "major_px", "minor_px", "feret_px", "r_min_px", "r_max_px")


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


def sizes_nm(
    columns: Mapping[str, Any], names: NDArray[np.str_], config: MeasureConfig, nm_per_px: Floats
) -> Floats:
    """Sizes from the outlines' figures in rows of ``tracks.csv``, nm.

    Parameters
    ----------
    columns : mapping of str to ndarray, or DataFrame
        Columns `area_px`, `major_px`, `minor_px`, `feret_px`, `r_min_px` and `r_max_px`, shape (N,).
    names : ndarray of str, shape (N,)
        Classes.
    config : MeasureConfig
        Definitions of size.
    nm_per_px : ndarray of float64, shape (N,)
        Scale of each row, nm; NaN where unknown.
    """
    figures = (np.asarray(columns[name], np.float64) for name in _FIGURES)
    edge_of = {name: config.edge_nm(name) for name in np.unique(names).tolist()}
    edge = np.array([edge_of[name] for name in names.tolist()], np.float64)
    return np.maximum(sizes_px(names, config, *figures) * nm_per_px - edge, 0.0)


def sizes_as(rows: pd.DataFrame, names: NDArray[np.str_], config: MeasureConfig, nm_per_px: Floats) -> Floats:
    """Sizes of rows of ``tracks.csv`` by the definitions of classes that need not be those of the rows, nm.

    Parameters
    ----------
    rows : DataFrame
        N rows with the figures of their outlines; a size keeps its value where the class is that of the row.
    names : ndarray of str, shape (N,)
        Classes.
    config : MeasureConfig
        Definitions of size.
    nm_per_px : ndarray of float64, shape (N,)
        Scale of each row, nm; NaN where unknown.
    """
    size: Floats = rows["size_nm"].to_numpy(np.float64).copy()
    other = np.isfinite(size) & (names != rows["defect_class"].to_numpy(str))
    if other.any():
        size[other] = sizes_nm(rows[other], names[other], config, nm_per_px[other])
    return size


def with_sizes(
    rows: pd.DataFrame, frames: pd.DataFrame, config: MeasureConfig, nm_per_px: float
) -> pd.DataFrame:
    """Fill in the sizes that were left empty because a frame is not trusted.

    Lengths of lines cannot be told from a table and stay empty.

    Parameters
    ----------
    rows, frames : DataFrame
        Of ``tracks.csv`` and ``frames.csv``.
    config : MeasureConfig
        Definitions of size.
    nm_per_px : float
        Scale of the run, nm; NaN where unknown.
    """
    empty = rows["size_nm"].isna().to_numpy()
    if not empty.any():
        return rows
    part, number = rows[empty], frames["frame"].to_numpy(np.int64)
    nm = frame_scales(frames, nm_per_px)[np.searchsorted(number, part["frame"].to_numpy(np.int64))]
    names = part["defect_class"].astype(str).to_numpy(np.str_)
    size, area = rows["size_nm"].to_numpy(np.float64).copy(), rows["area_nm2"].to_numpy(np.float64).copy()
    size[empty] = sizes_nm(part, names, config, nm)
    area[empty] = part["area_px"].to_numpy(np.float64) * nm**2
    return rows.assign(size_nm=size, area_nm2=area)
