import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SourceError
from insitrack.io.frames import Frame
from insitrack.segment.evaluate import evaluate, labelled_pictures, matched, score, threshold_baseline


def squares(corners: list[tuple[int, int]], side: int = 10, label: int = 1) -> Detections:
    masks = Masks.from_crops([np.ones((side, side), bool)] * len(corners), corners)
    labels, scores = np.full(len(masks), label, np.int64), np.ones(len(masks), np.float32)
    return Detections(0, 0.0, (100, 140), masks.boxes(), labels, scores, masks, DEFECT_CLASSES)


@settings(max_examples=20, deadline=None)
@given(corners=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 120)), min_size=1, max_size=6, unique=True))
def test_what_is_compared_with_itself_scores_one(corners: list[tuple[int, int]]) -> None:
    truth = squares(corners)
    result = score([(truth, truth)])
    assert (result.precision, result.recall, result.f1, result.class_accuracy, result.size_error) == (1, 1, 1, 1, 0)


def test_a_worked_example() -> None:
    # three true squares; one found in place, one shifted by 4 of 10 px (IoU 60 / 140), one missed, one false
    true = squares([(10, 10), (10, 40), (10, 70)])
    found = squares([(10, 10), (10, 44), (60, 60)], label=2)
    strict, loose = score([(found, true)], 0.5), score([(found, true)], 0.3)
    assert (strict.n_matched, loose.n_matched) == (1, 2)
    assert loose.f1 == pytest.approx(4 / 6)
    assert loose.class_accuracy == 0


def test_a_true_defect_is_found_once_however_many_detections_lie_on_it() -> None:
    result = score([(squares([(10, 10), (10, 11), (11, 10)]), squares([(10, 10)]))])
    assert (result.n_matched, result.n_found) == (1, 3)


def test_the_pairs_have_the_largest_sum_of_overlaps() -> None:
    found, true = squares([(10, 10), (10, 14)]), squares([(10, 12), (10, 5)])
    rows, columns = matched(found.masks, true.masks, 0.3)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


def test_nothing_found_and_nothing_there_are_not_a_number() -> None:
    nothing = squares([])
    assert np.isnan(score([(nothing, nothing)]).f1)
    assert score([(nothing, squares([(1, 1)]))]).f1 == 0
    assert np.isnan(score([(nothing, squares([(1, 1)]))]).precision)
    assert np.isnan(score([]).size_error)


def test_size_bias_tells_too_large_from_too_small() -> None:
    assert score([(squares([(10, 10)], side=11), squares([(10, 10)]))]).size_bias == pytest.approx(0.1)


def test_the_baseline_finds_dark_dots_on_a_bright_field() -> None:
    y, x = np.mgrid[:100, :140]
    image = np.full((100, 140), 200, np.uint8)
    for cy, cx in ((30, 30), (60, 100)):
        image[(y - cy) ** 2 + (x - cx) ** 2 < 36] = 50
    assert len(threshold_baseline(Frame(0, 0.0, image))) == 2


def test_a_folder_without_pictures_is_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match="images"):
        list(labelled_pictures(tmp_path))


def test_a_segmenter_that_knows_the_truth_is_perfect() -> None:
    truth = squares([(10, 10), (50, 50)])
    facts = evaluate(lambda frame: truth, [(Frame(0, 0.0, np.zeros((100, 140), np.uint8)), truth)])
    assert facts["iou_0.5"]["f1"] == facts["iou_0.3"]["f1"] == 1
