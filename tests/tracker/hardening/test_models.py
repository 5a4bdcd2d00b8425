"""The barrier model and the superposition rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.hardening.laws import (
    bacon_kocks_scattergood,
    dispersed_barrier,
    friedel_kroupa_hirsch,
    taylor,
)
from insitrack.tracker.hardening.mixed import untyped_barrier
from insitrack.tracker.hardening.models import Barrier, Material
from insitrack.tracker.hardening.superposition import linear, power_sum, quadrature, weighted

IRON = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
SHEN_PER_M3 = (
    np.array([3.41e14, 1.77e14, 1.32e14]) / 100e-9
)  # areal densities of Shen et al. 2021 in a foil of 100 nm
SHEN_NM = np.array([8.2, 22.4, 20.3])
stresses = st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=1, max_size=6)


@given(st.floats(1e18, 1e25), st.floats(0.1, 200), st.floats(0.01, 1))
@settings(max_examples=30)
def test_stress_goes_with_the_root_of_density_and_size_and_with_strength(density, size, alpha):
    one = dispersed_barrier(density, size, IRON, alpha=alpha)
    assert dispersed_barrier(4 * density, size, IRON, alpha=alpha) == pytest.approx(2 * one)
    assert dispersed_barrier(density, 4 * size, IRON, alpha=alpha) == pytest.approx(2 * one)
    assert dispersed_barrier(density, size, IRON, alpha=alpha / 2) == pytest.approx(one / 2)


@given(st.lists(st.tuples(st.floats(1e18, 1e24), st.floats(1, 50)), min_size=1, max_size=5))
@settings(max_examples=30)
def test_quadrature_of_size_bins_equals_the_barrier_of_the_mean_size(bins):
    density, size = np.array(bins).T
    pooled = dispersed_barrier(density.sum(), (density * size).sum() / density.sum(), IRON, alpha=0.3)
    assert quadrature(dispersed_barrier(density, size, IRON, alpha=0.3)) == pytest.approx(pooled)


@given(stresses)
@settings(max_examples=50)
def test_quadrature_never_exceeds_linear_nor_falls_below_the_largest(contributions):
    assert max(contributions) <= quadrature(contributions) * (1 + 1e-12)
    assert quadrature(contributions) <= linear(contributions) * (1 + 1e-12)


def test_worked_example_of_one_obstacle_class():
    assert dispersed_barrier(1e22, 10.0, IRON, alpha=0.20) == pytest.approx(124.456, abs=5e-4)


def test_course_example_with_other_constants():
    other = Material(shear_modulus_gpa=80.0, burgers_nm=0.25)
    assert dispersed_barrier(1e23, 1.0, other, alpha=0.40) == pytest.approx(244.8, abs=5e-3)


@pytest.mark.parametrize(
    ("alpha", "each", "total", "root"),
    [
        ([0.20, 0.30, 0.30], [65.81, 117.5, 96.64], 280.0, 165.8),
        ([0.20, 0.20, 0.20], [65.81, 78.37, 64.42], 208.6, 120.9),
        ([0.30, 0.30, 0.30], None, 312.9, 181.4),
        ([0.40, 0.40, 0.40], None, 417.2, 241.9),
        ([0.17, 0.17, 0.54], None, 296.5, 194.5),
    ],
)
def test_densities_and_sizes_of_shen_2021_give_the_worked_totals(alpha, each, total, root):
    contributions = dispersed_barrier(SHEN_PER_M3, SHEN_NM, IRON, alpha=np.array(alpha))
    if each is not None:
        assert contributions == pytest.approx(each, rel=5e-4)
    assert float(linear(contributions)) == pytest.approx(total, abs=0.05)
    assert float(quadrature(contributions)) == pytest.approx(root, abs=0.05)


def test_equal_strengths_in_quadrature_equal_all_obstacles_pooled():
    contributions = dispersed_barrier(SHEN_PER_M3, SHEN_NM, IRON, alpha=0.2)
    pooled = dispersed_barrier(SHEN_PER_M3.sum(), np.average(SHEN_NM, weights=SHEN_PER_M3), IRON, alpha=0.2)
    assert float(quadrature(contributions)) == pytest.approx(float(pooled))


def test_obstacle_burgers_vector_changes_only_the_class_that_has_one():
    b_nm = np.array([0.248, 0.248, 0.287])
    contributions = dispersed_barrier(
        SHEN_PER_M3, SHEN_NM, IRON, alpha=np.array([0.2, 0.3, 0.3]), burgers_nm=b_nm
    )
    assert contributions == pytest.approx([65.81, 117.5, 111.8], rel=5e-4)
    assert float(linear(contributions)) == pytest.approx(295.2, abs=0.05)
    assert float(quadrature(contributions)) == pytest.approx(175.1, abs=0.05)


def test_no_obstacles_add_nothing_though_their_size_is_unknown():
    assert dispersed_barrier(0.0, np.nan, IRON, alpha=0.2) == 0.0


def test_unknown_density_or_size_gives_unknown_stress_and_unknown_totals():
    contributions = dispersed_barrier(
        np.array([np.nan, 1e22, 1e22]), np.array([10.0, np.nan, 10.0]), IRON, alpha=0.2
    )
    assert np.isnan(contributions).tolist() == [True, True, False]
    assert np.isnan(linear(contributions))
    assert np.isnan(quadrature(contributions))


def test_totals_keep_the_time_axis_and_are_zero_without_classes():
    series = np.array([[3.0, 6.0, np.nan], [4.0, 8.0, 1.0]])
    assert quadrature(series)[:2].tolist() == [5.0, 10.0]
    assert np.isnan(linear(series)[2])
    assert float(linear([])) == float(quadrature([])) == 0.0


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.01, np.nan])
def test_strength_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        dispersed_barrier(1e22, 10.0, IRON, alpha=alpha)
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        Barrier(constant=alpha)


def test_negative_density_or_size_is_refused():
    with pytest.raises(ValueError, match="zero or more"):
        dispersed_barrier(-1.0, 10.0, IRON, alpha=0.2)
    with pytest.raises(ValueError, match="zero or more"):
        dispersed_barrier(1e22, -10.0, IRON, alpha=0.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shear_modulus_gpa": 0.0},
        {"burgers_nm": np.inf},
        {"taylor_factor": -3.0},
        {"shear_modulus_sd_gpa": -1.0},
    ],
)
def test_impossible_constants_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Material(**{"shear_modulus_gpa": 82.0, "burgers_nm": 0.248, **wrong})
    with pytest.raises(ValueError, match="expected"):
        Barrier(constant=0.2, constant_sd=-1.0)
    with pytest.raises(ValueError, match="expected"):
        Barrier(constant=0.2, burgers_nm=0.0)


# --- other models, worked numbers of the reference in four digits


def test_friedel_kroupa_hirsch_has_the_worked_value():
    assert friedel_kroupa_hirsch(1e23, 2.0, IRON) == pytest.approx(33.52, abs=5e-3)
    assert dispersed_barrier(1e23, 2.0, IRON, alpha=0.2) == pytest.approx(176.0, abs=5e-2)


@pytest.mark.parametrize(
    ("density", "size", "delta", "row", "random", "stress", "alpha"),
    [
        (1e22, 10.0, 0.7, 154.3, 131.7, 403.0, 0.6476),
        (1e22, 10.0, 1.52, 183.8, 171.2, 523.8, 0.8418),
        (1e23, 3.0, 1.52, 234.1, 200.6, 613.7, 0.5694),
    ],
)
def test_bacon_kocks_scattergood_has_the_worked_values(density, size, delta, row, random, stress, alpha):
    m = IRON.taylor_factor
    assert bacon_kocks_scattergood(density, size, IRON, delta=delta, array="row") / m == pytest.approx(
        row, rel=5e-4
    )
    found = bacon_kocks_scattergood(density, size, IRON, delta=delta)
    assert found / m == pytest.approx(random, rel=5e-4)
    assert found == pytest.approx(stress, rel=2e-4)
    assert found / dispersed_barrier(density, size, IRON, alpha=1.0) == pytest.approx(alpha, rel=2e-4)


def test_taylor_has_the_worked_values_in_both_forms():
    assert taylor(1e14, IRON, alpha=0.3) == pytest.approx(186.7, abs=5e-2)
    assert taylor(2e14, IRON, alpha=0.3, unirradiated_per_m2=1e13) == pytest.approx(205.0, abs=5e-2)
    whole = taylor(1.9e14, IRON, alpha=0.3)
    assert taylor(2e14, IRON, alpha=0.3, unirradiated_per_m2=1e13, rule="difference") == pytest.approx(whole)
    assert taylor(0.0, IRON, alpha=0.3, unirradiated_per_m2=1e13) < 0


@pytest.mark.parametrize(
    ("b_loop_100", "at_quarter", "at_half"), [(0.248, 194.3, 222.9), (0.287, 205.1, 235.1)]
)
def test_weighted_superposition_has_the_worked_values(b_loop_100, at_quarter, at_half):
    b = np.array([0.248, 0.248, b_loop_100])
    contributions = dispersed_barrier(
        SHEN_PER_M3, SHEN_NM, IRON, alpha=np.array([0.2, 0.3, 0.3]), burgers_nm=b
    )
    assert weighted(contributions, 0.25) == pytest.approx(at_quarter, abs=6e-2)
    assert weighted(contributions, 0.5) == pytest.approx(at_half, abs=6e-2)


def test_thinner_and_thicker_foils_give_the_worked_totals():
    for t_nm, total in ((90, 219.9), (110, 198.9)):
        found = linear(dispersed_barrier(SHEN_PER_M3 * 100 / t_nm, SHEN_NM, IRON, alpha=0.2))
        assert found == pytest.approx(total, abs=5e-2)


@given(stresses, st.floats(0, 1))
@settings(max_examples=50)
def test_every_rule_lies_between_quadrature_and_linear(contributions, share):
    low, high = quadrature(contributions), linear(contributions)
    for total in (weighted(contributions, share), power_sum(contributions, 1 + share)):
        assert low * (1 - 1e-9) <= total <= high * (1 + 1e-9)


@given(st.floats(1e20, 1e22), st.floats(1.0, 20.0), st.floats(1.1, 3.0))
@settings(max_examples=30)
def test_every_model_goes_with_modulus_and_taylor_factor(density, size, factor):
    stiffer = Material(shear_modulus_gpa=82.0 * factor, burgers_nm=0.248, taylor_factor=3.06 * factor)
    for barrier in (
        Barrier(constant=0.2),
        Barrier(constant=0.125, model="fkh"),
        Barrier(constant=1.52, model="bks"),
    ):
        one = barrier.stress(density, size, IRON)
        assert barrier.stress(density, size, stiffer) == pytest.approx(factor**2 * one)
        assert barrier.stress(4 * density, size, IRON) > one
        assert barrier.stress(0.0, np.nan, IRON) == 0


def test_voids_without_free_spacing_are_unknown_not_infinite():
    assert np.isnan(bacon_kocks_scattergood(1e26, 10.0, IRON))
    assert np.isnan(bacon_kocks_scattergood(np.nan, 10.0, IRON))


def test_other_free_spacing_makes_voids_weaker():
    section = Material(shear_modulus_gpa=82.0, burgers_nm=0.248, bks_spacing="section")
    assert bacon_kocks_scattergood(1e22, 10.0, section) < bacon_kocks_scattergood(1e22, 10.0, IRON)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: weighted([1.0, 2.0], 1.5),
        lambda: power_sum([1.0, 2.0], 3.0),
        lambda: taylor(1e14, IRON, alpha=0.0),
        lambda: taylor(-1e14, IRON, alpha=0.3),
        lambda: Barrier(constant=0.0, model="bks"),
    ],
)
def test_impossible_rules_and_constants_are_refused_with_what_was_expected(wrong):
    with pytest.raises(ValueError, match="expected"):
        wrong()


def test_a_defect_of_unknown_class_is_as_strong_as_a_mixture_and_as_uncertain_as_its_classes_differ() -> None:
    some = {
        "black_dot": Barrier(constant=0.2, constant_sd=0.0),
        "loop_111": Barrier(constant=0.4, constant_sd=0.0),
        "void": Barrier(constant=1.52, model="bks"),
        "dislocation": Barrier(constant=0.3),
    }
    classes = ("black_dot", "loop_111", "void", "dislocation", "defect")
    mixed = untyped_barrier(some, classes)["defect"]
    assert mixed.constant == pytest.approx(np.sqrt((0.04 + 0.16) / 2))
    assert mixed.constant_sd == pytest.approx(0.1)
    assert untyped_barrier({"void": some["void"]}, classes) == {}
    alone = untyped_barrier(some, ("black_dot", "defect"))["defect"]
    assert (alone.constant, alone.constant_sd) == (0.2, 0.0)
