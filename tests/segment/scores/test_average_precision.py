import json
from pathlib import Path

import numpy as np
import pytest

from insitrack.segment.labels.predictions import read_predictions
from insitrack.segment.scores.average_precision import Ranked, average_precision, mean_average_precision
from insitrack.segment.scores.confusion import compare

pytestmark = pytest.mark.truth

CASE = Path(__file__).resolve().parents[2] / "truth" / "coco_ap.json"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Ranked], dict[str, list[list[float]]]]:
    data = json.loads(CASE.read_text(encoding="utf-8"))
    shapes = {Path(image["file_name"]).stem: (image["height"], image["width"]) for image in data["images"]}
    parts = []
    for key in ("results", "annotations"):
        path = tmp_path_factory.mktemp("coco") / f"{key}.json"
        path.write_text(json.dumps(data[key]), encoding="utf-8")
        parts.append(read_predictions(path, shapes, data))
    found, true = parts
    return [compare(name, found[name], true[name]).ranked() for name in shapes], data[
        "expected_ap_by_class_and_threshold"
    ]


@pytest.mark.parametrize("most", [3, 100])
def test_it_agrees_with_pycocotools_class_by_class(
    case: tuple[list[Ranked], dict[str, list[list[float]]]], most: int
) -> None:
    pictures, expected = case
    for name, values in zip(("black_dot", "loop_111", "loop_100"), expected[f"classes_{most}"], strict=True):
        assert average_precision(pictures, name, most=most) == pytest.approx(values, abs=1e-9)
    assert average_precision(pictures, None, most=most) == pytest.approx(
        expected[f"find_{most}"][0], abs=1e-9
    )


def test_the_mean_is_over_thresholds_and_classes(
    case: tuple[list[Ranked], dict[str, list[list[float]]]],
) -> None:
    pictures, expected = case
    mean = mean_average_precision(pictures, most=100)
    table = np.array(expected["classes_100"])
    assert mean["ap"] == pytest.approx(table.mean(), abs=1e-9)
    assert (mean["ap50"], mean["ap75"]) == pytest.approx((table[:, 0].mean(), table[:, 5].mean()), abs=1e-9)


def test_without_true_defects_it_is_not_a_number() -> None:
    nothing = Ranked(np.zeros((1, 0)), np.ones(1, np.float32), np.array(["void"]), np.zeros(0, np.str_))
    assert np.isnan(mean_average_precision([nothing])["ap"])
    assert np.isnan(average_precision([], "void")).all()


def test_without_detections_it_is_zero() -> None:
    missed = Ranked(np.zeros((0, 1)), np.zeros(0, np.float32), np.zeros(0, np.str_), np.array(["void"]))
    assert mean_average_precision([missed])["ap"] == 0
