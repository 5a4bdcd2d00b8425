"""Noise is taken out and nothing else.

What stands still is averaged, what moves is followed, what jumps has jumped.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.hindsight.smooth import smooth, step_noise


def tracks(
    n_tracks: int, n: int, rng: np.random.Generator, noise: float = 0.7
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    track, t = np.repeat(np.arange(n_tracks), n), np.tile(np.arange(n) * 0.25, n_tracks)
    return track, t, rng.normal(0, noise, (n_tracks * n, 2))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_what_stands_still_keeps_a_fifth_of_its_noise(seed: int) -> None:
    track, t, noise = tracks(20, 100, np.random.default_rng(seed))
    answer = smooth(track, t, noise + 50)
    assert np.sqrt(((answer.value - 50) ** 2).mean()) < 0.2 * 0.7


def test_stated_standard_deviations_hold_the_truth() -> None:
    track, t, noise = tracks(200, 40, np.random.default_rng(1))
    answer = smooth(track, t, noise)
    inside = np.abs(answer.value) <= 1.96 * answer.sd
    assert 0.88 < inside.mean() < 0.99


def test_a_steady_mover_is_followed_and_its_speed_found() -> None:
    track, t, noise = tracks(20, 100, np.random.default_rng(2))
    truth = np.column_stack([3.0 * t, -1.0 * t])
    answer = smooth(track, t, truth + noise)
    assert np.sqrt(((answer.value - truth) ** 2).mean()) < 0.25
    assert np.median(answer.slope[:, 0]) == pytest.approx(3.0, abs=0.1)


def test_a_jump_is_not_smeared_over_its_neighbours() -> None:
    track, t, noise = tracks(30, 60, np.random.default_rng(3))
    truth = np.where(t[:, None] >= 30 * 0.25, 14.0, 0.0) * np.array([1.0, 0.5])
    answer = smooth(track, t, truth + noise)
    near = np.abs(t - 7.4) < 0.6
    assert np.abs(answer.value - truth)[near].max() < 2.0
    assert all(len(np.unique(answer.piece[track == k])) == 2 for k in range(30))


def test_a_wild_wanderer_is_left_as_it_is() -> None:
    rng = np.random.default_rng(4)
    track, t, noise = tracks(40, 50, rng)
    values = noise.copy()
    wild = track == 7
    values[wild] = rng.uniform(0, 400, (50, 2))
    answer = smooth(track, t, values)
    assert np.abs(answer.value[wild] - values[wild]).max() < 1e-9


def test_scaling_time_changes_nothing_but_the_speed() -> None:
    track, t, noise = tracks(10, 30, np.random.default_rng(5))
    a, b = smooth(track, t, noise + t[:, None]), smooth(track, 60 * t, noise + t[:, None])
    np.testing.assert_allclose(a.value, b.value)
    np.testing.assert_allclose(a.slope, 60 * b.slope)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), lengths=st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_with_its_noise_given_a_track_becomes_what_it_would_become_alone(
    seed: int, lengths: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    track = np.repeat(np.arange(len(lengths)), lengths)
    t = np.concatenate([np.arange(n) * 0.5 for n in lengths])
    values, noise = rng.normal(0, 1, (len(t), 2)) + 30 * (rng.random((len(t), 1)) < 0.3), np.array([1.0, 1.0])
    together = smooth(track, t, values, noise)
    for k in range(len(lengths)):
        mine = track == k
        alone = smooth(track[mine], t[mine], values[mine], noise)
        for name in ("value", "slope", "sd"):
            assert (getattr(together, name)[mine] == getattr(alone, name)).all()
        assert (np.diff(together.piece[mine]) == np.diff(alone.piece)).all()


@pytest.mark.parametrize("noise", [0.15, 0.4, 2.0])
def test_places_rounded_to_whole_pixels_keep_a_noise_that_holds_the_truth(noise: float) -> None:
    track, t, error = tracks(60, 40, np.random.default_rng(6), noise)
    truth = np.repeat(np.random.default_rng(7).uniform(0, 400, (60, 2)), 40, axis=0)
    rounded = np.round(truth + error)
    told = step_noise(track, rounded)
    assert (told > 0.5 * np.hypot(noise, 0.05)).all()
    assert (told < 1.6 * np.hypot(noise, 1 / np.sqrt(12))).all()
    assert len(np.unique(smooth(track, t, rounded).piece)) < 1.25 * 60  # hardly a flip of rounding is a jump


def test_one_sight_and_none_are_returned_as_they_are() -> None:
    one = smooth(np.array([3]), np.array([1.0]), np.array([[5.0, 6.0]]))
    assert one.value.tolist() == [[5.0, 6.0]]
    assert smooth(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 2))).value.shape == (0, 2)
