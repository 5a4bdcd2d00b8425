"""Line dislocations in the tables: length of each, total length and density of all."""

import math
from dataclasses import replace

import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Calibration, MissingFrame
from insitrack.io.results import Measures, SeriesRow
from insitrack.tracker.measure.by_class import lengths_of_lines
from insitrack.tracker.measure.measure import MeasureConfig, measure
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig

CLASSES = ("dislocation", "void")


def found(*rows: tuple[str, int, int], shape: tuple[int, int] = (200, 300)) -> Detections:
    """Bars of a class, width 4 px, at a row and of a length."""
    dense = np.zeros((len(rows), *shape), bool)
    for mask, (_, y, length) in zip(dense, rows, strict=True):
        mask[y : y + 4, 20 : 20 + length] = True
    masks = Masks.from_dense(dense)
    labels = np.array([CLASSES.index(name) + 1 for name, _, _ in rows], np.int64)
    return Detections(0, 1.0, shape, masks.boxes(), labels, np.ones(len(rows), np.float32), masks, CLASSES)


def series(detections: Detections, calibration: Calibration, **settings: bool) -> dict[str, SeriesRow]:
    meter = SeriesMeter(SeriesConfig(**settings), calibration, class_names=CLASSES)
    measures = measure(detections, calibration, MeasureConfig())
    rows = meter.rows(0, 1.0, detections, measures, np.ones(len(detections), bool))
    return {row.defect_class: row for row in rows}


FOIL = Calibration(nm_per_px=0.5, thickness_nm=100.0, thickness_sd_nm=10.0)
SOME = found(("dislocation", 20, 200), ("dislocation", 60, 100), ("void", 100, 30))


def test_only_dislocations_have_a_length() -> None:
    measures = lengths_of_lines(measure(SOME, FOIL, MeasureConfig()), SOME)
    assert measures.line_length_nm[:2] == pytest.approx([100, 50], rel=0.03)
    assert np.isnan(measures.line_length_nm[2])
    assert np.isnan(measure(SOME, Calibration(), MeasureConfig()).line_length_nm).all()


def test_a_sight_of_a_line_that_was_taken_for_a_particle_has_a_length() -> None:
    track_says = replace(SOME, labels=np.ones(3, np.int64))
    assert lengths_of_lines(measure(SOME, FOIL, MeasureConfig()), track_says).line_length_nm == pytest.approx(
        [100, 50, 15], rel=0.1
    )


def test_density_is_length_over_area_and_thickness_with_and_without_four_over_pi() -> None:
    rows, flat = series(SOME, FOIL), series(SOME, FOIL, line_four_over_pi=False)
    expected = 150e-9 / (100e-9 * 150e-9 * 100e-9)
    assert rows["dislocation"].line_length_nm == pytest.approx(150, rel=0.03)
    assert flat["dislocation"].line_density_per_m2 == pytest.approx(expected, rel=0.03)
    assert rows["dislocation"].line_density_per_m2 == pytest.approx(
        4 / math.pi * flat["dislocation"].line_density_per_m2
    )
    assert rows["all"].line_density_per_m2 == rows["dislocation"].line_density_per_m2
    assert math.isnan(rows["void"].line_length_nm)
    low, value, high = (
        getattr(rows["dislocation"], "line_density_per_m2" + end) for end in ("_lo", "", "_hi")
    )
    assert 0 <= low < value < high


def test_without_lines_the_density_is_zero_and_its_upper_end_unknown() -> None:
    row = series(found(("void", 50, 20)), FOIL)["dislocation"]
    assert (row.line_length_nm, row.line_density_per_m2, row.line_density_per_m2_lo) == (0.0, 0.0, 0.0)
    assert math.isnan(row.line_density_per_m2_hi)


def test_unknown_thickness_leaves_the_density_empty_and_unknown_scale_the_length_too() -> None:
    thick, scale = (
        series(SOME, calibration)["dislocation"]
        for calibration in (Calibration(nm_per_px=0.5), Calibration(thickness_nm=90.0))
    )
    assert thick.line_length_nm > 0
    assert math.isnan(thick.line_density_per_m2)
    assert math.isnan(scale.line_length_nm)


def test_a_model_without_lines_says_nothing_of_them_and_a_lost_frame_neither() -> None:
    nothing = Detections.empty(0, 0.0, (50, 60), ("void",))
    meter = SeriesMeter(SeriesConfig(), FOIL, class_names=("void",))
    rows = meter.rows(0, 0.0, nothing, measure(nothing, FOIL, MeasureConfig()), np.zeros(0, bool))
    rows += meter.missing(MissingFrame(1, 1.0, "damaged"))
    assert all(math.isnan(row.line_length_nm) and math.isnan(row.line_density_per_m2) for row in rows)


def test_measures_keep_the_length_through_take_and_then_and_fill_it_where_it_was_left_out() -> None:
    x = np.arange(3.0)
    plain = Measures(x, x, x, x, x, x, x > 9, x, x)
    assert np.isnan(plain.line_length_nm).all()
    long = Measures(x, x, x, x, x, x, x > 9, x, x, 10 * x)
    assert long.take(np.array([2, 0])).line_length_nm.tolist() == [20.0, 0.0]
    assert long.take(np.array([1])).then(plain.take(np.array([0]))).line_length_nm.tolist()[0] == 10.0
