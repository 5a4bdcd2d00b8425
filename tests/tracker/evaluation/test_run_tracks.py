"""Tracks of a run against a table of true ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from insitrack.io.errors import TableError
from insitrack.io.tables.columns import FRAMES, TRACKS
from insitrack.tracker.cli import main
from insitrack.tracker.evaluation.run_tracks import read_true_tracks, score_run, write_track_scores

HEADER = "frame,track_id,x1_px,y1_px,x2_px,y2_px"


def run_folder(tmp_path: Path, *, n_frames: int = 20, skipped: tuple[int, ...] = ()) -> Path:
    """Two dots that stand still, as a run would write them."""
    folder = tmp_path / "run"
    folder.mkdir()
    frame = np.repeat(np.arange(n_frames), 2)
    track = np.tile([1, 2], n_frames)
    x1 = np.where(track == 1, 10.0, 50.0)
    boxes = {"x1_px": x1, "y1_px": x1, "x2_px": x1 + 8, "y2_px": x1 + 8}
    rows = pd.DataFrame(
        {**dict.fromkeys(TRACKS.names, 0.0), "frame": frame, "track_id": track, **boxes, "observed": 1}
    ).assign(defect_class=np.where(track == 1, "void", "black_dot"))
    flags = [name for name in TRACKS.names if name.startswith("on_") or name in ("causal_id",)]
    rows[flags] = rows[flags].astype(int)
    rows[list(TRACKS.names)].to_csv(folder / TRACKS.file, index=False)
    frames = pd.DataFrame({name: np.zeros(n_frames) for name in FRAMES.names}).assign(
        frame=np.arange(n_frames), status="processed", n_detections=2
    )
    frames.loc[list(skipped), "status"] = "skipped"
    frames.to_csv(folder / FRAMES.file, index=False)
    return folder


def true_tracks(folder: Path, path: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / TRACKS.file)[[*HEADER.split(","), "defect_class"]]
    table.to_csv(path, index=False)
    return table


def test_a_run_is_perfect_against_its_own_tracks_for_all_and_by_class(tmp_path: Path) -> None:
    folder, truth = run_folder(tmp_path), tmp_path / "truth.csv"
    true_tracks(folder, truth)
    rows, warnings = score_run(folder, truth)
    assert [row["defect_class"] for row in rows] == ["black_dot", "void", "all"]
    assert all((row["hota"], row["mota"], row["idf1"]) == (1.0, 1.0, 1.0) for row in rows)
    assert [row["n_true"] for row in rows] == [1, 1, 2]
    assert not warnings


def test_an_id_that_changes_half_way_costs_identity_and_is_one_switch(tmp_path: Path) -> None:
    folder, truth = run_folder(tmp_path), tmp_path / "truth.csv"
    true_tracks(folder, truth)
    table = pd.read_csv(folder / TRACKS.file)
    table.loc[(table["track_id"] == 1) & (table["frame"] >= 10), "track_id"] = 9
    table.to_csv(folder / TRACKS.file, index=False)
    total = score_run(folder, truth)[0][-1]
    assert (total["id_switches"], total["deta"], total["misses"]) == (1, 1.0, 0)
    assert total["idf1"] == pytest.approx(0.75)
    assert total["hota"] < 1


def test_centre_and_diameter_serve_as_well_as_boxes(tmp_path: Path) -> None:
    folder, truth = run_folder(tmp_path), tmp_path / "truth.csv"
    table = true_tracks(folder, truth)
    centre = {"x_px": table["x1_px"] + 4, "y_px": table["y1_px"] + 4, "size_px": 8.0}
    table[["frame", "track_id"]].assign(**centre).to_csv(truth, index=False)
    (total,) = score_run(folder, truth)[0]
    assert (total["defect_class"], total["hota"]) == ("all", 1.0)


def test_frames_that_were_not_processed_are_neither_missed_nor_counted(tmp_path: Path) -> None:
    folder, truth = run_folder(tmp_path, skipped=(3, 4)), tmp_path / "truth.csv"
    true_tracks(folder, truth)
    rows, warnings = score_run(folder, truth)
    assert (rows[-1]["misses"], rows[-1]["frames"]) == (0, 18)
    assert warnings == ["2 frames of the truth were not processed by the run; they take no part"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frame,x1_px,y1_px,x2_px,y2_px\n0,1,1,5,5\n", "lacks track_id"),
        ("frame,track_id,x_px,y_px\n0,1,5,5\n", "lacks size_px"),
        (f"{HEADER}\n0,1,1,1,5,x\n", "line 2, column y2_px: 'x' is not a number"),
        (f"{HEADER}\n0,1,5,1,5,9\n", "column x2_px: '5' is not above x1_px"),
        (f"{HEADER}\n0,1,1,1,5,5\n0,1,2,2,6,6\n", "line 3, column track_id: '1' has two rows"),
        (f"{HEADER}\n0.5,1,1,1,5,5\n", "'0.5' is not a whole number"),
        (f"{HEADER}\n", "no rows"),
        ("frame,track_id,x_px,y_px,size_px\n0,1,5,5,0\n", "is not a positive diameter"),
    ],
)
def test_a_truth_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_true_tracks(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_run_and_a_truth_of_other_frames_are_refused(tmp_path: Path) -> None:
    folder, truth = run_folder(tmp_path), tmp_path / "truth.csv"
    truth.write_text(f"{HEADER}\n900,1,1,1,5,5\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"frames, 900 to 900, was processed"):
        score_run(folder, truth)
    with pytest.raises(TableError, match=r"lacks tracks\.csv"):
        score_run(tmp_path, truth)


def test_unknown_scores_are_empty_cells(tmp_path: Path) -> None:
    path = write_track_scores(tmp_path / "new", [{"defect_class": "all", "hota": float("nan"), "misses": 3}])
    assert path.read_text(encoding="utf-8") == "defect_class,hota,misses\nall,,3\n"


def test_the_command_writes_a_table_and_says_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, truth = run_folder(tmp_path), tmp_path / "truth.csv"
    true_tracks(folder, truth)
    assert main(["eval", str(folder), "--truth", str(truth), "--out", str(tmp_path / "out")]) == 0
    assert "2 true tracks in 20 frames, HOTA 1.000, MOTA 1.000, IDF1 1.000" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "out" / "track_scores.csv")["id_switches"].tolist() == [0, 0, 0]


def test_the_command_refuses_a_truth_that_is_not_there_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = run_folder(tmp_path), tmp_path / "out"
    assert main(["eval", str(folder), "--truth", str(tmp_path / "none.csv"), "--out", str(out)]) == 2
    assert "no such table; expected a table with frame, track_id" in capsys.readouterr().err
    assert not out.exists()
