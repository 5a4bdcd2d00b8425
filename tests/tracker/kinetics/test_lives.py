"""Lives watched with misses, from confirmation to the border: estimators against drawn lives whose law is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.kinetics.estimators import population_mean
from insitrack.tracker.kinetics.lives import (
    CONFIRMED,
    Lives,
    confirmed_share,
    enough_is_seen,
    exponential_mean,
    looks_to_be_sure,
    survival,
    weibull,
)
from insitrack.tracker.kinetics.rates import lifetime_rows, nucleation_row
from insitrack.tracker.kinetics.watched import Watched, watch


def drawn(seed: int, tau: float, missed: float, n: int = 150, frames: int = 200) -> Lives:
    """Births at any time, some there from the start, deaths at a constant rate, looks that miss."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        born = 0.0 if rng.random() < 0.4 else rng.uniform(0, frames)
        seen = np.arange(math.ceil(born), min(math.floor(born + rng.exponential(tau)), frames - 1) + 1)
        seen = seen[rng.random(len(seen)) >= missed]
        if len(seen) >= CONFIRMED:
            found.append((seen[-1] - seen[0], len(seen), frames - 1 - seen[-1], seen[0]))
    looks, n_seen, horizon, first = np.array(found).T
    one = np.ones(len(looks))
    return Lives(looks.astype(float), n_seen, horizon, first >= looks_to_be_sure(missed), one, one)


@pytest.mark.parametrize(("tau", "missed"), [(3.0, 0.0), (6.0, 0.3), (30.0, 0.1), (100.0, 0.3)])
def test_the_mean_life_is_right_to_five_percent_and_its_interval_holds_it(tau: float, missed: float) -> None:
    found = [exponential_mean(drawn(seed, tau, missed), 1.0) for seed in range(60)]
    assert np.mean([one.value for one in found]) == pytest.approx(tau, rel=0.05)
    assert 0.88 <= np.mean([one.lo <= tau <= one.hi for one in found]) <= 1.0


@pytest.mark.parametrize("missed", [0.0, 0.1, 0.3])
def test_the_median_life_is_right_to_six_percent_and_its_interval_holds_it(missed: float) -> None:
    found = []
    for seed in range(60):
        lives = drawn(seed, 30.0, missed, n=400)
        found.append(survival(lives, 1.0, exponential_mean(lives, 1.0).value)[0].median())
    true = 30 * math.log(2)
    assert np.mean([one.value for one in found]) == pytest.approx(true, rel=0.06)
    assert 0.88 <= np.mean([one.lo <= true <= one.hi for one in found]) <= 1.0


def test_without_truncation_and_misses_the_old_way_is_a_fifth_too_long() -> None:
    lives = drawn(1, 6.0, 0.1, n=4000)
    naive = (lives.looks + 1).mean()
    assert naive > 1.2 * 6
    assert exponential_mean(lives, 1.0).value == pytest.approx(6.0, rel=0.05)


def test_weibulls_shape_is_one_at_a_constant_rate_and_more_where_the_old_die_faster() -> None:
    lives = drawn(3, 30.0, 0.1, n=1500)
    shape, scale = weibull(lives, 0.5, exponential_mean(lives, 0.5).value)
    assert shape.lo < 1 < shape.hi
    assert scale.value == pytest.approx(15.0, rel=0.1)
    rng = np.random.default_rng(0)
    looks = np.maximum(3, np.round(40 * rng.weibull(3.0, 500)))
    n = looks.astype(int) + 1
    old = Lives(looks, n, np.full(500, 50), n > 0, looks, np.ones(500))
    assert weibull(old, 1.0, 35.0)[0].value == pytest.approx(3.0, rel=0.12)


@settings(max_examples=40, deadline=None)
@given(st.floats(1.5, 200), st.floats(0, 0.6))
def test_the_share_that_is_ever_confirmed_rises_with_life_and_falls_with_misses(
    tau: float, missed: float
) -> None:
    share = confirmed_share(tau, missed)
    assert 0 < share < 1
    assert confirmed_share(2 * tau, missed) > share
    assert confirmed_share(tau, min(0.95, missed + 0.1)) < share


def test_the_share_that_is_ever_confirmed_agrees_with_draws() -> None:
    rng, tau, missed, n = np.random.default_rng(0), 5.0, 0.2, 20000
    born, life = rng.uniform(0, 1, n), rng.exponential(tau, n)
    looks = np.floor(born + life).astype(int)  # at 1, 2, ... after the birth
    seen = rng.binomial(np.maximum(looks, 0), 1 - missed)
    assert np.mean(seen >= CONFIRMED) == pytest.approx(confirmed_share(tau, missed), abs=0.01)


def test_where_data_cannot_tell_the_cell_is_empty_and_says_why() -> None:
    short = {row["quantity"]: row for row in lifetime_rows("all", drawn(0, 3.0, 0.3, n=600), 1.0)}
    assert math.isfinite(float(short["lifetime_mean_s"]["value"]))
    assert math.isnan(float(short["lifetime_median_s"]["value"]))
    assert "live long enough to be seen 3 times" in short["lifetime_median_s"]["why"]
    none = np.zeros(0)
    empty = lifetime_rows("all", Lives(none, none.astype(int), none.astype(int), none > 0, none, none), 1.0)
    assert all(math.isnan(float(row["value"])) and row["why"] for row in empty)
    assert not any("," in str(row[name]) for row in (*empty, *short.values()) for name in ("method", "why"))
    assert not enough_is_seen(0.5)


