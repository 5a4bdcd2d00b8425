"""Classes of tracks with hindsight: by what was seen of each and of the others, and `defect` where that is not enough."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.tracker.hindsight.classes import likeliest, with_classes

NAMES = ("black_dot", "loop_111", "void", "defect")


def run_of(tracks: list[tuple[str, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and causal summary of tracks, each of one class with a share, seen three times."""
    rows = pd.DataFrame(
        [
            {"frame": i, "track_id": k, "causal_id": k, "observed": 1, "defect_class": name}
            for i in range(3)
            for k, (name, _) in enumerate(tracks, 1)
        ]
    )
    summary = pd.DataFrame(
        [
            {"track_id": k, "defect_class": name, "class_probability": share}
            for k, (name, share) in enumerate(tracks, 1)
        ]
    )
    return rows, summary


def classes_of(tracks: list[tuple[str, float]], least: float = 0.5) -> list[str]:
    typed = with_classes(*run_of(tracks), NAMES, least)
    return typed.groupby("track_id")["defect_class"].first().tolist()


def test_a_track_in_doubt_takes_the_class_of_a_run_that_is_sure_of_the_others() -> None:
    assert classes_of([("void", 0.95)] * 30 + [("loop_111", 0.45)])[-1] == "void"


def test_a_track_that_is_sure_keeps_its_class_among_any_number_of_others() -> None:
    assert classes_of([("void", 0.95)] * 300 + [("loop_111", 0.95)])[-1] == "loop_111"


def test_a_track_in_doubt_in_a_run_of_all_kinds_is_a_defect() -> None:
    mixed = [("void", 0.9), ("loop_111", 0.9), ("black_dot", 0.9)] * 8
    assert classes_of([*mixed, ("loop_111", 0.4)], least=0.5)[-1] == "defect"
    assert classes_of([*mixed, ("loop_111", 0.4)], least=0.35)[-1] == "loop_111"


def test_one_track_has_one_class_in_all_its_frames_also_where_it_was_filled_in() -> None:
    rows, summary = run_of([("void", 0.9), ("loop_111", 0.9)])
    rows.loc[rows["track_id"] == 2, "defect_class"] = ["loop_111", "void", "loop_111"]
    rows.loc[rows.index[-1], ["observed", "causal_id"]] = [0, -1]
    typed = with_classes(rows, summary, NAMES, 0.5)
    assert typed.groupby("track_id")["defect_class"].nunique().tolist() == [1, 1]


def test_tracks_without_a_causal_summary_go_by_the_class_of_their_rows() -> None:
    rows, summary = run_of([("void", 0.9)] * 9 + [("loop_111", 0.9)])
    typed = with_classes(rows, summary[summary["track_id"] < 10], NAMES, 0.3)
    assert typed[typed["track_id"] == 10]["defect_class"].iloc[0] in ("loop_111", "void")


def test_no_track_is_none() -> None:
    rows, summary = run_of([("void", 0.9)])
    assert len(with_classes(rows[:0], summary, NAMES, 0.5)) == 0


@given(st.lists(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), min_size=1, max_size=20))
def test_the_order_of_tracks_does_not_matter_and_probabilities_are_some(values: list[list[float]]) -> None:
    chances = np.array(values) / np.sum(values, axis=1, keepdims=True)
    _, chance = likeliest(chances)
    assert ((chance >= 1 / 3 - 1e-9) & (chance <= 1 + 1e-9)).all()
    turned = likeliest(chances[::-1])
    np.testing.assert_allclose(turned[1][::-1], chance, rtol=1e-6)


def test_a_worked_pair_of_shares() -> None:
    best, chance = likeliest(np.array([[0.8, 0.2], [0.8, 0.2]]))
    # shares s and 1 - s with s = (2 p + 1) / 4 and p = .8 sqrt(s) / (.8 sqrt(s) + .2 sqrt(1 - s))
    s = (2 * chance[0] + 1) / 4
    assert chance[0] == pytest.approx(0.8 * s**0.5 / (0.8 * s**0.5 + 0.2 * (1 - s) ** 0.5), abs=1e-6)
    assert best.tolist() == [0, 0]
