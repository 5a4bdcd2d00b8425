"""Frame by frame: what is believed while a movie runs, and what is announced of it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from insitrack.io.results import Event, TrackSummary
from insitrack.tracker.existence.believed import believe
from insitrack.tracker.existence.chain import along_tracks
from insitrack.tracker.existence.evidence import Evidence
from insitrack.tracker.existence.live import LiveExistence
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.link.linked import Coasting, Linked

CONFIG = ExistenceConfig()


def ids(*names: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(names, np.int64)


def summary(name: int) -> TrackSummary:
    return TrackSummary(name, "loop", 0.0, 1.0, 1.0, False, False, 2, 5.0, 0.0, 0.0)


def linked(
    seen: tuple[int, ...],
    coasting: tuple[int, ...] = (),
    ended: tuple[int, ...] = (),
    begun: tuple[int, ...] = (),
) -> Linked:
    events = tuple(Event(3, 0.3, "birth", name) for name in begun)
    events += tuple(Event(2, 0.2, "death", name) for name in ended)
    return Linked(
        ids(*seen),
        np.ones(len(seen), np.int64),
        Coasting(ids(*coasting), None, None),  # type: ignore[arg-type]
        events=events,
        finished=tuple(map(summary, ended)),
    )


def test_it_is_the_forward_part_of_hindsight_where_the_movie_says_nothing() -> None:
    rng = np.random.default_rng(0)
    live, seen, scores, told = LiveExistence(CONFIG), [], [], []
    for t in range(4):  # fewer than two scores in a bin: no mixture is learnt
        if t != 2:
            score = rng.uniform(0.5, 0.52, 1)
            told.append(float(live.update(ids(7), score)[0]))
            seen.append(t)
            scores.append(float(score[0]))
        else:
            live.update(ids(), np.zeros(0))
    odds = Evidence.of(np.zeros(100), CONFIG).log_odds(np.array(scores))
    looks = along_tracks(np.zeros(3, np.int64), np.array(seen), odds, 4)
    assert told == pytest.approx(looks.forward[looks.row >= 0], abs=0.05)


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    rng = np.random.default_rng(1)
    frames = [(np.sort(rng.choice(30, 12, replace=False)) + 1, rng.uniform(0.05, 0.9, 12)) for _ in range(20)]
    one, other = LiveExistence(CONFIG), LiveExistence(CONFIG)
    for names, scores in frames[:9]:
        one.update(names, scores)
        one.announce(names[:3])
    other.restore(one.snapshot())
    for names, scores in frames[9:]:
        assert np.array_equal(one.update(names, scores), other.update(names, scores))
    assert all(
        np.array_equal(getattr(one.snapshot(), field.name), getattr(other.snapshot(), field.name))
        for field in fields(one.snapshot())
    )


def test_memory_does_not_grow_with_tracks_that_have_ended() -> None:
    live = LiveExistence(CONFIG)
    for name in range(1, 500):
        live.update(ids(name), np.array([0.8]))
        live.announce(ids(name))
        live.forget(ids(name))
    assert max(len(getattr(live.snapshot(), name)) for name in ("ids", "announced", "evidence", "looks")) == 0


def test_a_faint_find_is_doubted_and_a_track_is_born_when_it_is_first_believed() -> None:
    live = LiveExistence(CONFIG)
    first = believe(linked((1, 2), begun=(1, 2)), np.array([0.07, 0.8]), ["loop", "loop"], (0, 0.0), live)
    assert first.keep.tolist() == [False, True]
    assert [(event.kind, event.track_id) for event in first.events] == [("birth", 2)]
    assert first.births_by_class == {"loop": 1}
    second = believe(linked((1, 2)), np.array([0.8, 0.8]), ["loop", "loop"], (1, 0.1), live)
    assert second.keep.all()
    assert [(event.frame, event.kind, event.track_id) for event in second.events] == [(1, "birth", 1)]


def test_the_death_of_a_track_that_was_never_believed_is_not_told() -> None:
    live = LiveExistence(CONFIG)
    believe(linked((1, 2), begun=(1, 2)), np.array([0.06, 0.8]), ["loop", "loop"], (0, 0.0), live)
    last = believe(linked((), ended=(1, 2)), np.zeros(0), [], (9, 0.9), live)
    assert [event.track_id for event in last.events] == [2]
    assert [track.track_id for track in last.finished] == [2]
    assert last.deaths_by_class == {"loop": 1}


def test_a_defect_in_a_gap_is_there_until_too_many_looks_have_missed_it() -> None:
    live = LiveExistence(CONFIG)
    believe(linked((1,), begun=(1,)), np.array([0.5]), ["loop"], (0, 0.0), live)
    kept = [
        bool(believe(linked((), coasting=(1,)), np.zeros(0), ["loop"], (t, t / 10), live).keep[0])
        for t in range(1, 12)
    ]
    assert kept[0]
    assert not kept[-1]


def test_with_a_least_confidence_every_find_is_believed() -> None:
    live = LiveExistence(None)
    for t in range(5):
        assert believe(linked((1, 2)), np.array([0.06, 0.9]), ["loop"] * 2, (t, t / 10), live).keep.all()


@pytest.mark.parametrize(("found_again", "alone"), [(19, False), (8, True)])
def test_frames_that_share_few_defects_are_judged_each_by_itself(found_again, alone):
    """Doubtful finds that lost belief in one look after another are judged anew where linking is chance."""
    live, doubtful = LiveExistence(ExistenceConfig()), np.full(5, 0.16)
    clear = np.arange(1, 21)
    for _ in range(4):
        live.update(
            np.concatenate([clear, np.arange(101, 106)]), np.concatenate([np.full(20, 0.8), doubtful])
        )
    for _ in range(6):  # missed
        live.update(clear, np.full(20, 0.8))
    seen = np.concatenate([clear[:found_again], np.arange(101, 106)])
    after = live.update(seen, np.concatenate([np.full(found_again, 0.8), doubtful]))[-5:]
    assert bool((after > 0.4).all()) == alone  # 0.36 with their history, 0.44 by themselves