def test_an_exactly_static_scene_without_deaths_has_a_lower_end_only() -> None:
    n = np.full(20, 50)
    still = exponential_mean(Lives(n - 1.0, n, np.zeros(20, int), n < 0, n * 1.0, n / 50), 0.5)
    assert math.isnan(still.value)
    # so many looks without a death have a chance of 2.5 %
    assert still.lo == pytest.approx(20 * 47 * 0.5 / -math.log(0.025), rel=1e-3)
    assert math.isinf(still.hi)


def looks_of(places: list[tuple[int, float]], size: float = 10.0, track: int = 1) -> pd.DataFrame:
    rows = [(frame, track, x, 50.0) for frame, x in places]
    table = pd.DataFrame(rows, columns=["frame", "track_id", "x_px", "y_px"])
    half = size / 2
    for name, values, limit in (("x", table["x_px"], 100), ("y", table["y_px"], 100)):
        table[f"{name}1_px"], table[f"{name}2_px"] = (
            (values - half).clip(0, limit),
            (values + half).clip(0, limit),
        )
    table["specimen_x_px"], table["specimen_y_px"] = table["x_px"], table["y_px"]
    return table.assign(observed=1, on_edge=0, size_nm=size, probability=1.0, defect_class="loop")


def frames_of(n: int, drift: float = 0.0) -> pd.DataFrame:
    number = np.arange(n)
    return pd.DataFrame(
        {
            "frame": number,
            "t_s": number * 1.0,
            "shift_x_px": drift * number,
            "shift_y_px": 0.0,
            "width_px": 100.0,
            "height_px": 100.0,
            "field_px": 1e4,
        }
    )


def test_a_defect_at_the_border_is_watched_neither_as_alive_nor_as_dead() -> None:
    cut, whole = looks_of([(f, 2.0) for f in range(10)]), looks_of([(f, 50.0) for f in range(10)], track=2)
    seen = watch(pd.concat([cut, whole]), frames_of(40))
    assert seen.lives.n_seen.tolist() == [0, 10]
    assert seen.lives.horizon.tolist() == [0, 30]
    assert seen.lives.looks.tolist() == [0.0, 9.0]


def test_what_drifts_in_was_not_born_and_what_drifts_out_did_not_die() -> None:
    frames = frames_of(60, drift=3.0)
    rows = looks_of([(f, 50.0) for f in range(20)])
    rows["specimen_x_px"] = -30.0  # in view wholly from frame 12 on, at x = 6
    rows = rows[rows["frame"] >= 12]
    leaves = looks_of([(f, 50.0) for f in range(5, 26)], track=2)
    leaves["specimen_x_px"] = 17.0  # at x = 95 in frame 26: too near to the border from then on
    seen = watch(pd.concat([rows, leaves]), frames)
    assert not seen.lives.began[0]
    assert seen.lives.began[1]
    assert seen.lives.horizon[1] == 0
    assert seen.lives.horizon[0] > 10


def test_the_area_of_births_shrinks_by_size_and_drift() -> None:
    still = watch(looks_of([(f, 50.0) for f in range(3, 30)]), frames_of(100))
    moving = watch(looks_of([(f, 50.0) for f in range(3, 30)]), frames_of(100, drift=2.0))
    area = (100 - 12.0) ** 2  # 10 px and a margin of 1 px on each side
    n_looks = 100 - 1 - (CONFIRMED + 1 + CONFIRMED)
    assert still.exposure_px2_looks[0] == pytest.approx(area * n_looks)
    gone = 2.0 * (
        1 + CONFIRMED + 1 + CONFIRMED
    )  # from the look that must be empty to the last that a birth needs
    assert moving.exposure_px2_looks[0] == pytest.approx(88.0 * (88.0 - gone) * n_looks)


def test_the_mean_of_a_population_holds_the_truth_in_95_percent_of_draws() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(600):
        errors = rng.uniform(0.5, 3.0, 40)
        mean, _ = population_mean(2.0 + rng.normal(0, 1.0, 40) + errors * rng.normal(0, 1, 40), errors)
        held += mean.lo <= 2.0 <= mean.hi
    assert 0.925 < held / 600 < 0.975


def test_a_nucleation_rate_is_not_known_where_most_tracks_could_not_have_been_seen_to_be_born() -> None:
    none, n = np.zeros(3), np.zeros(3, np.int64)
    watched = Watched(n, Lives(none, n + 3, n, n > 0, none, none + 1), n > 0, np.array([0.0, 0.0, 5.0]))
    row = nucleation_row("all", watched, np.ones(3, bool), 1.0, np.full(4, 0.5))
    assert math.isnan(float(str(row["value"])))
    assert "too short" in str(row["why"])
