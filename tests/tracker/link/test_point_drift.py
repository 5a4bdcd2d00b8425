"""Drift from the defects alone: jumps, movers, misses and false finds do not lead it astray."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.link.point_drift import drift_of_points


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), angle=st.floats(0, 6.28), length=st.floats(0, 100))
def test_a_jump_of_up_to_100_px_is_found_among_misses_false_finds_and_movers(
    seed: int, angle: float, length: float
) -> None:
    rng = np.random.default_rng(seed)
    before = rng.uniform(0, 512, (60, 2))
    shift = length * np.array([np.cos(angle), np.sin(angle)])
    now = before[rng.random(60) > 0.15] + shift
    now = now + rng.normal(0, 0.5, now.shape)
    now[:8] += rng.uniform(-15, 15, (8, 2))
    now = np.concatenate([now, rng.uniform(0, 512, (4, 2))])
    found, quality = drift_of_points(before, now, (0.0, 0.0))
    assert np.hypot(*(np.array(found) - shift)) < 0.5
    assert quality > 0.5


def test_too_few_defects_say_nothing() -> None:
    assert drift_of_points(np.zeros((2, 2)), np.zeros((2, 2)) + 9.0, (3.0, 4.0)) == ((3.0, 4.0), 0.0)


def test_defects_that_all_are_new_keep_the_last_shift() -> None:
    rng = np.random.default_rng(0)
    found, quality = drift_of_points(
        rng.uniform(0, 2000, (6, 2)), rng.uniform(5000, 7000, (6, 2)), (1.0, 2.0)
    )
    assert found == (1.0, 2.0)
    assert quality == pytest.approx(0.0)
