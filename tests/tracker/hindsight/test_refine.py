"""With hindsight: gaps close, false finds go, misses are filled in, and what the linker saw rightly stays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.errors import SettingsError
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.hindsight.refine import looked_at, refine
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.kinetics.track_histories import track_histories

N = 60


def seen(
    frame: int,
    name: int,
    x: float,
    y: float = 50.0,
    size: float = 12.0,
    label: str = "loop",
    score: float = 0.8,
) -> dict[str, object]:
    half = size / 2
    return {
        "frame": frame,
        "t_s": frame * 0.25,
        "track_id": name,
        "defect_class": label,
        "seen_class": label,
        "score": score,
        "x_px": x,
        "y_px": y,
        "x1_px": x - half,
        "y1_px": y - half,
        "x2_px": x + half,
        "y2_px": y + half,
        "area_px": np.pi * half**2,
        "size_nm": size * 0.5,
        "on_edge": 0,
        "observed": 1,
        "causal_id": name,
    }


def frames(n: int = N, shift: float = 0.0) -> pd.DataFrame:
    t = np.arange(n)
    return pd.DataFrame(
        {
            "frame": t,
            "t_s": t * 0.25,
            "status": "processed",
            "shift_x_px": shift * t,
            "shift_y_px": 0.0,
            "n_detections": 1.0,
            "field_px": 4e4,
        }
    )


def crowd(seed: int = 0, miss: float = 0.1) -> list[dict[str, object]]:
    """Twenty defects at rest, far apart, with noise and misses."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in range(1, 21):
        x, y = 40 * (name % 5), 200 + 40 * (name // 5)
        for t in range(N):
            if t in (0, N - 1) or rng.random() >= miss:
                rows.append(seen(t, name, x + rng.normal(0, 0.5), y + rng.normal(0, 0.5)))
    return rows


def test_misses_are_filled_in_where_the_defect_must_have_been() -> None:
    table = refine(pd.DataFrame(crowd()), frames(), RefineConfig()).tracks
    assert len(table) == 20 * N
    assert not table.duplicated(["frame", "track_id"]).any()
    filled = table[table["observed"] == 0]
    assert len(filled) == 20 * N - len(crowd())
    assert np.abs(filled["x_px"] - 40 * (filled["track_id"] % 5)).max() < 0.6
    assert filled["score"].isna().all()
    assert (filled["causal_id"] == -1).all()


def test_a_gap_that_the_linker_gave_up_on_is_closed_and_keeps_the_longer_ones_id() -> None:
    rows = crowd() + [seen(t, 50 if t < 20 else 51, 300 + 0.1 * (t % 3)) for t in [*range(20), *range(32, N)]]
    refined = refine(pd.DataFrame(rows), frames(), RefineConfig())
    one = refined.tracks[refined.tracks["x_px"] > 250]
    assert set(one["track_id"]) == {51}
    assert len(one) == N
    assert refined.facts["gaps_closed"] == 1


def test_a_gap_longer_than_the_limit_stays_open() -> None:
    rows = crowd() + [seen(t, 50 if t < 20 else 51, 300.0) for t in [*range(20), *range(32, N)]]
    one = refine(pd.DataFrame(rows), frames(), RefineConfig(max_gap_frames=11)).tracks
    assert set(one.loc[one["x_px"] > 250, "track_id"]) == {50, 51}


def test_finds_of_one_or_two_frames_are_judged_false() -> None:
    rows = [*crowd(), seen(9, 90, 300.0), seen(30, 91, 330.0), seen(31, 91, 330.0)]
    refined = refine(pd.DataFrame(rows), frames(), RefineConfig())
    assert set(refined.tracks["track_id"]) == set(range(1, 21))
    assert (refined.facts["tracks_dropped"], refined.facts["rows_dropped"]) == (2, 3)


def test_single_finds_of_a_short_movie_are_kept_for_they_could_not_be_seen_more_often() -> None:
    for n in (1, 2):
        rows = [seen(t, name, 40.0 * name) for name in range(1, 6) for t in range(n) if t == name % n]
        refined = refine(pd.DataFrame(rows), frames(n), RefineConfig())
        assert set(refined.tracks["track_id"]) == set(range(1, 6))


def test_faint_finds_that_live_long_are_not_believed_and_a_blinking_defect_is_with_its_own_probabilities() -> (
    None
):
    rows = [{**row, "score": 0.6} for row in crowd()]
    rows += [seen(t, 80, 300.0, score=0.08) for t in range(N)]
    rows += [seen(t, 81, 340.0, score=0.5) for t in range(N) if t % 8 not in (3, 4)]
    table = refine(pd.DataFrame(rows), frames(), RefineConfig(), existence=ExistenceConfig()).tracks
    assert set(table["track_id"]) == {*range(1, 21), 81}
    blinking = table[table["track_id"] == 81].set_index("frame")["probability"]
    assert len(blinking) == N
    assert blinking[[3, 4]].max() < blinking[[0, 1, 2]].max()
    assert table["probability"].between(0.5, 1.0).all()


def test_rows_below_the_limit_go_and_the_rest_of_their_track_stays() -> None:
    rows = [{**row, "score": 0.6} for row in crowd()]
    rows += [seen(t, 82, 300.0, score=0.7 if t < 30 else 0.055) for t in range(N)]
    table = refine(pd.DataFrame(rows), frames(), RefineConfig(), existence=ExistenceConfig()).tracks
    kept = table.loc[table["track_id"] == 82, "frame"]
    assert set(range(28)) <= set(kept)
    assert kept.max() < 45


def test_a_swap_of_two_neighbours_is_put_right() -> None:
    rows = crowd()
    for t in range(N):
        a, b = (60, 61) if t < 30 else (61, 60)
        rows += [seen(t, a, 300.0 + 0.3 * (t % 2)), seen(t, b, 316.0 + 0.3 * (t % 2), size=11.0)]
    refined = refine(pd.DataFrame(rows), frames(), RefineConfig())
    table = refined.tracks
    for near in (300, 316):
        assert len(set(table.loc[(table["x_px"] - near).abs() < 4, "track_id"])) == 1
    assert (refined.facts["steps_cut"], refined.facts["gaps_closed"]) == (2, 0)


def test_a_gliding_loop_goes_on_across_its_jump_unless_it_runs_across_the_directions_of_glide() -> None:
    rows = crowd() + [seen(t, 70 if t < 30 else 71, 300.0 if t < 30 else 328.0) for t in range(N)]
    for directions, tracks in (((), 2), ((5.0,), 1), ((90.0,), 2)):
        table = refine(
            pd.DataFrame(rows), frames(), RefineConfig(glide_directions_deg=directions), nm_per_px=0.5
        ).tracks
        assert table.loc[table["x_px"] > 250, "track_id"].nunique() == tracks
    config = RefineConfig(glide_directions_deg=(5.0,))
    one = refine(pd.DataFrame(rows), frames(), config, nm_per_px=0.5).tracks
    assert one.loc[(one["x_px"] > 250) & (one["frame"] == 29), "x_px"].item() == pytest.approx(300, abs=0.5)


def test_a_loop_that_glides_by_itself_is_followed_across_a_jump_in_its_own_direction() -> None:
    def tracks_of(places: list[float]) -> tuple[int, dict[str, float]]:
        rows = crowd() + [seen(t, 70 if t < 30 else 71, x) for t, x in enumerate(places)]
        found = refine(pd.DataFrame(rows), frames(), RefineConfig(), nm_per_px=0.5)
        return found.tracks.loc[found.tracks["x_px"] > 250, "track_id"].nunique(), found.facts

    n, facts = tracks_of([300.0 + 0.8 * t + (20.0 if t >= 30 else 0.0) for t in range(N)])
    assert n == 1
    assert facts["jumps_by_chance"] < 0.05
    assert tracks_of([300.0 + 0.8 * t if t < 30 else 344.0 - 0.8 * (t - 30) for t in range(N)])[0] == 2


def test_where_many_begin_and_end_a_death_is_not_joined_to_the_birth_of_a_stranger() -> None:
    rng = np.random.default_rng(4)
    rows = []
    for name in range(300):
        start, x, y = int(rng.integers(0, N - 12)), *rng.uniform(0, 400, 2)
        rows += [seen(t, name, x, y=y) for t in range(start, start + 12)]
    config = RefineConfig(glide_directions_deg=(0.0, 90.0))
    assert refine(pd.DataFrame(rows), frames(), config, nm_per_px=0.5).facts["jumps_joined"] == 0


def test_positions_are_smoothed_on_the_specimen_and_told_on_the_picture() -> None:
    rows = crowd(3)
    for row in rows:
        for name in ("x_px", "x1_px", "x2_px"):
            row[name] += 2.0 * row["frame"]
    table = refine(pd.DataFrame(rows), frames(shift=2.0), RefineConfig()).tracks
    error = table["x_px"] - 40 * (table["track_id"] % 5) - 2.0 * table["frame"]
    assert error.abs().max() < 0.6
    assert 0.03 < table["x_sd_px"].median() < 0.3


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 100))
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    rows = pd.DataFrame(crowd(seed))
    mixed = rows.sample(frac=1.0, random_state=seed)
    pd.testing.assert_frame_equal(
        refine(rows, frames(), RefineConfig()).tracks, refine(mixed, frames(), RefineConfig()).tracks
    )


