"""What a find says by itself: anchored to the score, moved by the movie, guarded against clutter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.arrays import Bools, Floats
from insitrack.io.errors import SettingsError
from insitrack.tracker.existence.evidence import Evidence, histogram, logit
from insitrack.tracker.existence.settings import ExistenceConfig


def drawn(seed: int, n_clutter: int, n_defects: int) -> tuple[Floats, Bools]:
    """Scores above 0.05 of clutter that falls off and of defects, and which are defects."""
    rng = np.random.default_rng(seed)
    floor = float(logit(np.array(0.05)))
    clutter = floor + rng.exponential(0.8, n_clutter)
    defects = rng.normal(0.4, 1.0, n_defects)
    x = np.concatenate([clutter, defects[defects > floor]])
    return 1 / (1 + np.exp(-x)), np.arange(len(x)) >= n_clutter


def test_without_a_movie_the_score_alone_counts_and_an_even_score_is_even() -> None:
    evidence = Evidence.of(np.zeros(100), ExistenceConfig(even_score=0.2))
    assert evidence.log_odds(np.array([0.2])) == pytest.approx(0.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.1, 0.9))
def test_the_log_odds_rise_with_the_score_where_defects_are_found(seed: int, share: float) -> None:
    scores, _ = drawn(seed, int(800 * share), int(800 * (1 - share)))
    odds = Evidence.of(histogram(scores), ExistenceConfig()).log_odds(np.linspace(0.05, 0.9, 50))
    assert (np.diff(odds) > 0).all()


def test_the_probability_is_calibrated_within_an_eighth_on_drawn_scores() -> None:
    probability, true = np.zeros(0), np.zeros(0, bool)
    for seed, n_clutter, n_defects in ((0, 300, 300), (1, 700, 600), (2, 200, 300)):
        scores, defects = drawn(seed, n_clutter, n_defects)
        odds = Evidence.of(histogram(scores), ExistenceConfig()).log_odds(scores)
        probability = np.concatenate([probability, 1 / (1 + np.exp(-odds))])
        true = np.concatenate([true, defects])
    bins = np.minimum((10 * probability).astype(int), 9)
    error = sum(abs(probability[bins == k].sum() - true[bins == k].sum()) for k in range(10)) / len(true)
    assert error < 0.125  # a movie moves the even score by less than these scores ask for


def test_clutter_moves_the_even_score_up() -> None:
    few, many = (Evidence.of(histogram(drawn(4, n, 300)[0]), ExistenceConfig()) for n in (20, 3000))
    faint = np.array([0.2])
    assert many.log_odds(faint)[0] < few.log_odds(faint)[0] - 0.1


def test_the_guard_leaves_a_movie_of_clutter_alone_out() -> None:
    rng = np.random.default_rng(0)
    two_kinds = np.concatenate([rng.normal(-2.9, 0.1, 2000), rng.normal(-1.9, 0.3, 2000)])
    scores = 1 / (1 + np.exp(-two_kinds))
    evidence = Evidence.of(histogram(scores), ExistenceConfig())
    assert evidence == Evidence.of(np.zeros(100), ExistenceConfig())
    assert (evidence.log_odds(scores) > 0).mean() < 0.35


def test_few_finds_move_little() -> None:
    scores, _ = drawn(5, 6, 6)
    usual = Evidence.of(np.zeros(100), ExistenceConfig())
    assert abs(Evidence.of(histogram(scores), ExistenceConfig()).even - usual.even) < 0.07


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), n_clutter=st.integers(0, 5000), n_defects=st.integers(0, 500))
def test_no_movie_turns_a_clear_find_into_clutter(seed: int, n_clutter: int, n_defects: int) -> None:
    """Neither much clutter nor few defects: the even score moves by a third of a logit, from 0.15 to 0.20."""
    evidence = Evidence.of(histogram(drawn(seed, n_clutter, n_defects)[0]), ExistenceConfig())
    assert (evidence.log_odds(np.array([0.2, 0.3, 0.9])) > 0).all()
    assert (evidence.log_odds(np.array([0.05, 0.1])) < 0).all()


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"existence\.keep = 1\.5: expected a number between 0 and 1"):
        ExistenceConfig(keep=1.5)
    with pytest.raises(SettingsError, match=r"existence\.odds_per_logit = -1"):
        ExistenceConfig(odds_per_logit=-1)
