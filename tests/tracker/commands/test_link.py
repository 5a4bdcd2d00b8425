"""Detections made elsewhere, manual edits and tracks for other programs, run as commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from insitrack import Run
from insitrack.tracker.cli import main


def detections(seed: int = 0, n_frames: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(-1, 2) * 40.0 + 30
    rows = [
        {
            "frame": t,
            "x_px": x + rng.normal(0, 0.4) + 2 * t,
            "y_px": y + rng.normal(0, 0.4),
            "size_px": 12.0,
            "true": k,
        }
        for t in range(n_frames)
        for k, (x, y) in enumerate(places)
        if rng.random() > 0.1
    ]
    return pd.DataFrame(rows)


def write(tmp_path: Path, table: pd.DataFrame, name: str = "found.csv") -> str:
    table.drop(columns="true", errors="ignore").to_csv(tmp_path / name, index=False)
    return str(tmp_path / name)


def link(tmp_path: Path, *arguments: str) -> Run:
    assert main(["link", *arguments, "--out", str(tmp_path / "out"), "--size", "260x180"]) == 0
    return Run(tmp_path / "out")


def test_drifting_detections_become_as_many_tracks_as_there_are_defects(tmp_path: Path) -> None:
    run = link(
        tmp_path,
        write(tmp_path, detections()),
        "--nm-per-px",
        "0.5",
        "--frame-interval-s",
        "0.2",
        "--thickness-nm",
        "100",
    )
    assert len(run.summary) == 20
    assert run.frames["shift_x_px"].iloc[-1] == pytest.approx(58, abs=0.6)
    assert run.manifest["tables"] == "refined"
    total = run.series[run.series["defect_class"] == "all"]
    assert (total["n"].iloc[3:-3] == 20).all()
    assert total["density_per_m2"].iloc[5] == pytest.approx(
        total["n"].iloc[5] / (260 * 180 * 0.25e-18), rel=1e-4
    )
    assert len(run.causal.tracks) < len(run.tracks) + 1
    assert {"lifetime_mean_s", "nucleation_per_m2_s"} <= set(run.kinetics["quantity"])


def test_trackmates_spots_and_trackpys_features_give_the_same_tracks(tmp_path: Path) -> None:
    table = detections()
    ours = link(tmp_path, write(tmp_path, table), "--nm-per-px", "0.5", "--frame-interval-s", "0.2")
    first = ours.tracks[["frame", "x_px", "track_id"]].reset_index(drop=True)
    spots = pd.DataFrame(
        {
            "LABEL": "s",
            "ID": range(len(table)),
            "QUALITY": 1,
            "POSITION_X": table["x_px"] * 0.5,
            "POSITION_Y": table["y_px"] * 0.5,
        }
    )
    spots = spots.assign(
        POSITION_T=table["frame"] * 0.2, FRAME=table["frame"], RADIUS=table["size_px"] * 0.25
    )
    told = pd.DataFrame([dict.fromkeys(spots.columns, word) for word in ("Spot", "X", "(nm)")])
    told["POSITION_T"] = ["T", "T", "(sec)"]
    path = write(tmp_path, pd.concat([told, spots]), "spots.csv")
    theirs = link(tmp_path, path, "--nm-per-px", "0.5", "--overwrite").tracks[["frame", "x_px", "track_id"]]
    pd.testing.assert_frame_equal(first, theirs, check_exact=False, atol=0.01)
    features = pd.DataFrame(
        {"y": table["y_px"], "x": table["x_px"], "size": table["size_px"] / 8**0.5, "frame": table["frame"]}
    )
    third = link(
        tmp_path,
        write(tmp_path, features, "features.csv"),
        "--overwrite",
        "--nm-per-px",
        "0.5",
        "--frame-interval-s",
        "0.2",
    ).tracks
    pd.testing.assert_frame_equal(first, third[["frame", "x_px", "track_id"]], check_exact=False, atol=0.01)


def test_detections_in_every_fifth_frame_are_as_many_defects_as_in_every_frame(tmp_path: Path) -> None:
    table = detections(n_frames=40)
    table = table[table["frame"] % 5 == 0].assign(frame=table["frame"] + 400)
    run = link(
        tmp_path, write(tmp_path, table), "--nm-per-px", "0.5", "--set", "source.nm_per_px_sd=0.02",
        "--thickness-nm", "90", "--thickness-sd-nm", "7",
    )  # fmt: skip
    total = run.series[run.series["defect_class"] == "all"]
    assert total["frame"].tolist() == list(range(400, 440, 5))
    assert total["n"].median() == 20
    assert len(run.summary) == 20
    # one in ten is missed at random, in the first frame too
    assert run.summary["left_censored"].sum() >= 15
    assert total["births"].sum() == 20
    assert run.manifest["source"]["frames_from"].startswith("the rows")
    known = run.manifest["calibration"]
    assert (known["nm_per_px_sd"], known["thickness_sd_nm"]) == (0.02, 7.0)


def test_a_run_without_defects_goes_to_every_program_and_through_series(tmp_path: Path) -> None:
    pd.DataFrame(columns=["frame", "x_px", "y_px", "size_px"]).to_csv(tmp_path / "none.csv", index=False)
    run = link(tmp_path, str(tmp_path / "none.csv"), "--frames", "6", "--nm-per-px", "0.5")
    assert (run.series["n"] == 0).all()
    assert (run.folder / "report.html").is_file()
    for kind in ("napari", "trackmate", "mot"):
        assert main(["export", str(run.folder), "--to", kind, "--out", str(tmp_path / kind)]) == 0
    assert main(["series", str(run.folder), "--out", str(tmp_path / "again")]) == 0
    frames = run.frames.assign(field_px=0.0)  # and where no frame shows the specimen
    frames.to_csv(run.folder / "frames.csv", index=False)
    assert main(["series", str(run.folder), "--out", str(tmp_path / "unknown")]) == 0
    assert pd.read_csv(tmp_path / "unknown" / "series.csv")["n"].isna().all()


def test_trackpy_links_the_same_input(tmp_path: Path) -> None:
    run = link(tmp_path, write(tmp_path, detections()), "--linker", "trackpy")
    assert run.manifest["tables"] == "trackpy"
    assert len(run.tracks) == len(detections())
    assert 20 <= len(run.summary) <= 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="size_px"), "lacks the column 'size_px'"),
        (lambda t: t.drop(columns="x_px"), "lacks the column 'x_px'"),
        (
            lambda t: t.assign(y_px=["wide" if i == 7 else y for i, y in enumerate(t["y_px"])]),
            "line 9, column",
        ),
        (
            lambda t: t.assign(frame=t["frame"] - 3),
            "line 2, column 'frame': '-3'; expected a whole number of at least 0",
        ),
        (lambda t: t.assign(defect_class="blob"), "column 'defect_class': 'blob'; expected one of black_dot"),
        (lambda t: t.assign(t_s=-t["frame"]), "expected times that rise with the frame"),
    ],
)
def test_a_broken_table_is_told_by_line_and_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change, message: str
) -> None:
    assert main(["link", write(tmp_path, change(detections())), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_tracks_go_to_trackmate_and_come_back(tmp_path: Path) -> None:
    run = link(tmp_path, write(tmp_path, detections()), "--nm-per-px", "0.5", "--frame-interval-s", "0.2")
    assert main(["export", str(run.folder), "--to", "trackmate", "--out", str(tmp_path / "tracks.xml")]) == 0
    assert (
        main(
            [
                "link",
                str(tmp_path / "tracks.xml"),
                "--linker",
                "given",
                "--nm-per-px",
                "0.5",
                "--out",
                str(tmp_path / "back"),
            ]
        )
        == 0
    )
    there, back = run.tracks, Run(tmp_path / "back").tracks
    columns = ["frame", "track_id", "x_px", "y_px"]
    pd.testing.assert_frame_equal(there[columns], back[columns], check_exact=False, atol=1e-3)
    for kind, line in (("napari", "ID,T,Y,X"), ("mot", "1,1,")):
        assert main(["export", str(run.folder), "--to", kind, "--out", str(tmp_path / kind)]) == 0
        assert (tmp_path / kind).read_text().startswith(line)


def test_edits_make_a_new_run_with_an_audit_trail_and_leave_the_old_one_alone(tmp_path: Path) -> None:
    run = link(tmp_path, write(tmp_path, detections()), "--nm-per-px", "0.5", "--frame-interval-s", "0.2")
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    edits = tmp_path / "edits.csv"
    edits.write_text(
        "action,track_id,other_id,frame,defect_class\nsplit,3,,15,\nclass,4,,,void\ndelete,5,,,\nmerge,3,21,,\nsplit,6,,10,\n"
    )
    assert main(["edit", str(run.folder), str(edits), "--out", str(tmp_path / "new")]) == 0
    edited = Run(tmp_path / "new")
    names = edited.summary.set_index("track_id")["defect_class"]
    assert names[4] == "void"
    assert 5 not in names
    assert len(names) == 20
    trail = json.loads((tmp_path / "new" / "run.json").read_text())["edited"][0]["edits"]
    assert [one["action"] for one in trail] == ["split", "class", "delete", "merge", "split"]
    assert all(one["observations"] > 0 for one in trail)
    assert before == {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    n = edited.series[edited.series["defect_class"] == "all"]["n"]
    assert n.max() == 19


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("join,1,2,,", "line 2, column 'action': 'join'; expected merge, split, delete, class"),
        ("merge,1,2,,", "are both seen in frame"),
        ("delete,99,,,", "line 2: no track 99"),
        ("split,1,,0,", "frame 0 does not cut track 1"),
        ("class,1,,,hole", "column 'defect_class': 'hole'"),
        ("merge,1,x,,", "column 'other_id': 'x'; expected a whole number"),
    ],
)
def test_an_edit_that_makes_no_sense_is_told_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    run = link(tmp_path, write(tmp_path, detections()), "--nm-per-px", "0.5")
    edits = tmp_path / "edits.csv"
    edits.write_text(f"action,track_id,other_id,frame,defect_class\n{line}\n")
    assert main(["edit", str(run.folder), str(edits), "--out", str(tmp_path / "new")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
