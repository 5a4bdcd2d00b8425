"""What of a measure depends on the class: its size and the length of a line, by the class of the track."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats
from insitrack.io.detections import Detections
from insitrack.io.results import Measures
from insitrack.tracker.hardening.materials import LINE_CLASSES
from insitrack.tracker.measure.measure import MeasureConfig, sizes_px


def sizes_as(measures: Measures, names: NDArray[np.str_], nm_per_px: float, config: MeasureConfig) -> Floats:
    """Sizes by the definitions of classes that need not be those under which the outlines were measured, nm.

    Parameters
    ----------
    measures : Measures
        N rows from outlines.
    names : ndarray of str, shape (N,)
        Classes.
    nm_per_px : float
        Scale, nm; NaN where unknown.
    config : MeasureConfig
        Definitions of size.
    """
    one = measures
    size = sizes_px(
        names, config, one.area_px, one.major_px, one.minor_px, one.feret_px, one.r_min_px, one.r_max_px
    )
    edge = np.array([config.edge_nm(name) for name in names.tolist()], np.float64)
    return np.maximum(size * nm_per_px - edge, 0.0)


def lengths_of_lines(measures: Measures, detections: Detections) -> Measures:
    """Leave lengths to line dislocations, as `detections` name them; NaN for the others."""
    lines = np.array([name in LINE_CLASSES for name in detections.class_names], bool)[detections.labels - 1]
    return replace(measures, line_length_nm=np.where(lines, measures.line_length_nm, np.nan))
