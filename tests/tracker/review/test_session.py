"""Edits of a review: kept as they are made, taken back to the byte, written as a run of their own."""

import time

import numpy as np
import pandas as pd
import pytest

from insitrack.io.errors import InsitrackError, TableError
from insitrack.io.tables.columns import SERIES, TRACKS
from insitrack.io.tables.outlines.masks import masks_by_frame
from insitrack.tracker.analysis.edit import edit_run
from insitrack.tracker.hindsight.edits import read_edits
from insitrack.tracker.review.doubts import doubts_of
from insitrack.tracker.review.session import Session
from insitrack.tracker.run.job.finished import open_run

SQUARE = "polygon 100 40 112 40 112 50 100 50"


def longest(session):
    return session.made.now["track_id"].value_counts().index.tolist()


def some_edits(session):
    one, other, third = longest(session)[:3]
    dropped = session.now.dropped_tracks()["track_id"][0]
    return [
        {"action": "add", "frame": 3, "last_frame": 6, "defect_class": "void", "outline": SQUARE},
        {"action": "split", "track_id": one, "frame": 6},
        {"action": "class", "track_id": other, "defect_class": "void", "frame": 2, "last_frame": 4},
        {"action": "delete", "track_id": third, "frame": 5},
        {"action": "restore", "track_id": dropped},
        {"action": "outline", "track_id": one, "frame": 2, "outline": "rle 30 20 8 6 0`1"},
        {"action": "delete", "track_id": other},
    ]


def tracks_text(session):
    return TRACKS.format({name: session.now.rows[name].to_numpy() for name in TRACKS.names})


def test_what_the_page_shows_before_any_edit_is_what_the_tables_of_the_run_say(run):
    session = Session(run)
    assert TRACKS.header() + tracks_text(session) == (run / TRACKS.file).read_text()
    for found in masks_by_frame(run / "masks.parquet"):
        shown = session.now.outlines(found.frame)
        assert [row[0] for row in shown] == found.track_ids.tolist()
        assert [row[6] * row[7] for row in shown] == found.masks.sizes.prod(axis=1).tolist()


def test_every_edit_is_on_disk_before_it_counts_and_all_taken_back_leaves_the_rows_to_the_byte(run):
    session = Session(run)
    before, outlines = tracks_text(session), session.now.outlines(4)
    for n, cells in enumerate(some_edits(session), 1):
        state = session.do({key: str(value) for key, value in cells.items()})
        assert len(read_edits(run / "edits.csv")) == len(state["edits"]) == n
    after = tracks_text(session)
    assert after != before
    while session.edits:
        session.undo()
    assert tracks_text(session) == before
    assert session.now.outlines(4) == outlines
    assert not (run / "edits.csv").exists()
    while session.undone:
        session.redo()
    assert tracks_text(session) == after


def test_what_the_page_shows_after_edits_is_what_the_new_run_holds(run, tmp_path):
    session = Session(run)
    edits = some_edits(session)
    for cells in edits:
        session.do(cells)
    new = tmp_path / "new"
    trail = edit_run(run, run / "edits.csv", new)
    assert [one["action"] for one in trail] == [cells["action"] for cells in edits]
    assert TRACKS.header() + tracks_text(session) == (new / TRACKS.file).read_text()
    curves = session.now.curves()
    series = SERIES.read(new / SERIES.file)
    for name, column in (("n", "n"), ("density_per_m3", "density_per_m3"), ("size_nm", "size_nm")):
        told = series.loc[series["defect_class"] == "all", column].to_numpy()
        shown = np.array([np.nan if value is None else value for value in curves["classes"]["all"][name]])
        np.testing.assert_allclose(shown, told, rtol=2e-4)
    masks = {found.frame: found for found in masks_by_frame(new / "masks.parquet")}
    for frame in masks:
        assert [row[0] for row in session.now.outlines(frame)] == masks[frame].track_ids.tolist()


def test_a_review_that_was_cut_off_goes_on_where_it_was(run):
    session = Session(run)
    for cells in some_edits(session)[:3]:
        session.do(cells)
    shown = tracks_text(session)
    again = Session(run)
    assert again.edits == session.edits
    assert tracks_text(again) == shown
    assert again.now.tracks() == session.now.tracks()
    assert again.now.curves() == session.now.curves()
    assert again.now.outlines(4) == session.now.outlines(4)
    again.undo()
    assert len(read_edits(run / "edits.csv")) == 2


