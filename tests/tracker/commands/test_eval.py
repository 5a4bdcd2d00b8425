import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Frame
from insitrack.io.report.evaluation_plots import iou_figure, size_histogram
from insitrack.segment.scores.confusion import classes_of
from insitrack.tracker.cli import main
from insitrack.tracker.evaluation.evaluation import merged

SIDE = 128
SQUARES = {
    "one": [(20, 20, 12, 0), (20, 60, 20, 1), (70, 30, 8, 0)],
    "two": [(30, 30, 12, 0), (80, 60, 16, 1)],
    "three": [(40, 90, 20, 1)],
    "empty": [],
}
NAMES = ("black_dot", "loop_111")


def polygon(y: int, x: int, side: int) -> list[int]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Four 16-bit images of squares, one with a black border, and COCO labels."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    images, annotations = [], []
    for i, (name, squares) in enumerate(SQUARES.items(), start=1):
        picture = np.full((SIDE, SIDE), 30_000, np.uint16)
        for y, x, side, label in squares:
            picture[y : y + side, x : x + side] = 12_000
            box = [x, y, side, side]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i,
                    "category_id": label,
                    "segmentation": [polygon(y, x, side)],
                    "bbox": box,
                }
            )
        if name == "two":
            picture[112:] = 0
        cv2.imwrite(str(folder / f"{name}.png"), picture)
        images.append({"id": i, "file_name": f"{name}.png", "height": SIDE, "width": SIDE})
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    (folder / "labels.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories}), encoding="utf-8"
    )
    rows = "".join(f"{name}.png,{'A' if name in ('one', 'empty') else 'B'},0.5,100\n" for name in SQUARES)
    (tmp_path / "table.csv").write_text("file,alloy,nm_per_px,thickness_nm\n" + rows, encoding="utf-8")
    return folder


