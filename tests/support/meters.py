"""Materials, defects and rows for tests of the series."""

import dataclasses

import numpy as np

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Calibration
from insitrack.io.results import Measures, SeriesRow
from insitrack.tracker.hardening.models import Barrier, Material

TEST_SET = {"black_dot": 0.20, "loop_111": 0.30, "loop_100": 0.30}
SHEN_NM = {"black_dot": 8.2, "loop_111": 22.4, "loop_100": 20.3}
FOIL = Calibration(nm_per_px=1.0, thickness_nm=100.0)
SQUARE = (1000, 1000)
NUMBERS = [
    field.name
    for field in dataclasses.fields(SeriesRow)
    if field.name not in ("frame", "t_s", "dose_dpa", "defect_class")
]


def iron(alpha_rel_sd=0.0, alphas=TEST_SET) -> Material:
    barriers = {
        name: Barrier(constant=alpha, constant_sd=alpha * alpha_rel_sd, source="test")
        for name, alpha in alphas.items()
    }
    return Material(shear_modulus_gpa=82.0, burgers_nm=0.248, barriers=barriers, name="test iron")


def defects(sizes_nm, shape=SQUARE, edge=()):
    """Detections and measures of given sizes per class; those of the classes in `edge` all touch the border."""
    names = [name for name, sizes in sizes_nm.items() for _ in sizes]
    n, blank = len(names), np.zeros(len(names))
    masks = Masks.from_crops([np.ones((1, 1), bool)] * n, np.zeros((n, 2)))
    labels = np.array([DEFECT_CLASSES.index(name) + 1 for name in names], np.int64)
    size = np.array([size for sizes in sizes_nm.values() for size in sizes], np.float64)
    on_edge = np.array([name in edge for name in names], bool)
    return Detections(0, 0.0, shape, masks.boxes(), labels, np.ones(n, np.float32), masks), Measures(
        *[blank] * 6, on_edge, size, blank
    )


def rows_of(meter, sizes_nm, shape=SQUARE, edge=(), **more):
    found, measures = defects(sizes_nm, shape, edge)
    rows = meter.rows(3, 2.0, found, measures, np.ones(len(found), bool), **more)
    return {row.defect_class: row for row in rows}


def shen(counts):
    return {name: [SHEN_NM[name]] * count for name, count in counts.items()}
