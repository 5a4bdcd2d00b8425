"""Scores of tracks: equal to TrackEval's, and the laws that any such score keeps."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.tracker.evaluation.track_scores import BoxTable, TrackScores, score_tracks

pytestmark = pytest.mark.truth

CASES = json.loads(
    (Path(__file__).resolve().parents[2] / "truth" / "track_scores.json").read_text(encoding="utf-8")
)


def table(rows: list[list[float]]) -> BoxTable:
    array = np.array(rows, float).reshape(-1, 6)
    return BoxTable(array[:, 0].astype(np.int64), array[:, 1].astype(np.int64), array[:, 2:])


@pytest.mark.parametrize("case", CASES)
def test_every_score_is_trackevals(case: dict) -> None:
    scores = score_tracks(table(case["true"]), table(case["found"]))
    for one in fields(TrackScores):
        assert getattr(scores, one.name) == pytest.approx(case["trackeval"][one.name], abs=1e-6), one.name


def test_the_truth_itself_is_perfect() -> None:
    truth = table(CASES[0]["true"])
    scores = score_tracks(truth, truth)
    assert (scores.hota, scores.mota, scores.idf1, scores.mostly_tracked) == (1.0, 1.0, 1.0, 1.0)
    assert (scores.id_switches, scores.fragmentations, scores.misses, scores.false_positives) == (0, 0, 0, 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_neither_names_nor_the_order_of_rows_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = table(CASES[1]["true"]), table(CASES[1]["found"])
    order = rng.permutation(len(found))
    names = rng.permutation(5000)[: found.track_id.max() + 1]
    renamed = BoxTable(found.frame[order], names[found.track_id[order]], found.boxes[order])
    a, b = score_tracks(truth, found), score_tracks(truth, renamed)
    for one in fields(TrackScores):
        assert getattr(a, one.name) == pytest.approx(getattr(b, one.name), abs=1e-9), one.name


def test_a_swap_costs_association_and_not_detection() -> None:
    truth = table(CASES[0]["true"])
    swapped = truth.track_id.copy()
    late = truth.frame > 15
    lives = [
        i for i in np.unique(truth.track_id).tolist() if len(set(late[truth.track_id == i].tolist())) == 2
    ]
    for a, b in (lives[:2], lives[1::-1]):
        swapped[late & (truth.track_id == a)] = b
    scores = score_tracks(truth, replace(truth, track_id=swapped))
    assert scores.deta == 1.0
    assert scores.id_switches == 2
    assert scores.assa < 1.0


def test_nothing_found_scores_nothing_and_no_truth_is_unknown() -> None:
    truth, nothing = table(CASES[0]["true"]), table([])
    scores = score_tracks(truth, nothing)
    assert (scores.hota, scores.mota, scores.idf1, scores.misses) == (0.0, 0.0, 0.0, len(truth))
    assert np.isnan(score_tracks(nothing, truth).mota)


def test_several_rows_of_a_track_in_a_frame_are_refused() -> None:
    truth = table(CASES[0]["true"])
    with pytest.raises(ValueError, match=r"track 1 has \d+ rows in frame"):
        score_tracks(truth, replace(truth, track_id=np.ones_like(truth.track_id)))
