"""A finished run is drawn again from its final tables, and an edited one is a whole run."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import insitrack
from insitrack.io.draw import annotate
from insitrack.io.files.movie import MovieSource
from insitrack.io.frames import Frame
from insitrack.io.results import TrackedFrame
from insitrack.io.tables.outlines.masks import MASKS
from insitrack.io.tables.run_folder import Run
from insitrack.tracker.cli import main

SOURCE = "synth:two_beam?frames=10&size=192&seed=5&n=30"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return insitrack.track(SOURCE, tmp_path_factory.mktemp("run") / "run", video=False)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[TrackedFrame]:
    frames: list[TrackedFrame] = []
    paint = annotate.Annotator.paint

    def spied(self: annotate.Annotator, tracked: TrackedFrame) -> object:
        frames.append(tracked)
        return paint(self, tracked)

    monkeypatch.setattr(annotate.Annotator, "paint", spied)
    return frames


def defects(frames: list[TrackedFrame]) -> set[tuple[int, int, str]]:
    return {
        (one.frame.index, name, label)
        for one in frames
        for name, label in zip(one.track_ids.tolist(), one.detections.names(), strict=True)
    }


def rows(table: pd.DataFrame) -> set[tuple[int, int, str]]:
    return set(table[["frame", "track_id", "defect_class"]].itertuples(index=False, name=None))


def test_classes_and_times_that_are_asked_for_are_drawn_and_nothing_else(
    run: Run, painted: list[TrackedFrame], tmp_path: Path
) -> None:
    kept = run.tracks["defect_class"].value_counts().index[0]
    choice = ["--only", kept, "--start", "0.25", "--end", "0.75", "--out", str(tmp_path / "part.mp4")]
    assert main(["annotate", str(run.folder), *choice]) == 0
    wanted = run.tracks.query("defect_class == @kept and 0.25 <= t_s <= 0.75")
    assert len(wanted) > 5
    assert defects(painted) == rows(wanted)
    assert len(list(MovieSource(tmp_path / "part.mp4"))) == len(painted) == 5


def test_a_gif_beside_the_raw_frames_holds_every_frame_and_the_raw_half_has_no_lines(
    run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "talk.gif"
    assert main(["annotate", str(run.folder), "--beside", "--no-ids", "--out", str(out), "--every", "2"]) == 0
    with Image.open(out) as picture:
        assert picture.n_frames == 5
        seen = np.asarray(picture.convert("RGB")).astype(int)
    left, right = seen[:192, :192], seen[:192, 192:]
    colour = [np.abs(half - half.mean(axis=2, keepdims=True)).max() for half in (left, right)]
    assert colour[0] < 10 < 60 < colour[1]


def test_a_class_gets_the_colour_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    kept = run.tracks["defect_class"].value_counts().index[0]
    out = tmp_path / "red.mp4"
    assert main(["annotate", str(run.folder), "--colours", f"{kept}=#ff0000", "--out", str(out)]) == 0
    import av

    with av.open(str(out)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")[:192].astype(int)
    outlined = np.abs(picture - picture.mean(axis=2, keepdims=True)).max(axis=2) > 60
    assert outlined.sum() > 20
    assert (picture[outlined].argmax(axis=1) == 0).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "viod"], ["viod", "did you mean void?"]),
        (["--colours", "void=red"], ["void=red", "#RRGGBB"]),
        (["--out", "a.avi"], [".mp4 or .gif"]),
        (["--start", "99"], ["no frame of the run lies between these times"]),
        (["--every", "0"], ["--every 0"]),
        (["absent.mp4"], ["absent.mp4"]),
        (["other.png"], ["48x32 px", "192x192"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_cannot_be_drawn_is_one_line_and_leaves_no_file(
    run: Run,
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (32, 48), np.uint8)).save("other.png")
    out = [] if "--out" in arguments else ["--out", "a.mp4"]
    assert main(["annotate", str(run.folder), *arguments, *out]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert all(word in line for word in words), line
    assert [path.name for path in tmp_path.iterdir()] == ["other.png"]


def test_an_edited_run_has_outlines_movie_and_pictures_of_its_own(
    run: Run, painted: list[TrackedFrame], tmp_path: Path
) -> None:
    by_length = run.summary.sort_values("n_observed")["track_id"].tolist()
    gone, other = by_length[-1], by_length[-2]
    (tmp_path / "edits.csv").write_text(
        f"action,track_id,other_id,frame,defect_class\ndelete,{gone},,,\nclass,{other},,,void\n"
    )
    out = tmp_path / "new"
    assert main(["edit", str(run.folder), str(tmp_path / "edits.csv"), "--out", str(out)]) == 0
    edited = Run(out)
    tabulated = rows(edited.tracks)
    assert tabulated == rows(pd.read_parquet(out / MASKS.file)) == defects(painted[:10])
    assert gone not in {name for _, name, _ in tabulated}
    assert {label for _, name, label in tabulated if name == other} == {"void"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img [^>]*src="data:image/', page)) == 2
    frames = [item for item in MovieSource(out / "annotated.mp4") if isinstance(item, Frame)]
    assert len(frames) == 10