class Stub:
    """Finds dark squares; calls the small ones dots."""

    class_names = DEFECT_CLASSES
    asked: list[str] = []  # noqa: RUF012 names of models that were loaded, in order

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        assert frame.image.dtype == np.uint16
        dark = ((frame.image > 0) & (frame.image < 20_000)).astype(np.uint8)
        n, owner = cv2.connectedComponents(dark)
        masks = Masks.from_dense(owner[None] == np.arange(1, n)[:, None, None])
        found = np.where(masks.area_px() > 200, 2, 1).astype(np.int64)
        return Detections(
            frame.index,
            frame.t_s,
            frame.shape,
            masks.boxes(),
            found,
            np.full(n - 1, 0.9, np.float32),
            masks,
            DEFECT_CLASSES,
        )


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> type[Stub]:
    Stub.asked = []

    def load(name: str, config: object) -> Stub:
        Stub.asked.append(name)
        return Stub()

    monkeypatch.setattr("insitrack.tracker.evaluation.job.load_segmenter", load)
    return Stub


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_model_is_scored_and_everything_is_written(
    labels: Path, stub: type[Stub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "out", str(tmp_path / "table.csv")
    options = ["--table", table, "--split", "group:alloy", "--material", "fecral", "--out", str(out)]
    assert main(["eval", str(labels), *options]) == 0
    assert stub.asked == ["loops"]
    printed = capsys.readouterr()
    assert "6 labelled defects, find F1 1.000, type F1 1.000, AP 1.000" in printed.out
    names = (
        "pooled",
        "classes",
        "pictures",
        "picture_classes",
        "parity",
        "pixels",
        "curve",
        "confusion",
        "defects",
        "splits",
        "split_summary",
        "split_parity",
        "split_pictures",
    )
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.csv" for name in names),
        "eval.json",
        "eval.html",
        "splits.json",
        "maps",
        "outlines",
    }
    assert {path.stem for path in (out / "maps").iterdir()} == set(SQUARES)
    facts = json.loads((out / "eval.json").read_text(encoding="utf-8"))
    assert facts["unit"] == "nm"
    pictures = {row["picture"]: row for row in rows(out / "pictures.csv")}
    assert float(pictures["two"]["field_share"]) < 0.9 < float(pictures["one"]["field_share"]) == 1
    assert float(pictures["one"]["hardening_linear_true_mpa"]) > 0
    assert pictures["empty"]["find_f1"] == ""
    assert {row["split"]: int(row["n_train_defects"]) for row in rows(out / "splits.csv")} == {
        "without_A": 3,
        "without_B": 3,
    }
    assert [row["class_true"] for row in rows(out / "defects.csv")].count("black_dot") == 3
    page = (out / "eval.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?:https?:|//)', page.split("</script></head>")[1])
    assert "nothing was trained here" in page


def test_coco_results_are_scored_like_the_labels_that_they_repeat(labels: Path, tmp_path: Path) -> None:
    data = json.loads((labels / "labels.json").read_text(encoding="utf-8"))
    results = [{**entry, "score": 0.5 + 0.1 * (entry["id"] % 3)} for entry in data["annotations"]]
    results.append({"image_id": 4, "category_id": 0, "bbox": [5, 5, 10, 10], "score": 0.2})
    (tmp_path / "found.json").write_text(json.dumps(results), encoding="utf-8")
    options = ["--predictions", str(tmp_path / "found.json"), "--out", str(tmp_path / "out")]
    assert (
        main(
            [
                "eval",
                str(labels / "labels.json"),
                *options,
                "--matching",
                "greedy",
                "--overlap",
                "box",
                "--sizes",
                "jacobs",
            ]
        )
        == 0
    )
    (pooled,) = rows(tmp_path / "out" / "pooled.csv")
    assert (pooled["n_found"], pooled["n_matched"], float(pooled["find_precision"])) == (
        "7",
        "6",
        pytest.approx(6 / 7, abs=1e-5),
    )
    assert main(["eval", str(labels), *options, "--overwrite", "--conf", "0.3"]) == 0
    assert rows(tmp_path / "out" / "pooled.csv")[0]["find_f1"] == "1"


def test_predictions_of_mask_rcnn_are_read_by_name(labels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "npz"
    folder.mkdir()
    for name, squares in SQUARES.items():
        masks = np.zeros((len(squares), 1, SIDE, SIDE), np.float32)
        boxes = np.zeros((len(squares), 4), np.float32)
        for i, (y, x, side, _) in enumerate(squares):
            masks[i, 0, y : y + side, x : x + side] = 0.9
            boxes[i] = x, y, x + side, y + side
        kinds = np.array([label + 1 for *_, label in squares], np.int64)
        np.savez(
            folder / f"{name}.npz",
            boxes=boxes,
            labels=kinds,
            scores=np.ones(len(squares)),
            masks=masks,
            class_names=np.array(NAMES),
        )
    assert main(["eval", str(labels), "--predictions", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert rows(tmp_path / "out" / "pooled.csv")[0]["type_f1_strict"] == "1"
    (folder / "two.npz").unlink()
    assert main(["eval", str(labels), "--predictions", str(folder), "--out", str(tmp_path / "other")]) == 2


def test_incomplete_labels_give_recall_and_nothing_else(
    labels: Path, stub: type[Stub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "eval",
                str(labels),
                "--classes",
                "black_dot=ignore",
                "--recall-only",
                "--overlap",
                "box",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert "3 labelled defects, recall 1.000" in capsys.readouterr().out
    assert set(rows(tmp_path / "out" / "pooled.csv")[0]) == {"n_true", "n_found", "n_matched", "find_recall"}
    assert not (tmp_path / "out" / "maps").exists()
    assert (
        "precision"
        not in (tmp_path / "out" / "eval.html").read_text(encoding="utf-8").split("</script></head>")[1]
    )


def test_each_split_may_have_its_own_model(labels: Path, stub: type[Stub], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["eval", str(labels), "--split", "folds:2", "--splits-only", "--out", str(out)]) == 0
    splits = json.loads((out / "splits.json").read_text(encoding="utf-8"))
    assert [len(split["train"]) for split in splits.values()] == [2, 2]
    assert (
        main(
            [
                "eval",
                str(labels),
                "--split",
                "folds:2",
                "--model",
                "runs/{split}.onnx",
                "--out",
                str(out),
                "--overwrite",
            ]
        )
        == 0
    )
    assert stub.asked == ["runs/fold_1.onnx", "runs/fold_2.onnx"]
    tested = {row["picture"]: row["split"] for row in rows(out / "pictures.csv")}
    assert sorted(tested) == sorted(SQUARES)
    assert {Path(name).stem for name in splits["fold_1"]["test"]} == {
        name for name, split in tested.items() if split == "fold_1"
    }
    assert "Learning curve" in (out / "eval.html").read_text(encoding="utf-8")


def test_merged_classes_are_one_class_on_both_sides(
    labels: Path, stub: type[Stub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["eval", str(labels), "--merge", "black_dot=loop,loop_111=loop", "--out", str(tmp_path / "out")])
        == 0
    )
    assert [row["defect_class"] for row in rows(tmp_path / "out" / "classes.csv")] == ["loop"]
    assert "one class only, loop" in capsys.readouterr().err


def test_pictures_of_one_name_are_told_apart_by_their_folder(
    labels: Path, stub: type[Stub], tmp_path: Path
) -> None:
    data = tmp_path / "yolo"
    for part in ("train", "val"):
        (data / part / "images").mkdir(parents=True)
        (data / part / "labels").mkdir(parents=True)
        (data / part / "images" / "one.png").write_bytes((labels / "one.png").read_bytes())
        (data / part / "labels" / "one.txt").write_text(
            "0 0.16 0.16 0.25 0.16 0.25 0.25 0.16 0.25\n", encoding="utf-8"
        )
    assert main(["eval", str(data), "--classes", "0=black_dot", "--out", str(tmp_path / "out")]) == 0
    assert [row["picture"] for row in rows(tmp_path / "out" / "pictures.csv")] == [
        "0000_images_one",
        "0001_images_one",
    ]
    assert (
        main(
            [
                "eval",
                str(data),
                "--classes",
                "0=black_dot",
                "--predictions",
                "x.json",
                "--out",
                str(tmp_path / "other"),
            ]
        )
        == 2
    )


def test_a_class_that_is_ignored_has_no_rows() -> None:
    masks = Masks.from_crops([np.ones((3, 3), bool)] * 2, [(0, 0), (9, 9)])
    both = Detections(
        0, 0.0, (20, 20), masks.boxes(), np.array([1, 6]), np.ones(2, np.float32), masks, DEFECT_CLASSES
    )
    assert merged(both, {"void": "ignore"}).names() == ["black_dot"]
    assert len(merged(both, {"void": "ignore", "black_dot": "ignore"})) == 0


def test_pictures_without_any_defect_are_not_an_error(
    labels: Path, stub: type[Stub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((labels / "labels.json").read_text(encoding="utf-8"))
    kept = {**data, "images": data["images"][3:], "annotations": []}
    (labels / "labels.json").write_text(json.dumps(kept), encoding="utf-8")
    assert main(["eval", str(labels), "--out", str(tmp_path / "out")]) == 0
    assert "nothing is labelled" in capsys.readouterr().err
    assert (
        json.loads((tmp_path / "out" / "eval.json").read_text(encoding="utf-8"))["tables"]["pooled"][0][
            "find_f1"
        ]
        is None
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--iou", "0"], "--iou 0: expected"),
        (["--iou", "often"], "--iou"),
        (["--model", "loops", "--predictions", "x.json"], "expected one of them"),
        (["--predictions", "absent.json"], "absent.json: cannot be read"),
        (["--predictions", "broken.json"], "broken.json: not JSON"),
        (["--predictions", "other.json"], "image_id 'elsewhere' is none of the labelled images"),
        (["--split", "group:alloy"], "give --table"),
        (["--split", "thirds"], "expected random:5"),
        (["--model", "{split}.onnx"], "need --split"),
        (["--merge", "loop_111"], "expected OLD=NEW"),
        (["--classes", "loop_111=ring"], "--classes loop_111=ring"),
        (["--material", "cheese"], "--material cheese"),
        (["--model", "absent.onnx"], "--model absent.onnx"),
        (["--set", "segment.confidense=1"], "confidense"),
        (["--table", "bad.csv"], "nm_per_px of one is 'wide'"),
        (["--out", "."], "not empty"),
        (["--also", "absent"], "absent: no such folder or label file"),
        (["--also", "elsewhere"], "--also elsewhere: no image named as in the labels (empty, one, three"),
        (["--also", "smaller"], "one has 64 x 64 px, that of the labels 128 x 128"),
        (["--also", "damaged"], "damaged"),
        (["--also", "smaller", "--recall-only"], "expected one of them"),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("[{", encoding="utf-8")
    (tmp_path / "other.json").write_text(
        json.dumps([{"image_id": "elsewhere", "category_id": 0, "bbox": [1, 1, 2, 2]}]), encoding="utf-8"
    )
    (tmp_path / "bad.csv").write_text("file,nm_per_px\none.png,wide\n", encoding="utf-8")
    row = "0 0.2 0.2 0.4 0.2 0.4 0.4\n"
    for folder, name, side, text in (
        ("elsewhere", "other", SIDE, row),
        ("smaller", "one", 64, row),
        ("damaged", "one", SIDE, row + "0 0.2 nothing\n"),
    ):
        Path(folder).mkdir()
        cv2.imwrite(f"{folder}/{name}.png", np.zeros((side, side), np.uint8))
        Path(folder, f"{name}.txt").write_text(text, encoding="utf-8")
    if options[0] == "--also":
        options = [*options, "--classes", "0=black_dot"]
    if options[0] in ("--table", "--also"):
        monkeypatch.setattr("insitrack.tracker.evaluation.job.load_segmenter", lambda *_: Stub())
    assert main(["eval", str(labels), *options]) == 2
    if options[0] == "--also":
        assert not (tmp_path / "labelled_eval").exists()
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]


def test_no_labels_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_histogram_has_the_published_bins_and_goes_on_beyond_them() -> None:
    def defect(size: float) -> dict[str, object]:
        side = {"class_true": "black_dot", "size_true_nm": size, "sized_true": 1}
        return {**side, "class_found": "", "size_found_nm": None, "sized_found": 0, "outcome": "missed"}

    usual = size_histogram([defect(3.0), defect(19.9)], "black_dot", "nm")
    assert np.asarray(usual.data[0].y).tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert len(size_histogram([defect(31.0)], "black_dot", "nm").data[0].y) == 16
    assert sum(size_histogram([defect(3.0)], "black_dot", "nm", pairs_only=True).data[0].y) == 0


def test_nothing_to_plot_is_no_error() -> None:
    assert classes_of([]) == ()
    assert len(iou_figure([]).data) == 0