def test_frames_in_which_nobody_looked_get_no_rows() -> None:
    looked = frames()
    looked.loc[10:14, "status"] = "damaged"
    looked.loc[20, "field_px"] = 0.0
    rows = pd.DataFrame([row for row in crowd() if row["frame"] not in (*range(10, 15), 20)])
    table = refine(rows, looked, RefineConfig()).tracks
    assert not set(table["frame"]) & {*range(10, 15), 20}


def test_nothing_and_only_false_finds_make_an_empty_table() -> None:
    assert len(refine(pd.DataFrame(crowd()).iloc[:0], frames(), RefineConfig()).tracks) == 0
    assert len(refine(pd.DataFrame([seen(3, 1, 9.0)]), frames(), RefineConfig()).tracks) == 0
    faint = pd.DataFrame([seen(3, 1, 9.0, score=0.06)])
    assert len(refine(faint, frames(1), RefineConfig(), existence=ExistenceConfig()).tracks) == 0


def test_a_merge_needs_a_partner_that_grows_by_what_vanished() -> None:
    for grown, kind in ((np.hypot(14, 12), "merge"), (14.0, "death")):
        rows = crowd() + [seen(t, 80, 312.0, size=12.0) for t in range(30)]
        rows += [seen(t, 81, 300.0, size=14.0 if t < 30 else float(grown)) for t in range(N)]
        refined = refine(pd.DataFrame(rows), frames(), RefineConfig())
        told = track_histories(
            refined.tracks.assign(specimen_x_px=0.0, specimen_y_px=0.0), looked_at(frames())
        )
        (event,) = [
            event for event in told.events if event.track_id == 80 and event.kind in ("merge", "death")
        ]
        assert event.kind == kind
        assert next(one for one in told.summaries if one.track_id == 80).right_censored == (kind == "merge")


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"refine\.max_rows 0: expected at least 1"):
        RefineConfig(max_rows=0)
    with pytest.raises(SettingsError, match=r"refine\.max_gap_frames -1"):
        RefineConfig(max_gap_frames=-1)


