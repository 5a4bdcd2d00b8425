"""How long a track that is missed is remembered, and for how long it counts."""

from __future__ import annotations

import numpy as np
import pytest

from insitrack.io.errors import SettingsError
from insitrack.tests.support.dots import (
    DT,
    SHORT,
    Dot,
    frame,
    run,
)
from insitrack.tracker.link.linker import Linker
from insitrack.tracker.link.settings import LinkConfig


def test_a_confirmed_track_coasts_where_the_drift_takes_it_and_comes_back_with_its_id() -> None:
    movie = [[Dot(100.0 + 5 * i, 100.0)] if i not in (4, 5) else [] for i in range(8)]
    linked = run(movie, shifts=[(5.0 * i, 0.0) for i in range(8)])
    assert {name for answer in linked for name in answer.track_ids.tolist()} == {1}
    late = linked[5].coasting
    assert (late.track_ids.tolist(), late.measures.x_px.tolist(), late.detections.frame_index) == (
        [1],
        [125.0],
        5,
    )
    np.testing.assert_allclose(late.detections.boxes, [[119, 94, 131, 106]])
    assert late.detections.masks.corners.tolist() == [[94, 118]]
    assert [(event.kind, event.frame) for answer in linked for event in answer.events] == [
        ("birth", 0),
        ("gap", 6),
    ]


def test_a_track_seen_too_rarely_does_not_coast_but_is_found_again() -> None:
    linked = run([[Dot(50, 50)], [], [Dot(50, 50)]])
    assert len(linked[1].coasting.track_ids) == 0
    assert linked[2].track_ids.tolist() == [1]


def test_a_track_missed_for_longer_than_patience_dies_at_its_last_observation() -> None:
    linked = run([[Dot(50, 50)]] * 4 + [[]] * 5, SHORT)
    assert [len(answer.coasting.track_ids) for answer in linked] == [0, 0, 0, 0, 1, 1, 1, 0, 0]
    (death,) = linked[7].events
    assert (death.kind, death.frame, death.t_s, death.track_id) == ("death", 3, pytest.approx(3 * DT), 1)
    assert linked[7].deaths_by_class == {"black_dot": 1}
    (summary,) = linked[7].finished
    assert (summary.left_censored, summary.right_censored, summary.n_observed) == (True, False, 4)
    assert summary.lifetime_s == pytest.approx(3 * DT)


def test_patience_in_seconds_holds_at_any_frame_rate() -> None:
    for dt in (0.1, 0.5, 1.0):
        linker = Linker(LinkConfig(patience_s=2.0, shown_share=1.0))
        times = np.arange(0, 6 + dt / 2, dt)
        alive = [
            len(linker.update(*frame(i, [Dot(50, 50)] if t < 2.01 else [], t_s=float(t))).coasting.track_ids)
            for i, t in enumerate(times)
        ]
        assert times[np.flatnonzero(alive)[-1]] == pytest.approx(4.0, abs=dt / 2)


def test_a_hole_in_the_movie_ends_no_track_by_itself() -> None:
    linker = Linker()
    for i in range(3):
        linker.update(*frame(i, [Dot(50, 50)]))
    assert linker.update(*frame(500, [Dot(51, 50)])).track_ids.tolist() == [1]


def test_patience_of_a_class_is_its_own() -> None:
    movie = [[Dot(50, 50, label=1), Dot(150, 50, label=2)]] * 4 + [[]] * 12
    linked = run(
        movie, LinkConfig(patience_frames=3.0, shown_share=1.0, patience_by_class={"black_dot": 2.0})
    )
    assert [len(answer.coasting.track_ids) for answer in linked[4:]] == [2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    with pytest.raises(SettingsError, match=r"link\.patience_by_class\.void -1"):
        LinkConfig(patience_by_class={"void": -1})