def test_an_edit_leaves_every_digit_of_the_tracks_that_were_edited_before(run):
    session = Session(run)
    one, other, third = longest(session)[:3]

    def digits(track):
        rows = session.now.rows
        mine = rows[rows["track_id"] == track]
        return TRACKS.format({name: mine[name].to_numpy() for name in TRACKS.names})

    whole = digits(third)
    session.do({"action": "split", "track_id": str(one), "frame": "6"})
    first = digits(one)
    session.do({"action": "delete", "track_id": str(other), "frame": "5"})
    session.do({"action": "add", "frame": "3", "defect_class": "void", "outline": SQUARE})
    assert digits(one) == first
    assert digits(third) == whole
    session.do({"action": "class", "track_id": str(third), "defect_class": "void"})
    assert digits(third) != whole
    session.do({"action": "delete", "track_id": str(third)})
    session.undo()
    session.undo()
    assert digits(third) == whole
    assert digits(one) == first


def test_an_edit_that_cannot_be_made_changes_nothing_and_is_not_kept(run):
    session = Session(run)
    before = tracks_text(session)
    for cells, words in (
        ({"action": "delete", "track_id": 99999}, "no track 99999"),
        ({"action": "dance"}, "expected merge, split"),
        (
            {"action": "add", "frame": 3, "defect_class": "void", "outline": "polygon 1 2"},
            "3 corners or more",
        ),
        ({"action": "add", "frame": 3, "defect_class": "../etc", "outline": SQUARE}, "expected one of"),
        ({"action": "split", "track_id": longest(session)[0], "frame": 0}, "does not cut"),
    ):
        with pytest.raises(InsitrackError, match=words) as refused:
            session.do(cells)
        assert str(refused.value).startswith("this edit")
    assert tracks_text(session) == before
    assert not (run / "edits.csv").exists()


def test_edits_of_another_run_are_refused_in_one_line_that_says_what_to_do(run):
    (run / "edits.csv").write_text("action,track_id\ndelete,99999\n")
    with pytest.raises(TableError, match=r"line 2: no track 99999.*move it away") as refused:
        Session(run)
    assert "\n" not in str(refused.value)


def test_the_new_run_goes_into_a_folder_that_is_free_and_names_every_edit(run):
    session = Session(run)
    with pytest.raises(TableError, match="nothing is edited"):
        session.write()
    (run.parent / "run_edited").mkdir()
    before = {path: path.read_bytes() for path in run.rglob("*.csv")}
    for cells in some_edits(session)[:2]:
        session.do(cells)
    session.write()
    end = time.monotonic() + 60
    while session.state()["writing"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert session.refused == ""
    new = run.parent / "run_edited_2"
    assert session.written == str(new)
    assert [one["action"] for one in open_run(new).manifest["edited"][0]["edits"]] == ["add", "split"]
    assert before.items() <= {path: path.read_bytes() for path in run.rglob("*.csv")}.items()
    assert list((run.parent / "run_edited").iterdir()) == []


def test_doubt_is_highest_where_a_track_is_improbable_jumps_or_changes_class_and_none_where_it_is_sure():
    frames = np.arange(10)

    def track(name, **changed):
        rows = {
            "frame": frames,
            "track_id": name,
            "defect_class": "loop",
            "seen_class": "loop",
            "observed": 1,
            "probability": 0.99,
            "x_px": 50.0,
            "y_px": 50.0,
            "area_px": 100.0,
            "size_nm": 5.0,
        }
        return pd.DataFrame({**rows, **changed})

    rows = pd.concat(
        [
            track(1),
            track(2, probability=0.3),
            track(3, x_px=np.where(frames < 5, 50.0, 90.0)),
            track(4, seen_class=np.where(frames < 4, "void", "loop")),
            track(5, observed=(frames % 3 == 0).astype(int)),
            track(6),
        ]
    )
    events = pd.DataFrame({"frame": [7], "kind": ["merge"], "track_id": [6], "other_id": [1]})
    table = doubts_of(rows, events).set_index("track_id")
    assert (table.loc[1, "doubt"], table.loc[1, "reasons"]) == (0.0, "")
    assert (table.loc[[2, 3, 4, 5, 6], "doubt"] > 0.15).all()
    assert table.loc[2, "reasons"] == "probability 0.30"
    assert (table.loc[3, "reasons"], table.loc[3, "frame"]) == ("jumps 40 px", 5)
    assert table.loc[4, "reasons"] == "seen as void in 40%"
    assert table.loc[5, "reasons"] == "seen in 40% of its frames"
    assert (table.loc[6, "reasons"], table.loc[6, "frame"]) == ("merges into 1", 7)
    assert table.index[-1] == 1
