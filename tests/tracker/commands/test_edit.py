"""Corrections by hand that draw, restore and change outlines, on one frame or a span."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import insitrack
from insitrack.io.tables.outlines.masks import MASKS, masks_by_frame
from insitrack.io.tables.run_folder import Run
from insitrack.tracker.cli import main
from insitrack.tracker.hindsight.drawn import read_outline

HEAD = "action,track_id,other_id,frame,last_frame,defect_class,outline\n"
SQUARE = "polygon 100 40 112 40 112 50 100 50"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "run"
    return insitrack.track("synth:two_beam?frames=12&size=160&seed=5&n=25", folder, video=False)


def edited(run: Run | Path, folder: Path, *lines: str, name: str = "new") -> Run:
    folder.mkdir(exist_ok=True)
    table, out = folder / f"{name}.csv", folder / name
    table.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    source = run.folder if isinstance(run, Run) else run
    assert main(["edit", str(source), str(table), "--out", str(out)]) == 0
    return Run(out)


def longest(run: Run) -> list[int]:
    return run.summary.sort_values("n_observed", ascending=False)["track_id"].tolist()


def frames_of(run: Run, track_id: int) -> list[int]:
    return run.tracks.loc[run.tracks["track_id"] == track_id, "frame"].tolist()


def outline_of(run: Run, track_id: int, frame: int) -> np.ndarray:
    for found in masks_by_frame(run.folder / MASKS.file, (frame, frame)):
        at = found.track_ids.tolist().index(track_id)
        return found.masks.dense((160, 160))[at]
    raise AssertionError("no outline")


def same_tables(one: Run, other: Run) -> None:
    for name in ("tracks.csv", "series.csv", "summary.csv", "events.csv", "kinetics.csv", MASKS.file):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name


def test_a_defect_that_is_added_has_rows_an_outline_and_a_part_in_every_count(
    run: Run, tmp_path: Path
) -> None:
    new = edited(run, tmp_path, f"add,,,3,6,void,{SQUARE}")
    added = set(new.tracks["track_id"]) - set(run.tracks["track_id"])
    assert len(added) == 1
    name = added.pop()
    rows = new.tracks[new.tracks["track_id"] == name]
    assert rows.loc[rows["observed"] == 1, "frame"].tolist() == [3, 4, 5, 6]
    assert set(rows["defect_class"]) == {"void"}
    first = rows[rows["frame"] == 3].iloc[0]
    assert (first["area_px"], first["x_px"], first["y_px"]) == (120, 106, 45)
    scale = run.manifest["calibration"]["nm_per_px"]
    assert first["size_nm"] == pytest.approx(np.sqrt(4 * 120 / np.pi) * scale, rel=1e-3)
    assert (first["probability"], np.isnan(first["score"])) == (1.0, True)
    assert outline_of(new, name, 3)[40:50, 100:112].all()
    assert outline_of(new, name, 3).sum() == 120
    counts = [one.series.query("frame == 3 and defect_class == 'void'")["n"].iloc[0] for one in (run, new)]
    assert counts[1] == counts[0] + 1
    assert new.manifest["edited"][0]["edits"][0]["new_id"] == name


def test_an_added_outline_follows_the_drift_of_the_specimen(run: Run, tmp_path: Path) -> None:
    new = edited(run, tmp_path, f"add,,,0,11,void,{SQUARE}")
    name = max(new.tracks["track_id"])
    drift = new.frames[["shift_x_px", "shift_y_px"]].to_numpy()
    assert np.abs(drift).max() > 1
    raw = {
        found.frame: found.masks.corners[0][::-1]
        for found in masks_by_frame(new.folder / "drawn.parquet")
        if name in found.track_ids
    }
    for frame, corner in raw.items():
        assert corner.tolist() == (np.array([100, 40]) + np.rint(drift[frame] - drift[0])).tolist()


def test_outlines_drawn_in_two_frames_are_interpolated_between_them(run: Run, tmp_path: Path) -> None:
    name = 1 + max(*run.causal.tracks["track_id"], *run.tracks["track_id"], *doubted(run)["track_id"])
    new = edited(run, tmp_path, f"add,,,2,,void,{SQUARE}", f"add,{name},,6,,void,{SQUARE}")
    rows = new.tracks[new.tracks["track_id"] == name]
    assert rows.loc[rows["frame"].between(2, 6), "observed"].tolist() == [1, 0, 0, 0, 1]
    assert outline_of(new, name, 4).sum() == pytest.approx(120, rel=0.15)


def doubted(run: Run) -> pd.DataFrame:
    return pd.read_csv(run.folder / "doubted.csv")


def test_an_outline_that_is_changed_changes_its_own_frame_and_no_other_track(
    run: Run, tmp_path: Path
) -> None:
    name = longest(run)[0]
    new = edited(run, tmp_path, f"outline,{name},,5,,,rle 30 20 8 6 0`1")
    assert outline_of(new, name, 5)[20:26, 30:38].all()
    assert outline_of(new, name, 5).sum() == 48
    rest = [one.tracks[one.tracks["track_id"] != name] for one in (run, new)]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in rest))
    assert (outline_of(new, name, 7) == outline_of(run, name, 7)).all()


def test_what_is_deleted_in_a_span_is_gone_there_and_stays_gone_when_the_run_is_edited_again(
    run: Run, tmp_path: Path
) -> None:
    name, other = longest(run)[:2]
    new = edited(run, tmp_path, f"delete,{name},,4,6,,")
    assert frames_of(new, name) == [frame for frame in frames_of(run, name) if not 4 <= frame <= 6]
    again = edited(new, tmp_path, f"outline,{name},,9,,,{SQUARE}", f"delete,{other},,,,,", name="again")
    assert frames_of(again, name) == frames_of(new, name)
    back = edited(again, tmp_path, f"add,{name},,5,,void,{SQUARE}", name="back")
    assert 5 in frames_of(back, name)
    assert 4 not in frames_of(back, name)


def test_a_class_can_hold_for_a_span_and_the_summary_names_that_of_most_frames(
    run: Run, tmp_path: Path
) -> None:
    name = longest(run)[0]
    usual = run.tracks.loc[run.tracks["track_id"] == name, "defect_class"].iloc[0]
    other = "void" if usual != "void" else "black_dot"
    new = edited(run, tmp_path, f"class,{name},,3,5,{other},")
    rows = new.tracks[new.tracks["track_id"] == name].set_index("frame")["defect_class"]
    assert set(rows.loc[3:5]) == {other}
    assert set(rows.drop([3, 4, 5])) == {usual}
    assert new.summary.set_index("track_id").loc[name, "defect_class"] == usual
    assert set(
        edited(new, tmp_path, f"delete,{name},,8,,,", name="again").tracks.query("track_id == @name")[
            "defect_class"
        ]
    ) == {usual, other}


def test_a_track_of_another_class_is_measured_by_the_definition_of_that_class(
    run: Run, tmp_path: Path
) -> None:
    long = (run.tracks["major_px"] / run.tracks["minor_px"]).groupby(run.tracks["track_id"])
    name = int(
        long.median()[long.count() >= 3].idxmax()
    )  # its longest axis is not the diameter of its circle
    new = edited(run, tmp_path, f"class,{name},,,,void,")
    rows = new.tracks[(new.tracks["track_id"] == name) & (new.tracks["observed"] == 1)]
    scale = run.manifest["calibration"]["nm_per_px"]
    circle = np.sqrt(4 * rows["area_px"] / np.pi) * scale
    assert np.abs(rows["size_nm"] / circle - 1).median() < 0.03
    loop = edited(run, tmp_path, f"class,{name},,,,loop,", name="loop").tracks
    before = loop[(loop["track_id"] == name) & (loop["observed"] == 1)]
    assert np.abs(before["size_nm"] / circle.to_numpy() - 1).median() > 0.03
    later = edited(new, tmp_path, f"delete,{name},,{rows['frame'].iloc[-1]},,,", name="later")
    again = later.tracks[later.tracks["track_id"] == name].merge(rows, on="frame")
    assert np.abs(again["size_nm_x"] / again["size_nm_y"] - 1).median() < 0.01


def test_what_was_deleted_is_restored_as_it_was(run: Run, tmp_path: Path) -> None:
    causal = run.tracks.query("observed == 1").groupby("track_id")["causal_id"].nunique()
    name = int(causal[causal == 1].index[0])
    less = edited(run, tmp_path, f"delete,{name},,,,,", name="less")
    assert name not in set(less.tracks["track_id"])
    origin = int(run.tracks.query("track_id == @name and observed == 1")["causal_id"].iloc[0])
    more = edited(less, tmp_path, f"restore,{origin},,,,,", name="more")
    (back,) = set(more.tracks["track_id"]) - set(less.tracks["track_id"])
    there = run.tracks.query("track_id == @name and observed == 1")["frame"].tolist()
    assert more.tracks.query("track_id == @back and observed == 1")["frame"].tolist() == there, back


def test_finds_that_hindsight_dropped_can_be_restored_with_their_outlines(run: Run, tmp_path: Path) -> None:
    kept = set(run.tracks.query("observed == 1")[["frame", "causal_id"]].itertuples(index=False, name=None))
    finds = pd.concat([run.causal.tracks, doubted(run)])
    finds = finds[finds["observed"] == 1]
    dropped = finds[[key not in kept for key in zip(finds["frame"], finds["track_id"], strict=True)]]
    assert len(dropped)
    name = int(dropped["track_id"].value_counts().index[0])
    new = edited(run, tmp_path, f"restore,{name},,,,,")
    back = new.tracks.query("causal_id == @name and observed == 1")
    assert set(dropped.loc[dropped["track_id"] == name, "frame"]) <= set(back["frame"])
    drawn = {found.frame: found.track_ids for found in masks_by_frame(new.folder / MASKS.file)}
    assert all(row.track_id in drawn[row.frame] for row in back.itertuples())


def test_edits_that_undo_each_other_leave_every_table_as_it_was(run: Run, tmp_path: Path) -> None:
    one, other = longest(run)[:2]
    usual = {name: run.tracks.query("track_id == @name")["defect_class"].iloc[0] for name in (one, other)}
    name = 1 + max(*run.causal.tracks["track_id"], *run.tracks["track_id"], *doubted(run)["track_id"])
    new = edited(
        run,
        tmp_path,
        f"split,{one},,6,,,",
        f"merge,{one},{name},,,,",
        f"add,,,3,6,{usual[one]},{SQUARE}",
        f"delete,{name + 1},,,,,",
    )
    same_tables(run, new)
    assert len(new.manifest["edited"][0]["edits"]) == 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("add,,,3,,void,polygon 1 2 3 4", "line 2, column 'outline': outline 'polygon 1 2 3 4': expected"),
        ("add,,,3,,void,polygon 1 2 3 4 nan 6", "expected polygon x y x y"),
        ("add,,,3,,void,polygon 900 900 910 900 910 910", "covers no pixel of the frame"),
        ("add,,,3,,void,rle 0 0 4 4 ~~", "rle x0 y0 width height counts"),
        ("add,,,3,,void,rle 0 0 99999 4 0", "a box of 99999 x 4 px"),
        (
            "add,,,99,,void,polygon 1 1 9 1 9 9",
            "no frame from 99 to 99 was looked at; expected some of 0 to 11",
        ),
        ("add,,,3,2,void,polygon 1 1 9 1 9 9", "column 'last_frame': 2; expected `frame` or a later one"),
        ("add,,,3,,void,", "column 'outline': ''; expected polygon"),
        ("add,,,,,void,polygon 1 1 9 1 9 9", "column 'frame': ''; expected a whole number for add"),
        ("outline,99999,,3,,,polygon 1 1 9 1 9 9", "no track 99999"),
        ("restore,99999,,,,,", "nothing of 99999 was dropped"),
        ("split,1,,4,9,,", "column 'last_frame': '9'; split takes none"),
        ("delete,1,,,4,,", "column 'last_frame': 4"),
    ],
)
def test_a_line_that_cannot_be_done_is_named_and_nothing_is_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    table = tmp_path / "edits.csv"
    table.write_text(f"{HEAD}{line}\n")
    assert main(["edit", str(run.folder), str(table), "--out", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_second_observation_of_a_track_in_one_frame_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = longest(run)[0]
    frame = int(run.tracks.query("track_id == @name and observed == 1")["frame"].iloc[2])
    table = tmp_path / "edits.csv"
    table.write_text(f"{HEAD}add,{name},,{frame},,void,{SQUARE}\n")
    assert main(["edit", str(run.folder), str(table), "--out", str(tmp_path / "new")]) == 2
    assert f"track {name} is seen in frame {frame} already; change its outline" in capsys.readouterr().err


def test_an_outline_as_polygon_and_as_run_lengths_is_the_same_mask() -> None:
    polygon = read_outline("polygon 2 3 6 3 6 5 2 5", (20, 20))
    lengths = read_outline("rle 2 3 4 2 08", (20, 20))
    assert polygon[1] == lengths[1] == (3, 2)
    assert (polygon[0] == lengths[0]).all()
