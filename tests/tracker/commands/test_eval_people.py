"""Several people's labels of the same images: what they agree on stands beside every F1 of the model."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insitrack.tracker.cli import main
from insitrack.tracker.evaluation.people import difference

SIDE = 128
NAMES = ("black_dot", "loop_111")
Squares = dict[str, list[tuple[int, int, int, int]]]
FIRST: Squares = {"a": [(20, 20, 12, 0), (20, 60, 20, 1)], "b": [(30, 30, 12, 0), (80, 60, 16, 1)]}
SECOND: Squares = {"a": [(20, 20, 12, 0), (22, 60, 20, 1), (90, 90, 10, 0)], "b": [(30, 30, 12, 1)]}


def labelled(folder: Path, squares: Squares) -> Path:
    """Images of dark squares, and the squares that somebody drew in them, as rows of polygons."""
    folder.mkdir(parents=True)
    for name, parts in squares.items():
        picture = np.full((SIDE, SIDE), 180, np.uint8)
        for y, x, side, _ in FIRST[name]:
            picture[y : y + side, x : x + side] = 60
        cv2.imwrite(str(folder / f"{name}.png"), picture)
        corners = [
            (label, [x, y, x + side, y, x + side, y + side, x, y + side]) for y, x, side, label in parts
        ]
        lines = [
            f"{NAMES[label]} " + " ".join(f"{v / SIDE:.6f}" for v in corner) for label, corner in corners
        ]
        numbers = [line.replace(line.split()[0], str(NAMES.index(line.split()[0])), 1) for line in lines]
        (folder / f"{name}.txt").write_text("\n".join(numbers) + "\n", encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return folder


def found(folder: Path, squares: Squares) -> Path:
    """Detections of a model."""
    folder.mkdir()
    for name, parts in squares.items():
        masks = np.zeros((len(parts), 1, SIDE, SIDE), np.float32)
        for i, (y, x, side, _) in enumerate(parts):
            masks[i, 0, y : y + side, x : x + side] = 1
        boxes = np.array([(x, y, x + side, y + side) for y, x, side, _ in parts], np.float32).reshape(-1, 4)
        kinds = np.array([part[3] + 1 for part in parts], np.int64)
        np.savez(
            folder / f"{name}.npz",
            boxes=boxes,
            labels=kinds,
            scores=np.ones(len(parts)),
            masks=masks,
            class_names=np.array(NAMES),
        )
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def scored(tmp_path: Path, *others: Squares, more: tuple[str, ...] = ()) -> Path:
    labels, out = labelled(tmp_path / "first", FIRST), tmp_path / "out"
    predictions = str(found(tmp_path / "npz", FIRST))
    options = ["--predictions", predictions, "--out", str(out), "--nm-per-px", "0.5", *more]
    for i, squares in enumerate(others):
        options += ["--also", str(labelled(tmp_path / f"other{i}", squares))]
    assert main(["eval", str(labels), *options]) == 0
    return out


def test_a_worked_case_of_two_people(tmp_path: Path) -> None:
    out = scored(tmp_path, SECOND)
    (pooled,) = rows(out / "pooled.csv")
    # four outlines each; three pairs, of which one (12 px in b) differs in class
    assert float(pooled["find_f1_people"]) == pytest.approx(6 / 8)
    assert float(pooled["find_f1"]) == 1
    assert float(pooled["type_f1_pairs_people"]) == pytest.approx((2 / 3 + 2 / 3) / 2, abs=1e-5)
    assert float(pooled["type_f1_strict_people"]) == pytest.approx((2 / 4 + 2 / 4) / 2)
    both = {(row["first"], row["second"], row["defect_class"]): row for row in rows(out / "annotators.csv")}
    people = both["first", "other0", "all"]
    assert (people["people"], people["n_first"], people["n_second"], people["n_matched"]) == (
        "1",
        "4",
        "4",
        "3",
    )
    assert float(people["density_difference"]) == 0
    assert float(people["size_difference"]) < 0
    assert float(both["first", "other0", "black_dot"]["size_first_nm"]) == pytest.approx(
        float(both["first", "model", "black_dot"]["size_second_nm"])
    )
    assert float(both["first", "model", "all"]["find_f1"]) == 1
    assert float(both["other0", "model", "all"]["find_f1"]) == pytest.approx(float(people["find_f1"]))
    pictures = {row["picture"]: float(row["find_f1_people"]) for row in rows(out / "pictures.csv")}
    assert pictures == {"a": pytest.approx(4 / 5), "b": pytest.approx(2 / 3, abs=1e-5)}
    page = (out / "eval.html").read_text(encoding="utf-8")
    assert "Between people" in page
    assert json.loads((out / "eval.json").read_text(encoding="utf-8"))["settings"]["also"]


def test_the_ceiling_at_another_overlap_is_in_the_curve(tmp_path: Path) -> None:
    curve = {
        float(row["iou"]): float(row["find_f1_people"])
        for row in rows(scored(tmp_path, SECOND) / "curve.csv")
    }
    # a square of 20 px moved by 2 px overlaps by 18 / 22
    assert curve[0.8] == pytest.approx(6 / 8)
    assert curve[0.9] == pytest.approx(4 / 8)


def test_the_ceiling_is_the_mean_over_all_pairs_of_people(tmp_path: Path) -> None:
    (pooled,) = rows(scored(tmp_path, SECOND, FIRST) / "pooled.csv")
    assert float(pooled["find_f1_people"]) == pytest.approx((0.75 + 1 + 0.75) / 3)


def test_each_split_and_class_has_its_own_ceiling(tmp_path: Path) -> None:
    out = scored(tmp_path, SECOND, more=("--split", "folds:2"))
    first, second = rows(out / "splits.csv")
    assert float(first["find_f1_people"]) == pytest.approx(4 / 5)
    assert float(second["find_f1_people"]) == pytest.approx(2 / 3, abs=1e-5)
    assert float(first["type_f1_strict_loop_111_people"]) == 1
    assert float(second["type_f1_strict_loop_111_people"]) == 0
    counts = (
        "n_train_black_dot",
        "n_test_black_dot",
        "n_true_black_dot",
        "n_found_black_dot",
        "n_matched_black_dot",
    )
    assert [first[key] for key in counts] == ["1"] * 5
    assert first["type_f1_pairs_black_dot"] == first["type_f1_strict_black_dot"] == "1"
    assert [row["picture"] for row in rows(out / "split_pictures.csv") if row["part"] == "test"] == ["a", "b"]
    named = {row["score"] for row in rows(out / "split_summary.csv")}
    assert {"type_f1_pairs_black_dot", "type_f1_strict_loop_111"} <= named


def test_pictures_that_not_everybody_labelled_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = scored(tmp_path, {"b": SECOND["b"]})
    assert "1 of the 2 images were labelled by everybody" in capsys.readouterr().err
    assert float(rows(out / "pooled.csv")[0]["find_f1_people"]) == pytest.approx(2 / 3, abs=1e-5)
    assert {row["picture"]: row["find_f1_people"] for row in rows(out / "pictures.csv")}["a"] == ""
    assert {row["n_pictures"] for row in rows(out / "annotators.csv")} == {"1"}


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(5, 25), st.integers(0, 1)), max_size=5
    )
)
def test_who_comes_first_does_not_matter_to_the_agreement(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int, int, int]]
) -> None:
    drawn = [(2 + 31 * y, 2 + 31 * x, side, label) for y, x, side, label in dict.fromkeys(parts)]
    values = []
    for one, other in ((FIRST["a"], drawn), (drawn, FIRST["a"])):
        folder = tmp_path_factory.mktemp("people")
        labels, also = labelled(folder / "x", {"a": one}), labelled(folder / "y", {"a": other})
        npz, out = found(folder / "npz", {"a": []}), folder / "out"
        options = ["--also", str(also), "--predictions", str(npz), "--out", str(out)]
        assert main(["eval", str(labels), *options]) == 0
        row = next(row for row in rows(out / "annotators.csv") if row["people"] == "1")
        values.append((row["find_f1"], row["n_matched"], row["density_difference"].lstrip("-")))
    assert values[0] == values[1]


def test_differences_of_two_people_have_no_side() -> None:
    assert difference(90.0, 110.0) == -difference(110.0, 90.0) == 0.2
