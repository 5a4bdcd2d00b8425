"""Whether what is seen after a gap is the same defect: against drawn movies whose defects are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from insitrack.io.arrays import Floats, Ints
from insitrack.tracker.kinetics.identities import identities
from insitrack.tracker.kinetics.strangers import Strangers, leftover

SIDE, LOOKS, NOISE = 400.0, 120, 0.5


def movie(n: int, tau: float, missed: float, seed: int = 0) -> tuple[Ints, Ints, Floats]:
    """Draw tracks, looks and places of defects that stand still, live so long and are missed so often."""
    rng = np.random.default_rng(seed)
    parts = []
    for name in range(n):
        born, home = rng.uniform(-tau, LOOKS), rng.uniform(0, SIDE, 2)
        looks = np.arange(max(0, int(born)), min(LOOKS, int(born + rng.exponential(tau)) + 1))
        looks = looks[rng.random(len(looks)) >= missed]
        places = home + rng.normal(0, NOISE, (len(looks), 2))
        parts.append(np.column_stack([np.full(len(looks), name), looks, places]))
    rows = np.concatenate(parts)
    return rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2:]


def learnt(track: Ints, look: Ints, places: Floats) -> Strangers:
    """Learn from tracks of defects of 20 px."""
    return Strangers.of(track, look, places, np.full(len(track), 20.0), LOOKS)


def ratio(strangers: Strangers, gap: int, distance: float) -> float:
    scale2 = np.array([np.median(strangers.scale2_px2) if len(strangers.scale2_px2) else 1.0])
    return float(strangers.log_ratio(np.array([gap]), np.array([distance]), np.array([20.0]), scale2)[0])


@pytest.mark.parametrize("tau", [4.0, 40.0])
def test_the_longer_the_gap_and_the_way_the_likelier_it_is_a_stranger(tau: float) -> None:
    strangers = learnt(*movie(int(2000 / tau), tau, 0.1))
    by_gap = [ratio(strangers, gap, 0.5) for gap in range(12)]
    by_distance = [ratio(strangers, 1, distance) for distance in (0.0, 1.0, 3.0, 10.0, 30.0)]
    assert np.all(np.diff(by_gap) <= 1e-9)
    assert np.all(np.diff(by_distance) < 0)


def test_a_short_gap_at_one_place_is_closed_and_a_long_one_among_many_births_is_not() -> None:
    busy = learnt(*movie(900, 4.0, 0.1))
    assert ratio(busy, 1, 0.5) > 0
    assert ratio(busy, 8, 0.5) < 0
    assert ratio(busy, 0, 12.0) < 0


def test_where_nothing_is_born_a_long_gap_is_closed() -> None:
    still = learnt(*movie(20, 1e6, 0.02))
    assert ratio(still, 12, 0.5) > 0


def test_a_leap_of_half_a_diameter_is_one_defect_only_where_strangers_are_rare() -> None:
    assert ratio(learnt(*movie(20, 1e6, 0.02)), 0, 10.0) > 0
    assert ratio(learnt(*movie(900, 4.0, 0.1)), 0, 10.0) < 0


def test_what_often_vanishes_for_long_is_given_the_time() -> None:
    track, look, places = movie(60, 1e6, 0.0)
    away = (look // 10) % 3 == track % 3  # each is gone for ten frames of thirty
    blinking = learnt(track[~away], look[~away], places[~away])
    steady = learnt(track, look, places)
    assert blinking.gap_chance[10] > 100 * steady.gap_chance[10]


def test_the_chance_of_being_seen_at_once_is_that_of_the_draws() -> None:
    strangers = learnt(*movie(300, 60.0, 0.3))
    assert strangers.gap_chance[0] == pytest.approx(0.7, abs=0.02)
    assert strangers.gap_chance[1] == pytest.approx(0.21, abs=0.02)


def test_a_steady_glide_leaves_no_step_unexplained() -> None:
    look = np.array([*range(10), *range(15, 25)])
    points = np.column_stack([3.0 * look, -1.0 * look])
    assert leftover(np.ones(20, np.int64), look, points) == pytest.approx(np.zeros(19), abs=1e-9)


def table(track: Ints, look: Ints, places: Floats) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of tracks.csv and frames.csv of a drawn movie."""
    x, y = places.T
    box = {"x1_px": x - 10, "x2_px": x + 10, "y1_px": y - 10, "y2_px": y + 10}
    rows = pd.DataFrame({"track_id": track, "frame": look, "raw_x_px": x, "raw_y_px": y, "observed": 1} | box)
    return rows, pd.DataFrame({"frame": np.arange(LOOKS), "t_s": np.arange(LOOKS) / 2})


def test_identities_of_well_separated_lives_are_sure_and_cut_ones_are_counted() -> None:
    track, look, places = movie(60, 40.0, 0.05)
    told = identities(*table(track, look, places))
    assert told.why_not() == ""
    assert told.split < 1
    halves = 2 * track + (look > LOOKS / 2)  # every life is cut in the middle of the movie
    cut = identities(*table(halves, look, places))
    both = len(np.intersect1d(track[look <= LOOKS / 2 - 3], track[look > LOOKS / 2 + 3]))
    assert cut.split == pytest.approx(both, abs=0.2 * both)
    assert "identities are not sure" in cut.why_not()


def test_no_tracks_and_one_observation_are_no_error() -> None:
    for n in (0, 1):
        strangers = Strangers.of(
            np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, 2)), np.ones(n), 1
        )
        assert np.isfinite(ratio(strangers, 0, 1.0))
