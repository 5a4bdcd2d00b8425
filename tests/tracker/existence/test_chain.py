"""Along tracks: gaps, blinking, single finds and clutter that lives long."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.arrays import Floats, Ints
from insitrack.tracker.existence.chain import CORRELATION, along_tracks, believed, breaks
from insitrack.tracker.existence.judge import Judge
from insitrack.tracker.existence.settings import ExistenceConfig


def one_track(log_odds: Floats, seen: Ints, n_looks: int) -> tuple[Floats, Floats]:
    """Probability of every look between the first and the last at one track, and the forward one."""
    looks = along_tracks(np.zeros(len(seen), np.int64), seen, log_odds, n_looks)
    return looks.probability, looks.forward


def test_one_look_says_what_its_find_says() -> None:
    for log_odds in (-2.0, 0.0, 1.3):
        probability, forward = one_track(np.array([log_odds]), np.array([0]), 1)
        assert np.allclose(probability, 1 / (1 + np.exp(-log_odds)))
        assert np.allclose(forward, probability)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_higher_score_never_makes_a_defect_less_likely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = np.sort(rng.choice(40, 15, replace=False))
    odds = rng.normal(0, 1.5, 15)
    raised = odds + np.where(np.arange(15) == rng.integers(15), 1.0, 0.0)
    before, after = one_track(odds, seen, 40), one_track(raised, seen, 40)
    assert (after[0] >= before[0] - 1e-12).all()
    assert (after[1] >= before[1] - 1e-12).all()


def test_the_order_of_the_tracks_changes_nothing_and_none_touches_another() -> None:
    rng = np.random.default_rng(0)
    parts = [np.sort(rng.choice(30, n, replace=False)) for n in (3, 12, 1)]
    odds = [rng.normal(0, 2, len(part)) for part in parts]
    together = along_tracks(np.repeat([0, 1, 2], [3, 12, 1]), np.concatenate(parts), np.concatenate(odds), 30)
    for k, (part, value) in enumerate(zip(parts, odds, strict=True)):
        alone = along_tracks(np.zeros(len(part), np.int64), part, value, 30)
        assert np.allclose(together.probability[together.chain == k], alone.probability)
        assert np.array_equal(together.place[together.chain == k], alone.place)


def test_a_blinking_defect_is_kept_with_its_gaps() -> None:
    seen = np.array([t for t in range(60) if t % 10 not in (4, 5, 6)])
    probability, _ = one_track(np.full(len(seen), 1.5), seen, 60)
    assert len(probability) == 60
    assert (probability > 0.5).all()


def test_clutter_that_lives_long_is_not_believed() -> None:
    rng = np.random.default_rng(3)
    probability, forward = one_track(rng.normal(-0.8, 0.6, 300), np.arange(300), 300)
    assert (probability < 0.5).mean() > 0.98
    assert (forward < 0.5).mean() > 0.95


def test_a_find_that_is_never_seen_again_counts_less_where_it_could_have_been() -> None:
    faint = np.array([0.4])
    assert one_track(faint, np.array([0]), 2)[0] > 0.5  # nobody looked often enough
    assert one_track(faint, np.array([0]), 60)[0] < 0.5
    assert one_track(faint, np.array([59]), 60)[0] > 0.5  # the movie ended


def test_a_gap_between_clear_finds_is_filled_and_a_long_absence_between_faint_ones_is_not() -> None:
    clear, _ = one_track(np.full(2, 4.0), np.array([0, 4]), 5)
    assert (clear > 0.5).all()
    faint, _ = one_track(np.full(2, 0.3), np.array([0, 20]), 21)
    assert faint[10] < 0.5


def test_being_seen_for_ever_does_not_make_a_doubtful_track_sure() -> None:
    faint, _ = one_track(np.full(500, 0.4), np.arange(500), 500)
    assert (faint < 1 / (1 + np.exp(-0.4 / CORRELATION))).all()
    assert (faint > 0.5).all()


def test_independent_looks_add_and_looks_that_are_one_do_not(monkeypatch) -> None:
    from insitrack.tracker.existence import chain

    for correlation, worth in ((0.0, 3.0), (1.0, 1.0)):
        monkeypatch.setattr(chain, "CORRELATION", correlation)
        assert np.allclose(believed(np.array([3.0]), np.array([3.0])), 1 / (1 + np.exp(-worth)))


def test_nothing_is_concluded_across_looks_that_share_few_defects() -> None:
    rng = np.random.default_rng(5)
    chain, place = np.repeat(np.arange(80), 5), np.tile(np.arange(5), 80)
    place[200:] += 5  # forty tracks end with the fifth look, forty others begin
    odds = rng.normal(1.0, 0.5, len(chain))
    apart = breaks(chain, place, odds > 0, 10)
    assert np.flatnonzero(apart).tolist() == [5]
    one = along_tracks(np.zeros(10, np.int64), np.arange(10), np.repeat([-2.0, 2.0], 5), 10, apart=apart)
    assert (one.probability < 0.5).tolist() == [True] * 5 + [False] * 5
    alone = along_tracks(np.zeros(5, np.int64), np.arange(5), np.full(5, -2.0), 5)
    assert np.allclose(one.probability[:5], alone.probability)


def test_frames_too_far_apart_are_judged_each_by_itself_with_hindsight_too() -> None:
    """Tracks linked by chance: what one frame doubts is not doubted for that in the next."""
    rng = np.random.default_rng(6)
    score = np.where(rng.random((60, 12)) < 0.5, 0.6, 0.06)
    chain, place = np.repeat(np.arange(60), 12), np.tile(np.arange(12), 60)
    judge = Judge.of(chain, place, np.full(720, 0.6), 12, None)
    assert not judge.apart.any()
    one_frame_each = np.arange(720)
    judge = Judge.of(one_frame_each, place, score.ravel(), 12, ExistenceConfig())
    assert judge.apart[1:].all()
    looks = judge.along(chain, place, score.ravel())
    assert ((looks.probability > 0.5) == (score.ravel() > 0.3)).all()


def test_nothing_gives_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    assert len(along_tracks(nothing, nothing, np.zeros(0), 10).probability) == 0
