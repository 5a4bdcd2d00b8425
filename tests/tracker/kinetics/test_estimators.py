"""Lifetimes, growth, rates, diffusion, saturation: laws, worked numbers, edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.kinetics.estimators import (
    Estimate,
    event_rate,
    growth_rate,
    kaplan_meier,
    mean_lifetime,
)
from insitrack.tracker.kinetics.motion import diffusion
from insitrack.tracker.kinetics.rates import kinetics_row
from insitrack.tracker.kinetics.saturation import saturation


def test_kaplan_meier_of_the_worked_example() -> None:
    # physics U12: durations 2, 3, 3+, 5, 8+
    curve = kaplan_meier([2, 3, 3, 5, 8], [1, 1, 0, 1, 0])
    assert curve.t_s.tolist() == [2, 3, 5]
    assert curve.survival == pytest.approx([0.8, 0.6, 0.3], abs=1e-12)
    assert curve.n_at_risk.tolist() == [5, 4, 2]
    assert curve.median().value == 5
    # Greenwood: 0.8^2 * 1 / (5 * 4)
    assert curve.sd[0] == pytest.approx(0.8 * math.sqrt(1 / 20))
    assert mean_lifetime([2, 3, 3, 5, 8], [1, 1, 0, 1, 0]).value == pytest.approx(7.0)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.booleans()), min_size=1, max_size=60))
def test_survival_falls_from_one_and_its_band_holds_it(rows: list[tuple[float, bool]]) -> None:
    curve = kaplan_meier([t for t, _ in rows], [dead for _, dead in rows])
    assert (np.diff(curve.survival) <= 0).all()
    assert ((curve.survival >= 0) & (curve.survival < 1)).all()
    low, high = curve.band()
    assert ((low <= curve.survival + 1e-12) & (curve.survival <= high + 1e-12)).all()


def test_without_censoring_survival_is_the_share_that_lives_longer() -> None:
    times = np.random.default_rng(1).exponential(10, 200)
    curve = kaplan_meier(times, np.ones(200, bool))
    assert curve.survival == pytest.approx([(times > t).mean() for t in curve.t_s])


def test_delayed_entry_and_censoring_leave_the_median_unbiased() -> None:
    # deaths at a constant rate; the movie is one mean lifetime long and begins in the middle of things
    medians, naive = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        born, life = rng.uniform(-60, 10, 3000), rng.exponential(10, 3000)
        seen = (born + life > 0) & (born < 10)
        entered = np.maximum(0.0, -born[seen])
        end = np.minimum(life[seen], 10 - born[seen])
        died = life[seen] <= 10 - born[seen]
        medians.append(kaplan_meier(end, died, entered).median().value)
        naive.append(np.median(end - entered))
    assert np.mean(medians) == pytest.approx(10 * math.log(2), rel=0.05)
    assert np.mean(naive) < 0.8 * 10 * math.log(2)


def test_the_interval_of_the_median_holds_the_truth_in_about_95_percent() -> None:
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        life, cut = rng.exponential(10, 60), rng.uniform(5, 40, 60)
        median = kaplan_meier(np.minimum(life, cut), life <= cut).median()
        held += median.lo <= 10 * math.log(2) <= median.hi
    assert 0.91 <= held / 200 <= 0.99


def test_a_life_time_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lifetime_s\[1\] = 2.0, entered_s\[1\] = 3.0"):
        kaplan_meier([5, 2], [True, True], [0, 3])


def test_nobody_died_gives_no_median_and_only_a_lower_bound() -> None:
    assert math.isnan(kaplan_meier([3, 4], [False, False]).median().value)
    mean = mean_lifetime([3, 4], [False, False])
    assert math.isnan(mean.value)
    assert mean.lo > 0
    assert math.isinf(mean.hi)


def test_growth_of_the_worked_example_and_its_dose_rate() -> None:
    # physics U17: 0.002 nm/s at 1e-3 dpa/s is 2 nm/dpa
    t = np.arange(0, 2501, 100.0)
    rate = growth_rate(t, 5 + 0.002 * t)
    assert rate.value == pytest.approx(0.002)
    assert rate.value / 1e-3 == pytest.approx(2.0)


@given(st.floats(0.1, 10), st.floats(-3, 3))
def test_growth_scales_with_size_and_ignores_where_time_begins(factor: float, start: float) -> None:
    rng = np.random.default_rng(4)
    t, size = np.arange(20.0), np.arange(20.0) * 0.3 + rng.normal(0, 0.1, 20)
    assert growth_rate(t + start, factor * size).value == pytest.approx(factor * growth_rate(t, size).value)


def test_one_bad_outline_does_not_change_growth_and_two_observations_say_nothing() -> None:
    t, size = np.arange(21.0), np.arange(21.0) * 0.5
    size[7] = 90
    assert growth_rate(t, size).value == pytest.approx(0.5, rel=0.02)
    assert math.isnan(growth_rate([0, 1], [1, 2]).value)


def test_rates_have_exact_poisson_intervals() -> None:
    rate = event_rate(10, 1e6, 100.0)
    assert rate.value == pytest.approx(10 / (1e6 * 1e-18 * 100))
    assert rate.lo / rate.value == pytest.approx(0.4795, abs=1e-4)  # Garwood for 10 counts: 4.795 to 18.39
    assert rate.hi / rate.value == pytest.approx(1.8390, abs=1e-4)
    assert event_rate(0, 1e6, 100.0).lo == 0
    assert event_rate(0, 1e6, 100.0).hi > 0
    assert math.isnan(event_rate(3, math.nan, 100.0).value)


def walks(
    d: float, noise: float, axis_deg: float | None, seed: int, n: int = 60, length: int = 80
) -> tuple[np.ndarray, np.ndarray]:
    """Steps of many random walks, and the step that follows each."""
    rng = np.random.default_rng(seed)
    if axis_deg is None:
        moves = rng.normal(0, math.sqrt(2 * d), (n, length, 2))
    else:
        turn = math.radians(axis_deg)
        moves = rng.normal(0, math.sqrt(2 * d), (n, length, 1)) * np.array([math.cos(turn), math.sin(turn)])
    places = np.cumsum(moves, axis=1) + rng.normal(0, noise, moves.shape)
    steps = np.diff(places, axis=1)
    following = np.concatenate([steps[:, 1:], np.full((n, 1, 2), np.nan)], axis=1)
    return steps.reshape(-1, 2), following.reshape(-1, 2)


def test_diffusion_and_localisation_come_back_in_two_dimensions() -> None:
    steps, following = walks(0.8, 0.5, None, 3)
    found = diffusion(steps, 1.0, following)
    assert found.dimensions == 2
    assert found.d_nm2_per_s == pytest.approx(0.8, rel=0.06)
    assert found.localisation_nm == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("axis", [0.0, 35.0, 120.0])
def test_glide_is_recognised_with_its_direction(axis: float) -> None:
    steps, following = walks(0.8, 0.2, axis, 5)
    found = diffusion(steps, 1.0, following)
    assert found.dimensions == 1
    assert abs((found.axis_deg - axis + 90) % 180 - 90) < 3
    assert found.d_nm2_per_s == pytest.approx(0.8, rel=0.08)


def test_isotropic_motion_is_seldom_taken_for_glide() -> None:
    wrong = sum(
        diffusion(walks(0.5, 0.0, None, seed, n=5, length=20)[0], 1.0).dimensions == 1 for seed in range(200)
    )
    assert wrong <= 6


def test_too_few_steps_say_nothing_and_no_interval_is_refused() -> None:
    assert math.isnan(diffusion(np.ones((3, 2)), 1.0).d_nm2_per_s)
    assert diffusion(np.zeros((30, 2)), 1.0).d_nm2_per_s == 0  # nothing moved
    with pytest.raises(ValueError, match="interval_s = 0"):
        diffusion(np.ones((30, 2)), 0.0)


def test_saturation_of_the_worked_example() -> None:
    # physics U13: at 2.5 with dose_0 0.8 the count is 0.9561 N_sat
    dose = np.linspace(0.05, 2.5, 40)
    fit = saturation(dose, 500 * (1 - np.exp(-dose / 0.8)))
    assert fit.n_sat.value == pytest.approx(500, rel=1e-4)
    assert fit.dose_0.value == pytest.approx(0.8, rel=1e-4)
    assert fit.at(2.5) / fit.n_sat.value == pytest.approx(0.9561, abs=1e-4)
    assert fit.identifiable


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_the_fit_scales_with_the_unit_of_dose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dose = np.linspace(0.1, 3, 25)
    count = rng.poisson(200 * (1 - np.exp(-dose / 0.7))).astype(float)
    a, b = saturation(dose, count), saturation(1000 * dose, count)
    assert b.dose_0.value == pytest.approx(1000 * a.dose_0.value, rel=1e-3)
    assert b.n_sat.value == pytest.approx(a.n_sat.value, rel=1e-3)


def test_intervals_of_a_saturation_hold_the_truth_in_about_95_percent() -> None:
    dose, held = np.linspace(0.1, 3, 20), 0
    for seed in range(120):
        fit = saturation(dose, np.random.default_rng(seed).poisson(150 * (1 - np.exp(-dose / 0.9))))
        held += fit.dose_0.lo <= 0.9 <= fit.dose_0.hi
    assert 0.9 <= held / 120 <= 0.99


def test_a_straight_line_has_no_saturation() -> None:
    dose = np.linspace(0.1, 1, 20)
    fit = saturation(dose, 50 * dose)
    assert not fit.identifiable
    assert math.isinf(fit.n_sat.hi)
    with pytest.raises(ValueError, match="3 usable points"):
        saturation([1, 2, 3], [1, 2, 3])


@pytest.mark.parametrize("sd", [(0.5, 0.5), (0.9, 0.3)])
def test_defects_that_stand_still_are_neither_gliding_nor_surely_diffusing(sd: tuple[float, float]) -> None:
    """Errors of position alone, also larger ones in x than in y, for forty movies."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        steps = np.diff(rng.normal(0, sd, (30, 40, 2)), axis=1)
        following = np.concatenate([steps[:, 1:], np.full((30, 1, 2), np.nan)], axis=1)
        track = np.repeat(np.arange(30), 39)
        found.append(diffusion(steps.reshape(-1, 2), 1.0, following.reshape(-1, 2), track))
    assert sum(one.p_isotropic < 0.01 for one in found) <= 3
    assert all(one.dimensions == 2 for one in found if one.p_isotropic >= 0.01)
    assert sum(one.lo > 0 for one in found) <= 4


def test_the_interval_of_diffusion_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        true = np.cumsum(rng.normal(0, math.sqrt(2 * 0.4), (25, 30, 2)), axis=1)
        steps = np.diff(true + rng.normal(0, 0.5, true.shape), axis=1)
        following = np.concatenate([steps[:, 1:], np.full((25, 1, 2), np.nan)], axis=1)
        track = np.repeat(np.arange(25), 29)
        one = diffusion(steps.reshape(-1, 2), 1.0, following.reshape(-1, 2), track)
        held += one.lo <= 0.4 <= one.hi
    assert 88 <= held <= 99


def test_a_value_without_an_interval_is_an_empty_cell_that_says_why():
    row = kinetics_row("loop", "growth_nm_per_s", Estimate(-0.5, math.nan, math.nan, 1), "mean over tracks")
    assert math.isnan(row["value"])
    assert row["why"] == "too few tracks to take an interval from"
    assert kinetics_row("loop", "growth_nm_per_s", Estimate(-0.5, -0.7, -0.3, 9), "mean")["value"] == -0.5