def test_a_defect_that_is_often_missed_was_there_in_the_first_frames_and_one_that_never_is_was_not() -> None:
    rows = [
        *crowd(),
        *[seen(t, 95, 300.0) for t in range(2, N - 1, 2)],
        *[seen(t, 96, 340.0) for t in range(2, N)],
    ]
    table = refine(pd.DataFrame(rows), frames(), RefineConfig()).tracks
    life = table.groupby("track_id")["frame"].agg(["min", "max"])
    assert life.loc[95].tolist() == [0, N - 1]
    assert life.loc[96].tolist() == [2, N - 1]


def test_two_tracks_at_one_place_that_are_never_seen_together_are_one_and_touching_neighbours_stay_two() -> (
    None
):
    rows = [*crowd(), *[seen(t, 97 + t % 2, 300.0 + 0.5 * (t % 2)) for t in range(N)]]
    rows += [seen(t, name, x) for t in range(N) for name, x in ((110, 360.0), (111, 364.0)) if (t + name) % 5]
    refined = refine(pd.DataFrame(rows), frames(), RefineConfig())
    at = refined.tracks["x_px"]
    assert len(set(refined.tracks.loc[(at > 290) & (at < 310), "track_id"])) == 1
    assert len(set(refined.tracks.loc[at > 350, "track_id"])) == 2
    assert refined.facts["joined_in_turns"] == 1
