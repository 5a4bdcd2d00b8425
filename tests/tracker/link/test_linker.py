"""Ids through drift, gaps, crossings and noise, on trajectories whose truth is known."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import Detections, Masks
from insitrack.io.errors import SettingsError
from insitrack.io.results import Measures
from insitrack.tests.support.dots import (
    DT,
    SHORT,
    Dot,
    field_of_dots,
    frame,
    noisy_movie,
    plain,
    run,
    switches,
)
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000))
def test_ids_persist_through_misses_jitter_false_detections_and_drift(seed: int) -> None:
    drift = (3.0, -1.5)
    movie = noisy_movie(seed, drift=drift)
    linked = run(movie, shifts=[(drift[0] * i, drift[1] * i) for i in range(len(movie))])
    observations = sum(dot.truth >= 0 for dots in movie for dot in dots)
    assert switches(movie, linked) <= 0.005 * observations


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_change_an_id(seed: int) -> None:
    rng = np.random.default_rng(seed)
    movie = noisy_movie(seed, 10, false=20.0)
    orders = [rng.permutation(len(dots)) for dots in movie]
    shuffled = run([[dots[k] for k in order] for dots, order in zip(movie, orders, strict=True)])
    for a, b, order in zip(run(movie), shuffled, orders, strict=True):
        assert a.track_ids[order].tolist() == b.track_ids.tolist()
        assert plain(a)[2:] == plain(b)[2:]


def test_a_prefix_of_a_movie_gets_the_ids_of_the_whole() -> None:
    movie = noisy_movie(4, 12)
    assert [plain(a) for a in run(movie[:6])] == [plain(a) for a in run(movie)[:6]]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000))
def test_every_track_begins_once_and_ends_at_most_once_and_every_row_has_its_own_track(seed: int) -> None:
    linker = Linker()
    movie = noisy_movie(seed, 15, miss=0.3, false=8.0)
    linked = [linker.update(*frame(i, dots)) for i, dots in enumerate(movie)]
    alive = linker.finish()
    events = [event for answer in linked for event in answer.events]
    began = Counter(event.track_id for event in events if event.kind in ("birth", "split"))
    ended = Counter(event.track_id for event in events if event.kind in ("death", "merge"))
    summaries = [summary for answer in linked for summary in answer.finished] + list(alive)
    assert sorted(began) == list(range(1, len(began) + 1))
    assert max(began.values()) == 1
    assert Counter(s.track_id for s in summaries) == began
    assert Counter(s.track_id for s in summaries if s not in alive) == ended
    assert sum(s.n_observed for s in summaries) == sum(len(dots) for dots in movie)
    assert sum(sum(answer.births_by_class.values()) for answer in linked) == len(began)
    assert sum(sum(answer.deaths_by_class.values()) for answer in linked) == len(ended)
    for answer in linked:
        names = [*answer.track_ids.tolist(), *answer.coasting.track_ids.tolist()]
        assert len(set(names)) == len(names)
    assert len(linker.finish()) == 0


def test_two_defects_of_different_size_cross_without_exchanging_ids() -> None:
    movie = [
        [Dot(60.0 + 4 * i, 100, 10.0, truth=0), Dot(140.0 - 4 * i, 102, 24.0, truth=1)] for i in range(21)
    ]
    assert switches(movie, run(movie)) == 0


def test_a_vanished_neighbour_does_not_pass_on_its_id() -> None:
    pair = [Dot(100, 100, truth=0), Dot(111, 100, truth=1)]
    movie = [pair, pair, pair, pair[1:], pair[1:]]
    assert switches(movie, run(movie)) == 0


def test_the_class_of_a_track_is_the_one_with_the_largest_sum_of_scores() -> None:
    movie = [
        [Dot(50, 50, label=label, score=score)] for label, score in ((2, 0.5), (3, 0.9), (2, 0.6), (2, 0.6))
    ]
    linked = run(movie)
    assert [answer.track_labels.tolist() for answer in linked] == [[2], [3], [2], [2]]
    assert {answer.track_ids[0] for answer in linked} == {1}


def test_the_class_of_a_track_follows_the_probabilities_of_all_classes_where_they_are_known() -> None:
    linker = Linker()
    labels = []
    for i, sure in enumerate([[0.5, 0.45, 0.05], [0.05, 0.9, 0.05], [0.5, 0.45, 0.05], [0.5, 0.45, 0.05]]):
        found, measures = frame(i, [Dot(50, 50, label=int(np.argmax(sure)) + 1, score=0.8)])
        of_classes = np.zeros((1, len(found.class_names)), np.float32)
        of_classes[0, :3] = sure
        found = replace(found, class_probability=of_classes)
        labels.append(linker.update(found, measures).track_labels.tolist())
    assert labels == [[1], [2], [2], [2]]  # three votes of one half against one of nine tenths
    (track,) = linker.finish()
    assert track.class_probability == pytest.approx(2.25 / 4)


def test_a_merge_names_the_track_that_swallowed_the_other() -> None:
    apart = [Dot(100, 100, 12.0), Dot(116, 100, 20.0)]
    linked = run([apart] * 3 + [[Dot(110, 100, 34.0)]] * 6, SHORT)
    ids = dict(zip(("small", "large"), linked[0].track_ids.tolist(), strict=True))
    assert linked[-1].track_ids.tolist() == [ids["large"]]
    (event,) = [event for answer in linked for event in answer.events if event.kind == "merge"]
    assert (event.track_id, event.other_id, event.frame) == (ids["small"], ids["large"], 2)
    assert not [event for answer in linked for event in answer.events if event.kind == "death"]


def test_a_split_names_the_track_that_the_new_one_came_out_of() -> None:
    linked = run([[Dot(110, 100, 34.0)]] * 3 + [[Dot(100, 100, 12.0), Dot(116, 100, 24.0)]] * 2)
    (event,) = [event for answer in linked for event in answer.events if event.kind == "split"]
    assert (event.track_id, event.other_id, event.frame) == (2, 1, 3)


def test_a_second_detection_inside_a_defect_is_no_merge_when_it_goes() -> None:
    linked = run([[Dot(100, 100, 30.0), Dot(104, 100, 9.0)]] * 3 + [[Dot(100, 100, 30.0)]] * 6, SHORT)
    assert {event.kind for answer in linked for event in answer.events} == {"birth", "death"}


def test_tracks_at_the_border_are_censored_and_leave_with_the_drift() -> None:
    movie = [[], *[[Dot(12.0 - 4 * i, 100, on_edge=i == 2)] for i in range(3)], *[[]] * 6]
    linked = run(movie, SHORT, shifts=[(-4.0 * i, 0.0) for i in range(10)])
    assert all(len(answer.coasting.track_ids) == 0 for answer in linked[5:])
    (summary,) = [summary for answer in linked for summary in answer.finished]
    assert (summary.left_censored, summary.right_censored) == (False, True)
    late = linked[4].coasting
    assert late.detections.masks.corners.min() >= 0
    assert late.detections.boxes.min() >= 0


def test_a_summary_holds_size_growth_and_displacement_with_the_drift_removed() -> None:
    """Diameter 10 px + 0.2 px a frame at 0.5 nm/px and 7 frames/s grows by 0.7 nm/s.

    3 px and 4 px are 5 px or 2.5 nm.
    """
    linker = Linker()
    for i in range(11):
        linker.update(*frame(i, [Dot(100 + 0.3 * i + 2 * i, 100 + 0.4 * i, 10 + 0.2 * i)]), (2.0 * i, 0.0))
    (summary,) = linker.finish()
    assert summary.size_nm == pytest.approx(5.5)
    assert summary.growth_nm_per_s == pytest.approx(0.7)
    assert summary.net_displacement_nm == pytest.approx(2.5)
    assert summary.right_censored


def test_without_a_scale_ids_are_the_same_and_lengths_are_empty() -> None:
    movie = noisy_movie(2, 8)
    linker = Linker()
    ids = [linker.update(*frame(i, dots, nm=np.nan)).track_ids.tolist() for i, dots in enumerate(movie)]
    assert (
        switches(movie, [replace(a, track_ids=np.array(b)) for a, b in zip(run(movie), ids, strict=True)])
        <= 2
    )
    for summary in linker.finish():
        assert np.isnan([summary.size_nm, summary.growth_nm_per_s, summary.net_displacement_nm]).all()


def test_weak_detections_continue_a_track_but_begin_none() -> None:
    linked = run(
        [[Dot(50, 50, score=0.8)], [Dot(50, 50, score=0.3), Dot(200, 200, score=0.3)]],
        LinkConfig(birth_score=0.5),
    )
    assert linked[1].track_ids.tolist() == [1, 0]


def test_empty_frames_and_an_empty_run_give_nothing() -> None:
    linked = run([[], [], []])
    assert [len(answer.track_ids) for answer in linked] == [0, 0, 0]
    assert not any(answer.events or answer.finished for answer in linked)
    assert Linker().finish() == ()


def test_an_empty_mask_is_followed_by_its_box() -> None:
    found, measures = frame(0, [Dot(50, 50)])
    blank = replace(
        measures, **{name: np.array([np.nan]) for name in ("x_px", "y_px", "major_px", "minor_px")}
    )
    linker = Linker()
    linker.update(found, blank)
    assert linker.update(*frame(1, [Dot(50, 50)])).track_ids.tolist() == [1]


def test_rows_that_do_not_fit_and_time_that_runs_backwards_are_refused() -> None:
    linker = Linker()
    found, measures = frame(5, [Dot(50, 50)])
    linker.update(found, measures)
    with pytest.raises(ValueError, match="one measure per detection"):
        linker.update(found, measures.take(np.zeros(0, np.int64)))
    with pytest.raises(ValueError, match="time of at least"):
        linker.update(*frame(4, [Dot(50, 50)]))
    with pytest.raises(ValueError, match="finite shift"):
        linker.update(*frame(6, [Dot(50, 50)]), (np.nan, 0.0))
    with pytest.raises(ValueError, match="expected the classes"):
        linker.update(replace(found, t_s=9.0, class_names=("loop",)), measures)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_distance_diameters": 0.0},
        {"min_gate_px": -1.0},
        {"widening_nm_per_s": float("nan")},
        {"max_size_ratio": 1.0},
        {"class_cost": -1.0},
        {"confirm_hits": 0},
        {"patience_s": -1.0},
        {"patience_frames": -1.0},
        {"birth_score": 2.0},
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(changes))):
        LinkConfig(**changes)


def test_scaling_time_and_speed_together_changes_no_id() -> None:
    movie = noisy_movie(5, 20)
    answers = []
    for factor in (1.0, 60.0):
        linker = Linker(LinkConfig(widening_nm_per_s=2.0 / factor))
        answers.append(
            [
                linker.update(*frame(i, dots, t_s=factor * i * DT)).track_ids.tolist()
                for i, dots in enumerate(movie)
            ]
        )
    assert answers[0] == answers[1]


def test_without_pictures_the_defects_tell_the_drift() -> None:
    drift = (4.0, -2.5)
    movie = noisy_movie(6, 20, drift=drift)
    linker = Linker()
    linked = [linker.update(*frame(i, dots), None) for i, dots in enumerate(movie)]
    assert linked[-1].shift_px == pytest.approx((19 * 4.0, 19 * -2.5), abs=1.0)
    observations = sum(dot.truth >= 0 for dots in movie for dot in dots)
    assert switches(movie, linked) <= 0.005 * observations


def test_live_boxes_have_less_noise_than_single_observations() -> None:
    movie = noisy_movie(7, 25)
    linker = Linker()
    linked = [linker.update(*frame(i, dots)) for i, dots in enumerate(movie)]
    truth = {dot.truth: dot for dot in field_of_dots(50, 7)}
    seen = {
        name: dot
        for dots, answer in zip(movie[-1:], linked[-1:], strict=True)
        for dot, name in zip(dots, answer.track_ids.tolist(), strict=True)
    }
    live = linker.live()
    rough, fine = [], []
    for name, box in zip(live.track_ids.tolist(), live.boxes, strict=True):
        if name in seen and seen[name].truth >= 0:
            at = truth[seen[name].truth]
            rough.append(np.hypot(seen[name].x - at.x, seen[name].y - at.y))
            fine.append(np.hypot((box[0] + box[2]) / 2 - at.x, (box[1] + box[3]) / 2 - at.y))
    assert np.sqrt(np.mean(np.square(fine))) < 0.6 * np.sqrt(np.mean(np.square(rough)))


def test_sizes_of_a_frame_that_is_taken_back_are_in_no_summary() -> None:
    def frame(i: int, size_nm: float) -> tuple[Detections, Measures]:
        masks = Masks.from_crops([np.ones((6, 6), bool)], [(10, 20)])
        found = Detections(
            i, float(i), (64, 64), masks.boxes(), np.array([1]), np.array([0.9], np.float32), masks
        )
        value = [np.array([v]) for v in (23.0, 13.0, 36.0, 6.9, 6.9, 0.0)]
        return found, Measures(*value, np.array([False]), np.array([size_nm]), np.array([4.0]))

    linker, plain = Linker(), Linker()
    for i, size in enumerate((3.0, 3.0, 80.0, 3.0)):
        linker.update(*frame(i, size))
        if size > 50:
            linker.forget_sizes()
    (told,) = linker.finish()
    assert told.size_nm == pytest.approx(3.0)
    assert told.growth_nm_per_s == pytest.approx(0.0, abs=1e-9)
    assert told.n_observed == 4
    for i in range(3):
        plain.update(*frame(i, 3.0))
        plain.forget_sizes()
    (told,) = plain.finish()
    assert math.isnan(told.size_nm)
    assert math.isnan(told.net_displacement_nm)
