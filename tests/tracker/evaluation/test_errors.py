"""Errors of found against true say what they were averaged over, and do not depend on what does not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tests.support.squares import pictured
from insitrack.tracker.evaluation.errors import (
    BY_CLASS,
    BY_PICTURE,
    BY_PICTURE_AND_CLASS,
    POOLED,
    agreement,
    parity_rows,
)
from insitrack.tracker.evaluation.parity import Picture

VALUES = st.lists(st.tuples(st.floats(1, 100), st.floats(1, 100)), min_size=2, max_size=12)


def row_of(rows: list[dict[str, object]], quantity: str, point: str, **more: str) -> dict[str, object]:
    wanted = {"quantity": quantity, "one_point_is": point, "defect_class": "all", "only": "", **more}
    (row,) = (row for row in rows if all(row[key] == value for key, value in wanted.items()))
    return row


@settings(max_examples=60, deadline=None)
@given(VALUES, st.floats(0.01, 100), st.randoms(use_true_random=False))
def test_errors_follow_the_unit_and_do_not_know_the_order(pairs, unit, random):
    true, found = np.array(pairs).T
    one = agreement(true, found)
    random.shuffle(pairs)
    other = agreement(*(unit * np.array(pairs).T))
    assert one["mae"] <= one["rmse"] + 1e-9
    assert np.isnan(one["r2"]) or one["r2"] <= 1
    for key in ("mae", "rmse", "mean_true", "sd_found"):
        assert other[key] == pytest.approx(unit * one[key], rel=1e-9, abs=1e-9)
    assert other["mape"] == pytest.approx(one["mape"])


@settings(max_examples=30, deadline=None)
@given(VALUES)
def test_what_is_found_as_it_is_has_no_error_and_an_r2_of_one(pairs):
    true = np.array([a for a, _ in pairs])
    same = agreement(true, true)
    assert (same["mae"], same["rmse"], same["mape"]) == (0, 0, 0)
    assert same["r2"] == 1 or (np.isnan(same["r2"]) and np.ptp(true) == 0)


def test_the_mean_of_the_true_values_has_an_r2_of_zero():
    assert agreement(np.array([1.0, 2.0, 6.0]), np.full(3, 3.0))["r2"] == 0


def two_pictures() -> list[Picture]:
    """Voids of 10 and 20 px found 2 px too large in one image and too small in the other; sizes are those of
    circles of equal area."""
    one = pictured(
        [(10, 10, 10, "void"), (50, 50, 20, "loop_111")], [(10, 10, 12, "void"), (50, 50, 20, "loop_111")]
    )
    two = pictured([(10, 10, 20, "void")], [(10, 10, 18, "void")])
    return [one, two]


def test_an_error_by_picture_and_class_is_larger_than_the_pooled_one_where_signs_cancel():
    rows = parity_rows(two_pictures(), "px", None)
    root = 2 / np.sqrt(np.pi)
    of_voids = row_of(rows, "size", BY_PICTURE_AND_CLASS, defect_class="void")
    assert of_voids["n_points"] == 2
    assert of_voids["mae"] == of_voids["rmse"] == pytest.approx(2 * root)
    assert of_voids["r2"] == pytest.approx(1 - 8 / 50)
    assert of_voids["sd_true"] == pytest.approx(root * 10 / np.sqrt(2))
    assert row_of(rows, "size", BY_PICTURE_AND_CLASS)["mae"] == pytest.approx(4 / 3 * root)
    by_class = row_of(rows, "size", BY_CLASS)
    assert (by_class["n_points"], by_class["mae"]) == (2, pytest.approx(0, abs=1e-9))
    assert row_of(rows, "size", POOLED)["mae"] == pytest.approx(0, abs=1e-9)
    assert row_of(rows, "size", BY_PICTURE)["mae"] == pytest.approx((1 + 2) / 2 * root, rel=0.2)


def test_a_class_that_is_not_in_a_picture_is_no_point_of_it():
    rows = parity_rows(two_pictures(), "px", None)
    assert row_of(rows, "n", BY_PICTURE_AND_CLASS)["n_points"] == 3
    assert row_of(rows, "n", BY_PICTURE_AND_CLASS, defect_class="loop_111")["n_points"] == 1


def test_crowded_pictures_are_left_out_of_the_second_row_of_densities():
    # 1e15 per m2 are 20 defects in 100 x 200 px of 1 nm
    few = pictured([(10, 10, 11, "void")], [], nm_per_px=1.0)
    many = pictured([(10 * (i // 15), 12 * (i % 15), 5, "void") for i in range(30)], [], nm_per_px=1.0)
    rows = parity_rows([few, many], "nm", None)
    assert row_of(rows, "density", BY_PICTURE_AND_CLASS)["n_points"] == 2
    rest = row_of(rows, "density", BY_PICTURE_AND_CLASS, only="true below 1e+15 per m2")
    assert (rest["n_points"], rest["mae"]) == (1, pytest.approx(1 / (2e4 * 1e-18)))


@pytest.mark.parametrize(("true", "found"), [([], []), ([3.0], [4.0]), ([2.0, 2.0], [1.0, 3.0])])
def test_r2_is_not_known_where_the_true_values_do_not_differ(true, found):
    assert np.isnan(agreement(np.array(true), np.array(found))["r2"])


def test_no_pictures_give_rows_without_points():
    assert {row["n_points"] for row in parity_rows([], "px", None)} == {0}
