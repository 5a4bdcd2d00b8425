"""Hand-worked statistics of found against true, the published way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Calibration
from insitrack.segment.scores.pixels import COMPARISON_COLOURS, comparison_map, covered, pixel_counts
from insitrack.tests.support.squares import SHAPE, Square, pictured, scene
from insitrack.tracker.evaluation.errors import error_summary
from insitrack.tracker.evaluation.parity import (
    hardening,
    properties,
    unit_of,
)
from insitrack.tracker.hardening.materials import load_material, with_constants
from insitrack.tracker.measure.measure import MeasureConfig, measure
from insitrack.tracker.series.meter import SeriesMeter
from insitrack.tracker.series.settings import SeriesConfig


def test_a_worked_case_of_the_published_statistics() -> None:
    # a square of n pixels has corners (n - 1) / sqrt 2 from its centre: 2 r_max = sqrt(2) (n - 1), for loops
    # and dots alike
    true = [
        (10, 10, 11, "loop_111"),
        (10, 40, 21, "loop_111"),
        (10, 80, 5, "black_dot"),
        (60, 80, 5, "black_dot"),
    ]
    found = [
        (10, 10, 11, "loop_111"),
        (10, 41, 20, "loop_111"),
        (10, 80, 7, "black_dot"),
        (60, 20, 9, "loop_111"),
    ]
    picture = pictured(true, found, published=True, nm_per_px=0.5, thickness_nm=100.0)
    loops = properties([picture], "loop_111", "nm")
    root = np.sqrt(2) / 2  # nm per pixel of the side
    assert loops["size_true"] == pytest.approx(root * (10 + 20) / 2)
    assert loops["size_found"] == pytest.approx(root * (10 + 19 + 8) / 3)
    assert loops["pair_size_found"] == pytest.approx(root * (10 + 19) / 2)
    assert loops["size_error"] == pytest.approx((37 / 3 - 15) / 15)
    assert loops["density_true"] == pytest.approx(2 / (100 * 200 * 0.25e-18))
    assert loops["density_error"] == loops["n_error"] == 0.5
    assert loops["area_true"] == pytest.approx((121 + 441) / 4)
    assert loops["heywood_true"] == pytest.approx(2 / np.sqrt(np.pi))  # of every square
    dots = properties([picture], "black_dot", "nm")
    assert (dots["n_true"], dots["n_found"], dots["density_error"]) == (2, 1, -0.5)
    assert dots["size_error"] == pytest.approx(6 / 4 - 1)


def test_hardening_of_a_worked_case_per_image_and_pooled() -> None:
    # one class, alpha 0.2, M mu b = 3.06 * 82e3 MPa * 0.248e-9 m; 100 x 200 px of 0.5 nm, 100 nm thick: V =
    # 5e-22 m^3
    material = with_constants(None, alpha={"loop_111": 0.2}, shear_modulus_gpa=82.0, burgers_nm=0.248)
    root, unit = np.sqrt(2) / 2, 0.2 * 3.06 * 82e3 * 0.248e-9
    one = pictured(
        [(10, 10, 11, "loop_111")],
        [(10, 10, 11, "loop_111"), (50, 50, 21, "loop_111")],
        published=True,
        nm_per_px=0.5,
        thickness_nm=100.0,
    )
    two = pictured(
        [(10, 10, 21, "loop_111")],
        [(10, 10, 21, "loop_111")],
        published=True,
        nm_per_px=0.5,
        thickness_nm=100.0,
    )

    def stress(n: int, size_nm: float, volume: float) -> float:
        return float(unit * np.sqrt(n / volume * size_nm * 1e-9))

    alone, both = hardening([one], material), hardening([one, two], material)
    assert alone["hardening_linear_true_mpa"] == pytest.approx(stress(1, 10 * root, 5e-22))
    assert alone["hardening_linear_found_mpa"] == pytest.approx(stress(2, 15 * root, 5e-22))
    assert both["hardening_quadrature_true_mpa"] == pytest.approx(stress(2, 15 * root, 1e-21))
    assert both["hardening_quadrature_found_mpa"] == pytest.approx(stress(3, 50 / 3 * root, 1e-21))
    each = error_summary([hardening([part], material) for part in (one, two)], "hardening_linear")
    assert each["hardening_linear_mae"] == pytest.approx(alone["hardening_linear_error_mpa"] / 2)


def test_per_image_and_pooled_errors_differ() -> None:
    few = pictured([(10, 10, 11, "void")], [(10, 10, 11, "void"), (50, 50, 11, "void")])
    many = pictured(
        [(10, 15 * i, 11, "void") for i in range(10)], [(10, 15 * i, 11, "void") for i in range(9)]
    )
    assert properties([few, many], "void", "px")["n_error"] == 0  # 11 found, 11 true
    each = error_summary([properties([part], "void", "px") for part in (few, many)], "n")
    spread = (1 - 5.5) ** 2 + (10 - 5.5) ** 2
    assert each == pytest.approx(
        {"n_r2": 1 - 2 / spread, "n_mae": 1.0, "n_rmse": 1.0, "n_mape": (1 + 0.1) / 2}
    )


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(2, 80),
            st.integers(2, 180),
            st.integers(3, 15),
            st.sampled_from(["black_dot", "loop_111", "void"]),
        ),
        max_size=6,
    )
)
def test_what_is_compared_with_itself_has_no_error(squares: list[Square]) -> None:
    picture = pictured(squares, squares, nm_per_px=0.5, thickness_nm=100.0)
    for name in (None, "black_dot", "loop_111", "void"):
        row = properties([picture, picture], name, "nm")
        errors = [value for key, value in row.items() if key.endswith("_error")]
        assert all(value == 0 or np.isnan(value) for value in errors)
    stress = hardening([picture], load_material("fecral"))
    assert stress["hardening_linear_true_mpa"] == pytest.approx(
        stress["hardening_linear_found_mpa"], nan_ok=True
    )


def test_hardening_is_that_of_the_series() -> None:
    squares = [
        (10, 10, 11, "loop_111"),
        (10, 40, 21, "loop_100"),
        (10, 80, 5, "black_dot"),
        (0, 100, 9, "loop_111"),
        (50, 50, 40, "dislocation"),
    ]
    material, truth = load_material("fecral"), scene(squares)
    picture = pictured(squares, squares[:2], nm_per_px=0.5, thickness_nm=80.0)
    calibration = Calibration(nm_per_px=0.5, thickness_nm=80.0)
    meter = SeriesMeter(SeriesConfig(), calibration, material, class_names=DEFECT_CLASSES)
    total = meter.rows(
        0, 0.0, truth, measure(truth, calibration, MeasureConfig()), np.ones(len(truth), bool)
    )[-1]
    stress = hardening([picture], material)
    assert stress["hardening_linear_true_mpa"] == pytest.approx(total.hardening_linear_mpa)
    assert stress["hardening_quadrature_true_mpa"] == pytest.approx(total.hardening_quadrature_mpa)
    assert stress["hardening_linear_error_mpa"] < 0
    assert properties([picture], None, "nm")["density_true"] == pytest.approx(total.density_per_m2)


def test_the_masked_area_leaves_the_denominator() -> None:
    field = np.ones(SHAPE, bool)
    field[50:] = False
    squares = [(10, 10, 11, "void")]
    whole, half = pictured(squares, squares), pictured(squares, squares, field=field)
    assert (
        properties([half], None, "px")["density_true"] == 2 * properties([whole], None, "px")["density_true"]
    )
    nothing = pictured(squares, squares, field=np.zeros(SHAPE, bool))
    assert np.isnan(properties([nothing], None, "px")["density_true"])


def test_sizes_of_defects_at_the_border_count_in_the_published_way_only() -> None:
    squares = [(0, 10, 11, "void"), (50, 50, 21, "void")]
    assert properties([pictured(squares, squares)], "void", "px")["size_true"] == pytest.approx(
        np.sqrt(4 / np.pi) * 21
    )
    assert properties([pictured(squares, squares, published=True)], "void", "px")[
        "size_true"
    ] == pytest.approx(np.sqrt(2) * 15)


def test_lengths_are_in_nm_only_where_every_scale_is_known() -> None:
    known, unknown = pictured([], [], nm_per_px=0.5), pictured([], [])
    assert (unit_of([known, known]), unit_of([known, unknown]), unit_of([])) == ("nm", "px", "px")
    assert np.isnan(hardening([unknown], load_material("fecral"))["hardening_linear_true_mpa"])
    assert np.isnan(hardening([known], None)["hardening_linear_true_mpa"])


def test_an_empty_picture_has_counts_of_zero_and_nothing_else() -> None:
    row = properties([pictured([], [])], None, "px")
    assert (row["n_true"], row["n_found"], row["density_true"]) == (0, 0, 0)
    assert np.isnan([row["size_true"], row["n_error"], row["heywood_found"]]).all()


def test_pixels_are_right_or_wrong_by_class_and_drawn_in_the_colours_of_defectnet() -> None:
    true, found = scene([(10, 10, 10, "void")]), scene([(10, 15, 10, "void"), (60, 60, 4, "black_dot")])
    counts = pixel_counts(found, true, [None, "void"])
    assert (counts["void"].tp, counts["void"].fp, counts["void"].fn) == (50, 50, 50)
    assert counts[None].fp == 66
    assert counts[None].total == SHAPE[0] * SHAPE[1]
    assert counts["void"].iu == pytest.approx(1 / 3)
    picture = comparison_map(found, true)
    places = {"TP": (12, 17), "TN": (0, 0), "FP": (61, 61), "FN": (12, 12)}
    assert {key: tuple(picture[place].tolist()) for key, place in places.items()} == COMPARISON_COLOURS


def test_masks_that_leave_the_picture_are_cut() -> None:
    masks = Masks.from_crops([np.ones((10, 10), bool)] * 3, [(-4, -4), (96, 195), (-30, 5)])
    outside = Detections(
        0, 0.0, SHAPE, masks.boxes(), np.ones(3, np.int64), np.ones(3, np.float32), masks, DEFECT_CLASSES
    )
    assert covered(outside).sum() == 36 + 20
