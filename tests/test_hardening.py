"""The barrier model and the superposition rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.hardening import Barrier, Material, dispersed_barrier, linear, quadrature

IRON = Material(shear_modulus_gpa=82.0, burgers_nm=0.248)
SHEN_PER_M3 = np.array([3.41e14, 1.77e14, 1.32e14]) / 100e-9  # areal densities of Shen et al. 2021 in a foil of 100 nm
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
    contributions = dispersed_barrier(SHEN_PER_M3, SHEN_NM, IRON, alpha=np.array([0.2, 0.3, 0.3]), burgers_nm=b_nm)
    assert contributions == pytest.approx([65.81, 117.5, 111.8], rel=5e-4)
    assert float(linear(contributions)) == pytest.approx(295.2, abs=0.05)
    assert float(quadrature(contributions)) == pytest.approx(175.1, abs=0.05)


def test_no_obstacles_add_nothing_though_their_size_is_unknown():
    assert dispersed_barrier(0.0, np.nan, IRON, alpha=0.2) == 0.0


def test_unknown_density_or_size_gives_unknown_stress_and_unknown_totals():
    contributions = dispersed_barrier(np.array([np.nan, 1e22, 1e22]), np.array([10.0, np.nan, 10.0]), IRON, alpha=0.2)
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


@pytest.mark.parametrize("wrong", [{"shear_modulus_gpa": 0.0}, {"burgers_nm": np.inf}, {"taylor_factor": -3.0}, {"shear_modulus_sd_gpa": -1.0}])
def test_impossible_constants_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Material(**{"shear_modulus_gpa": 82.0, "burgers_nm": 0.248, **wrong})
    with pytest.raises(ValueError, match="expected"):
        Barrier(constant=0.2, constant_sd=-1.0)
    with pytest.raises(ValueError, match="expected"):
        Barrier(constant=0.2, burgers_nm=0.0)
