"""From a movie to a folder of labels, and back to it."""

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from insitrack.io.sources import open_source
from insitrack.tracker.cli import main
from insitrack.tracker.labelling.crops import read_crops


def frames_of(folder: Path, n: int = 6) -> Path:
    folder.mkdir()
    for frame in open_source(f"synth:two_beam?seed=2&frames={n}&size=160"):
        cv2.imwrite(str(folder / f"steel_{frame.index:04d}.png"), frame.image)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("label")
    movie = frames_of(base / "my movie")
    assert (
        main(
            [
                "label",
                str(movie),
                "--out",
                str(base / "labels"),
                "--frames",
                "2",
                "--crop-px",
                "64",
                "--no-page",
            ]
        )
        == 0
    )
    return movie, base / "labels"


def test_each_crop_is_the_part_of_the_frame_that_its_row_names(labelled):
    movie, folder = labelled
    crops = read_crops(folder)
    assert len(crops) == 2
    for one in crops:
        frame = cv2.imread(one.source, cv2.IMREAD_UNCHANGED)
        assert Path(one.source) == movie / f"{one.name}.png"
        part = frame[one.y_px : one.y_px + one.height_px, one.x_px : one.x_px + one.width_px]
        np.testing.assert_array_equal(cv2.imread(str(folder / "images" / f"{one.name}.png"), -1), part)


def test_a_second_call_adds_what_is_asked_for_and_changes_nothing_else(labelled, capsys):
    movie, folder = labelled
    before = {path.name: path.read_bytes() for path in (folder / "images").iterdir()}
    again = ["label", str(movie), "--out", str(folder), "--no-page", "--crop-px", "64"]
    assert main(again) == 0
    told = capsys.readouterr()
    assert "2 images to label are there" in told.err
    next_one = shlex.split(told.out.partition("next: ")[2])  # as a shell takes it
    assert next_one == ["track", "label", str(movie), "--out", str(folder)]
    assert main([*again, "--frames", "3"]) == 0
    assert len(read_crops(folder)) == 3
    assert before.items() <= {path.name: path.read_bytes() for path in (folder / "images").iterdir()}.items()


def test_a_frame_that_changed_is_not_the_one_that_is_labelled(labelled, tmp_path, capsys):
    other = frames_of(tmp_path / "movie", 7)
    first = next(iter(read_crops(labelled[1])))
    cv2.imwrite(str(other / Path(first.source).name), np.zeros((160, 160), np.uint8))
    assert main(["label", str(other), "--out", str(labelled[1]), "--no-page"]) == 2
    assert "choose another --out" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nothing.mp4"], "nothing.mp4"),
        (["camera:0"], "is live; record it first"),
        (["synth:loops?frames=2&size=96", "--frames", "0"], "--frames 0"),
        (["synth:loops?frames=2&size=96", "--crop-px", "9"], "--crop-px 9"),
        (["synth:loops?frames=2&size=96", "--as", "../x"], "--as ../x"),
        (["synth:loops?frames=2&size=96", "--model", "loopz"], "loopz"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_folder(options, words, tmp_path, capsys):
    out = tmp_path / "labels"
    assert main(["label", *options, "--out", str(out), "--no-page"]) == 2
    last = capsys.readouterr().err.splitlines()
    assert words in last[-1]
    assert len([line for line in last if line.startswith("track:")]) == 1
    assert not out.exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert main(["label", "synth:loops?frames=2&size=96", "--out", str(tmp_path), "--no-page"]) == 2
    assert "holds no crops.csv" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_choice_that_was_cut_off_begins_again(labelled, tmp_path):
    movie, _ = labelled
    out = tmp_path / "labels"
    (out / "images").mkdir(parents=True)
    (out / "images" / "half.png").write_bytes(b"")
    assert (
        main(["label", str(movie), "--out", str(out), "--frames", "1", "--crop-px", "64", "--no-page"]) == 0
    )
    assert len(read_crops(out)) == 1
