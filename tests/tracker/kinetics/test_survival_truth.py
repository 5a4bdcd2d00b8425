"""Lifetimes against lifelines: survival curves, their band and their median on drawn cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from insitrack.tracker.kinetics.estimators import kaplan_meier

lifelines = pytest.importorskip("lifelines", reason="comes with the extra `test`")


def drawn(seed: int, *, entry: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lifetimes of defects of which some outlive the movie, with ties, and ages at which they came into view."""
    rng = np.random.default_rng(seed)
    lived = rng.weibull(rng.uniform(0.7, 2.0), 300) * 30.0
    entered = rng.uniform(0.0, 15.0, 300) if entry else np.zeros(300)
    watched = rng.uniform(5.0, 80.0, 300)
    seen = lived > entered
    end = np.minimum(lived, watched + entered)
    age, died = np.ceil(end[seen]), (lived <= watched + entered)[seen]  # whole frames: several die at one age
    return age, died, np.floor(entered[seen])


@pytest.mark.parametrize("entry", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_survival_band_and_median_are_those_of_lifelines(seed: int, entry: bool) -> None:
    age, died, entered = drawn(seed, entry=entry)
    ours = kaplan_meier(age, died, entered)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifelines.KaplanMeierFitter().fit(age, died, entry=entered if entry else None)
        low, high = (theirs.confidence_interval_.iloc[:, k] for k in (0, 1))
    at = ours.t_s
    np.testing.assert_allclose(ours.survival, theirs.survival_function_at_times(at).to_numpy(), atol=1e-9)
    inside = (ours.survival > 0) & (ours.survival < 1)
    lower, upper = ours.band()
    np.testing.assert_allclose(lower[inside], low.loc[at].to_numpy()[inside], atol=1e-6)
    np.testing.assert_allclose(upper[inside], high.loc[at].to_numpy()[inside], atol=1e-6)
    # their table counts those that enter at an age among those at risk at it; their estimate does not
    table = theirs.event_table.loc[at]
    assert ours.n_at_risk.tolist() == (table["at_risk"] - table["entrance"]).astype(int).tolist()
    assert ours.median().value == pytest.approx(theirs.median_survival_time_)


def test_survival_of_tracks_that_may_be_none_is_that_of_lifelines() -> None:
    age, died, entered = drawn(7, entry=True)
    weight = np.random.default_rng(8).uniform(0.3, 1.0, len(age))
    ours = kaplan_meier(age, died, entered, weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifelines.KaplanMeierFitter().fit(age, died, entry=entered, weights=weight)
    at, some = ours.t_s, ours.survival > 0
    assert (
        np.count_nonzero(some) >= len(some) - 1
    )  # where all die they leave rounding of the weights, we nothing
    share = theirs.survival_function_at_times(at).to_numpy()
    np.testing.assert_allclose(ours.survival[some], share[some], atol=1e-9)
    assert np.abs(kaplan_meier(age, died, entered).survival - ours.survival).max() > 0.01


def test_a_track_that_counts_twice_is_two_tracks() -> None:
    age, died, entered = drawn(7, entry=True)
    weight = np.random.default_rng(8).integers(1, 4, len(age))
    ours = kaplan_meier(age, died, entered, weight)
    twice = kaplan_meier(*(np.repeat(one, weight) for one in (age, died, entered)))
    np.testing.assert_allclose(ours.survival, twice.survival, atol=1e-12)
    np.testing.assert_allclose(ours.sd, twice.sd, atol=1e-12)


def test_a_curve_that_never_falls_to_a_half_has_no_median_here_and_an_infinite_one_there() -> None:
    age, died = np.array([1.0, 5.0, 5.0, 5.0]), np.array([True, False, False, False])
    theirs = lifelines.KaplanMeierFitter().fit(age, died)
    assert np.isnan(kaplan_meier(age, died).median().value)
    assert np.isinf(theirs.median_survival_time_)
