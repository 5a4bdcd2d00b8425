"""What is labelled is where the model doubts, and differs: not the first frames, and the same every time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.labelling.choose import Window, choose, corners, doubt
from insitrack.tracker.labelling.scan import probability, spread


def at(frame, doubts=1.0, x=0, figures=None, brightness=0.5):
    return Window(frame, float(frame), x, 0, 64, 64, doubts, brightness, figures)


@settings(max_examples=40, deadline=None)
@given(
    frames=st.lists(st.tuples(st.integers(0, 30), st.floats(0, 20)), min_size=1, max_size=25),
    n=st.integers(1, 12),
)
def test_no_window_is_taken_twice_and_no_frame_twice_before_all_gave_one(frames, n):
    windows = [at(frame, value, 64 * i) for i, (frame, value) in enumerate(frames)]
    chosen = choose(windows, n)
    assert len(chosen) == len(set(chosen)) == min(n, len(windows))
    taken = [windows[i].frame for i in chosen]
    assert len(set(taken)) == min(n, len({one.frame for one in windows}))
    assert chosen == choose(windows, n)


def test_the_next_window_is_doubtful_and_far_from_those_taken():
    windows = [at(0, 9.0), at(1, 8.9), at(40, 1.0), at(80, 5.0), at(81, 0.1)]
    assert choose(windows, 3)[:2] == [0, 3]
    assert 1 not in choose(windows, 3)


def test_a_frame_that_looks_otherwise_is_taken_before_one_that_looks_the_same():
    plain, odd = np.zeros(40), np.full(40, 4.0)
    rng = np.random.default_rng(0)
    windows = [at(i, 1.0, figures=plain + rng.normal(0, 1, 40)) for i in range(12)]
    windows[5] = at(5, 1.0, figures=odd)
    assert 5 in choose(windows, 3)


def test_what_is_taken_already_is_not_taken_again_in_another_guise():
    windows = [at(frame, 2.0) for frame in (0, 50, 100)]
    assert choose(windows, 1, taken=[at(1, 2.0)]) == [2]


def test_frames_that_are_looked_at_reach_from_the_first_to_the_last():
    numbers = spread(300, 16, 1000)
    assert (numbers[0], numbers[-1], len(numbers)) == (0, 299, 64)
    assert max(np.diff(numbers)) - min(np.diff(numbers)) <= 1
    assert spread(1, 16, 1000) == [0]


def test_half_a_probability_is_the_most_doubtful():
    assert doubt(np.array([0.5])) > doubt(np.array([0.3])) == pytest.approx(doubt(np.array([0.7])))
    even = ExistenceConfig(even_score=0.3)
    assert probability(np.array([0.3]), even)[0] == pytest.approx(0.5)
    assert np.diff(probability(np.linspace(0.05, 0.95, 20), even)).min() > 0


@settings(max_examples=60)
@given(st.integers(1, 5000), st.integers(64, 1024))
def test_windows_cover_a_frame_to_its_edges(length, side):
    places = corners(length, side)
    width = length if length <= side * 5 // 4 else side
    assert places[0] == 0
    assert places[-1] + width == length
    assert all(b - a <= side for a, b in pairwise(places))
