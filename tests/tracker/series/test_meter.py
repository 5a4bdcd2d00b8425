"""Rows of the series: numbers, densities, sizes, hardening and their intervals."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Calibration, MissingFrame
from insitrack.io.intervals import mean_half_width, poisson_interval
from insitrack.tests.support.meters import (
    FOIL,
    NUMBERS,
    TEST_SET,
    defects,
    iron,
    rows_of,
    shen,
)
from insitrack.tracker.hardening.materials import load_material
from insitrack.tracker.series import meter as meters
from insitrack.tracker.series.counting import overlap_loss
from insitrack.tracker.series.dose import Exposure
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.observations import Observations
from insitrack.tracker.series.settings import SeriesConfig

some_sizes = st.dictionaries(
    st.sampled_from(list(TEST_SET)), st.lists(st.floats(2, 80), min_size=1, max_size=12), min_size=1
)


@given(some_sizes, st.floats(0.1, 3))
@settings(max_examples=30, deadline=None)
def test_doubling_the_scale_quarters_areal_density_and_doubles_size(sizes_nm, scale):
    one = rows_of(
        SeriesMeter(SeriesConfig(), Calibration(nm_per_px=scale, thickness_nm=80.0), iron()), sizes_nm
    )
    doubled = {name: [2 * size for size in sizes] for name, sizes in sizes_nm.items()}
    two = rows_of(
        SeriesMeter(SeriesConfig(), Calibration(nm_per_px=2 * scale, thickness_nm=80.0), iron()), doubled
    )
    for name in (*sizes_nm, "all"):
        for end in ("", "_lo", "_hi"):
            assert getattr(two[name], f"density_per_m2{end}") == pytest.approx(
                getattr(one[name], f"density_per_m2{end}") / 4
            )
        assert two[name].size_nm == pytest.approx(2 * one[name].size_nm)
        assert two[name].hardening_linear_mpa == pytest.approx(one[name].hardening_linear_mpa / math.sqrt(2))


@given(some_sizes)
@settings(max_examples=30, deadline=None)
def test_twice_the_defects_in_twice_the_field_change_no_density_size_or_stress(sizes_nm):
    meter = SeriesMeter(SeriesConfig(), FOIL, iron())
    one = rows_of(meter, sizes_nm, (500, 300))
    two = rows_of(meter, {name: sizes * 2 for name, sizes in sizes_nm.items()}, (1000, 300))
    for name in (*sizes_nm, "all"):
        for column in (
            "density_per_m2",
            "density_per_m3",
            "size_nm",
            "hardening_linear_mpa",
            "hardening_quadrature_mpa",
        ):
            assert getattr(two[name], column) == pytest.approx(getattr(one[name], column))
        assert two[name].density_per_m2_hi < one[name].density_per_m2_hi


@given(some_sizes)
@settings(max_examples=30, deadline=None)
def test_every_value_lies_in_its_interval_and_quadrature_never_exceeds_linear(sizes_nm):
    for row in rows_of(SeriesMeter(SeriesConfig(), FOIL, iron(0.2)), sizes_nm).values():
        assert row.n_lo <= row.n <= row.n_hi
        for column in (
            "density_per_m2",
            "density_per_m3",
            "hardening_linear_mpa",
            "hardening_quadrature_mpa",
        ):
            value, low, high = (getattr(row, column + end) for end in ("", "_lo", "_hi"))
            assert 0 <= low <= value or math.isnan(value)
            assert not value > high
        assert not row.hardening_quadrature_mpa > row.hardening_linear_mpa * (1 + 1e-12)


def test_densities_and_sizes_of_shen_2021_give_the_worked_hardening():
    rows = rows_of(
        SeriesMeter(SeriesConfig(), FOIL, iron()), shen({"black_dot": 341, "loop_111": 177, "loop_100": 132})
    )
    assert rows["black_dot"].density_per_m2 == pytest.approx(3.41e14)
    assert rows["loop_111"].density_per_m3 == pytest.approx(1.77e21)
    assert [rows[name].hardening_linear_mpa for name in TEST_SET] == pytest.approx(
        [65.81, 117.5, 96.64], rel=5e-4
    )
    assert rows["all"].hardening_linear_mpa == pytest.approx(280.0, abs=0.05)
    assert rows["all"].hardening_quadrature_mpa == pytest.approx(165.8, abs=0.05)


@pytest.mark.parametrize(("alpha_sd", "linear", "quadrature"), [(0.0, 0.062, 0.064), (0.2, 0.134, 0.139)])
def test_intervals_agree_with_the_worked_monte_carlo_of_thickness_count_and_strength(
    alpha_sd, linear, quadrature
):
    meter = SeriesMeter(SeriesConfig(), FOIL, iron(alpha_sd))
    total = rows_of(meter, shen({"black_dot": 143, "loop_111": 74, "loop_100": 56}), (1000, 419))["all"]
    for column, expected in (("hardening_linear_mpa", linear), ("hardening_quadrature_mpa", quadrature)):
        half = (getattr(total, column + "_hi") - getattr(total, column + "_lo")) / 2 / 1.96
        assert half / getattr(total, column) == pytest.approx(expected, rel=0.04)


def test_one_class_of_a_hundred_has_the_worked_error_of_density_and_stress():
    sizes = np.random.default_rng(0).normal(size=100)
    sizes = (sizes - sizes.mean()) / sizes.std(
        ddof=1
    ) * 5 + 10  # spread 50 %, so 5 % on the mean of a hundred
    row = rows_of(SeriesMeter(SeriesConfig(), FOIL, iron(0.2)), {"black_dot": sizes.tolist()})["black_dot"]
    assert (row.density_per_m3_hi - row.density_per_m3_lo) / 2 / 1.96 / row.density_per_m3 == pytest.approx(
        0.1414, rel=0.02
    )
    assert (
        row.hardening_linear_mpa_hi - row.hardening_linear_mpa_lo
    ) / 2 / 1.96 / row.hardening_linear_mpa == pytest.approx(0.2136, rel=0.02)


def test_given_thickness_error_replaces_the_assumed_one():
    meter = SeriesMeter(
        SeriesConfig(), Calibration(nm_per_px=1.0, thickness_nm=100.0, thickness_sd_nm=20.0), iron()
    )
    row = rows_of(meter, shen({"black_dot": 100}))["black_dot"]
    assert (row.density_per_m3_hi - row.density_per_m3_lo) / 2 / 1.96 / row.density_per_m3 == pytest.approx(
        0.2236, rel=0.02
    )
    assert not [line for line in meter.warnings if "thickness" in line]


def test_error_of_the_scale_counts_twice_in_density_and_half_in_stress():
    rows = []
    for sd in (0.0, 0.1):
        calibration = Calibration(nm_per_px=1.0, nm_per_px_sd=sd, thickness_nm=100.0)
        meter = SeriesMeter(SeriesConfig(thickness_sd_relative=0.0), calibration, iron())
        rows.append(rows_of(meter, shen({"black_dot": 100000}), (3000, 3000))["black_dot"])
    a, b = rows
    assert a.density_per_m2_hi / a.density_per_m2 == pytest.approx(1.0, abs=0.01)
    assert b.density_per_m2_hi / b.density_per_m2 == pytest.approx(1 + 1.96 * 0.2, abs=0.01)
    assert b.size_hi_nm / b.size_nm == pytest.approx(1 + 1.96 * 0.1, abs=0.01)
    assert b.hardening_linear_mpa_hi / b.hardening_linear_mpa == pytest.approx(1 + 1.96 * 0.05, abs=0.01)


def test_an_empty_frame_has_zero_density_with_an_upper_bound_and_zero_hardening():
    for row in rows_of(SeriesMeter(SeriesConfig(), FOIL, iron()), {}).values():
        assert (row.n, row.n_lo, round(row.n_hi, 4)) == (0, 0, 3.6889)
        assert (row.density_per_m2, row.density_per_m2_lo) == (0, 0)
        assert row.density_per_m3_hi == pytest.approx(3.6889e19, rel=1e-4)
        assert math.isnan(row.size_nm)
        if row.defect_class in (*TEST_SET, "all"):
            assert (row.hardening_linear_mpa, row.hardening_quadrature_mpa_lo) == (0, 0)


def test_a_missing_frame_has_a_row_of_unknowns_for_every_class_and_never_a_zero():
    rows = SeriesMeter(SeriesConfig(), FOIL, iron(), Exposure(1e-3)).missing(MissingFrame(7, 2.0, "gap"))
    assert [row.defect_class for row in rows] == [*DEFECT_CLASSES, "all"]
    for row in rows:
        assert (row.frame, row.t_s, row.dose_dpa) == (7, 2.0, 0.002)
        assert all(math.isnan(getattr(row, name)) for name in NUMBERS)


def test_every_frame_has_the_same_classes_in_the_same_order():
    meter = SeriesMeter(SeriesConfig(), FOIL)
    assert list(rows_of(meter, {})) == list(rows_of(meter, {"void": [3.0]})) == [*DEFECT_CLASSES, "all"]


def test_a_single_defect_has_a_size_without_a_spread_and_a_bounded_hardening():
    row = rows_of(SeriesMeter(SeriesConfig(), FOIL, iron()), {"black_dot": [8.0]})["black_dot"]
    assert row.size_nm == 8.0
    assert math.isnan(row.size_sd_nm)
    assert math.isnan(row.size_hi_nm)
    assert (
        0 <= row.hardening_linear_mpa_lo < row.hardening_linear_mpa < row.hardening_linear_mpa_hi < math.inf
    )


def test_mean_size_has_the_interval_of_student():
    row = rows_of(SeriesMeter(SeriesConfig(), FOIL), {"void": [4.0, 5.0, 6.0, 9.0]})["void"]
    assert (row.size_nm, row.size_sd_nm) == pytest.approx((6.0, 2.160247))
    assert row.size_hi_nm - row.size_nm == pytest.approx(3.182446 * 2.160247 / 2)
    assert math.isnan(mean_half_width(1))


def test_defects_on_the_border_count_but_their_size_does_not():
    meter = SeriesMeter(SeriesConfig(), FOIL, iron())
    found, measures = defects({"loop_111": [20.0, 20.0, 3.0]})
    measures.on_edge[2] = True
    row = next(
        row for row in meter.rows(0, 0.0, found, measures, np.ones(3, bool)) if row.defect_class == "loop_111"
    )
    assert (row.n, row.size_nm, row.size_sd_nm) == (3, 20.0, 0.0)


def test_a_defect_alive_in_a_gap_counts_but_is_not_observed():
    found, measures = defects({"void": [4.0, 5.0]})
    row = SeriesMeter(SeriesConfig(), FOIL).rows(0, 0.0, found, measures, np.array([True, False]))[
        DEFECT_CLASSES.index("void")
    ]
    assert (row.n, row.n_observed) == (2, 1)


def test_births_and_deaths_land_in_their_class_and_add_up():
    rows = rows_of(SeriesMeter(SeriesConfig(), FOIL), {}, births={"void": 2, "loop": 1}, deaths={"void": 3})
    assert (rows["void"].births, rows["void"].deaths, rows["loop"].births, rows["black_dot"].births) == (
        2,
        3,
        1,
        0,
    )
    assert (rows["all"].births, rows["all"].deaths) == (3, 3)


def test_field_of_the_frame_goes_before_that_of_the_calibration():
    half = np.ones((100, 200), bool)
    half[:, 100:] = False
    calibrated = SeriesMeter(SeriesConfig(), Calibration(nm_per_px=2.0, field=half))
    assert rows_of(calibrated, {}, (100, 200))["all"].field_nm2 == 40000.0
    assert (
        rows_of(calibrated, {}, (100, 200), field=~half & False)["all"].field_nm2 != 0
    )  # nothing in view: unknown, not zero
    assert (
        rows_of(SeriesMeter(SeriesConfig(), Calibration(nm_per_px=2.0)), {}, (100, 200))["all"].field_nm2
        == 80000.0
    )
    with pytest.raises(SettingsError, match="expected the shape of the frame"):
        rows_of(calibrated, {}, (90, 200))


def test_unknown_scale_thickness_dose_and_material_leave_columns_empty_and_say_what_fills_them():
    meter = SeriesMeter(SeriesConfig(), Calibration())
    rows = rows_of(meter, {"black_dot": [math.nan] * 3})
    for row in rows.values():
        empty = (
            "field_nm2",
            "density_per_m2",
            "density_per_m3",
            "size_nm",
            "hardening_linear_mpa",
            "hardening_quadrature_mpa_hi",
            "dose_dpa",
        )
        assert all(math.isnan(getattr(row, name)) for name in empty)
    assert rows["black_dot"].n == 3
    for option in ("--nm-per-px", "--thickness-nm", "--dose-rate", "--material with fecral"):
        assert any(option in line for line in meter.warnings)


def test_unknown_thickness_leaves_areal_density_and_size_filled():
    row = rows_of(SeriesMeter(SeriesConfig(), Calibration(nm_per_px=1.0), iron()), {"black_dot": [8.0]})[
        "all"
    ]
    assert row.density_per_m2 == pytest.approx(1e12)
    assert math.isnan(row.density_per_m3)
    assert math.isnan(row.hardening_linear_mpa)


@pytest.mark.parametrize(
    ("per_nm2", "size_nm", "loss"),
    [(1e-4, 8.0, 0.020), (3.41e-4, 8.2, 0.069), (1e-3, 8.2, 0.190), (2e-4, 22.0, 0.262)],
)
def test_overlap_loss_has_the_worked_values(per_nm2, size_nm, loss):
    assert float(overlap_loss(per_nm2 * 1e18, size_nm)) == pytest.approx(loss, abs=5e-4)


def test_crowded_defects_give_an_overlap_warning_and_sparse_ones_do_not():
    meter = SeriesMeter(SeriesConfig(), FOIL)
    rows_of(meter, {"black_dot": [8.2] * 341})
    assert not [line for line in meter.warnings if "under-counted" in line]
    rows_of(meter, {"black_dot": [8.2] * 1000})
    rows_of(meter, {"black_dot": [8.2] * 10})
    assert [line for line in meter.warnings if "up to 19 % (black_dot) lie" in line]


def test_dose_is_rate_times_time_and_impossible_settings_are_refused():
    assert rows_of(SeriesMeter(SeriesConfig(), FOIL, None, Exposure(1e-3)), {})["all"].dose_dpa == 0.002
    with pytest.raises(SettingsError, match="dpa/s"):
        Exposure(-1.0)
    with pytest.raises(SettingsError, match=r"series\.thickness_sd_relative"):
        SeriesConfig(thickness_sd_relative=math.nan)


def test_detections_of_other_classes_than_the_meter_are_refused():
    meter = SeriesMeter(SeriesConfig(), FOIL, class_names=("void",))
    found, measures = defects({"void": [4.0]})
    with pytest.raises(ValueError, match="expected the classes"):
        meter.rows(0, 0.0, found, measures, np.ones(1, bool))


def test_a_track_that_is_there_half_of_the_time_counts_half_and_widens_the_band():
    meter = SeriesMeter(SeriesConfig(), FOIL, class_names=("void",))
    half = np.full(8, 0.5)
    seen = Observations(
        frame=np.zeros(8, np.int64),
        place=np.zeros(8, np.int64),
        size_nm=np.full(8, 5.0),
        line_length_nm=np.full(8, np.nan),
        whole=np.ones(8, bool),
        weight=half,
        share=half,
        counted=half,
        observed=half,
    )
    nothing = np.zeros((1, 1), np.int64)
    row = meter.table(np.zeros(1), np.array([1e6]), seen, nothing, nothing, frame_px=np.full((1, 2), 1000.0))
    assert row["n"].tolist() == [[4.0, 4.0]]
    low, high = poisson_interval(8.0)
    assert row["n_lo"][0, 0] == pytest.approx(float(low) / 2)
    assert row["n_hi"][0, 0] == pytest.approx(float(high) / 2)


def test_numbers_stand_under_their_names_whatever_the_order_of_the_columns(monkeypatch):
    def rows():
        meter = SeriesMeter(SeriesConfig(unirradiated_line_density_per_m2=0.0), FOIL, load_material("fecral"))
        sizes = {"black_dot": [5.0, 7.0], "void": [4.0, 9.0], "dislocation": [60.0]}
        return rows_of(meter, sizes, births={"void": 1}, deaths={"black_dot": 2})

    usual = rows()
    monkeypatch.setattr(meters, "SERIES_COLUMNS", meters.SERIES_COLUMNS[::-1])
    turned = rows()
    for name, row in usual.items():
        assert dataclasses.astuple(turned[name]) == pytest.approx(dataclasses.astuple(row), nan_ok=True)
    assert (usual["void"].births, usual["black_dot"].deaths, usual["void"].n_counted) == (1, 2, 2)


@pytest.mark.parametrize(("imaging", "warned"), [("as_seen", True), ("two_beam_200", False)])
def test_loops_under_an_unknown_diffraction_condition_are_said_to_be_counted_as_seen(imaging, warned):
    meter = SeriesMeter(SeriesConfig(imaging=imaging), FOIL, None)
    rows_of(meter, {"loop_100": [20.0] * 4})
    assert any("two thirds of the a0<100>" in line for line in meter.warnings) is warned
    dots = SeriesMeter(SeriesConfig(), FOIL, None)
    rows_of(dots, {"black_dot": [8.0] * 4})
    assert not any("out of contrast" in line for line in dots.warnings)
