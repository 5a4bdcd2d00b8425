import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SettingsError, SourceError
from insitrack.io.frames import Frame
from insitrack.segment.scores.confusion import Confusion, classes_of, compare, confusion, curve
from insitrack.segment.scores.evaluate import evaluate, labelled_pictures, score
from insitrack.segment.scores.matching import overlaps, pairs

Corner = tuple[int, int]


def squares(corners: list[Corner], side: int = 10, label: int | list[int] = 1) -> Detections:
    masks = Masks.from_crops([np.ones((side, side), bool)] * len(corners), corners)
    labels = np.full(len(masks), label, np.int64) if isinstance(label, int) else np.array(label, np.int64)
    return Detections(
        0, 0.0, (100, 140), masks.boxes(), labels, np.ones(len(masks), np.float32), masks, DEFECT_CLASSES
    )


corner_lists = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 120)), min_size=1, max_size=6, unique=True
)
overlap_tables = st.integers(0, 5).flatmap(
    lambda n: st.integers(0, 5).flatmap(
        lambda m: st.lists(st.floats(0, 1), min_size=n * m, max_size=n * m).map(
            lambda values: np.array(values).reshape(n, m)
        )
    )
)


@settings(max_examples=20, deadline=None)
@given(corners=corner_lists)
def test_what_is_compared_with_itself_scores_one(corners: list[Corner]) -> None:
    truth = squares(corners, label=[1 + i % 3 for i in range(len(corners))])
    result = score([(truth, truth)])
    assert (
        result.precision,
        result.recall,
        result.f1,
        result.confusion.class_accuracy,
        result.size_error,
    ) == (1, 1, 1, 1, 0)
    for row in curve([compare("", truth, truth)]):
        assert row["find_f1"] == row["type_f1_pairs"] == row["type_f1_strict"] == 1


@settings(max_examples=60, deadline=None)
@given(iou=overlap_tables, least=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_no_matching_makes_more_pairs_than_the_optimal_one_whose_number_no_order_changes(
    iou: np.ndarray, least: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shuffled = iou[rng.permutation(len(iou))][:, rng.permutation(iou.shape[1])]
    rows, columns = pairs(iou, least)
    assert len(pairs(iou, least, "greedy")[0]) <= len(rows)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert (iou[rows, columns] >= least).all()
    others = pairs(shuffled, least)
    assert len(others[0]) == len(rows)
    assert shuffled[others].sum() == pytest.approx(iou[rows, columns].sum())


@settings(max_examples=30, deadline=None)
@given(iou=overlap_tables, low=st.floats(0.05, 0.9), step=st.floats(0, 0.5))
def test_asking_for_more_overlap_never_makes_more_pairs(iou: np.ndarray, low: float, step: float) -> None:
    assert len(pairs(iou, min(1, low + step))[0]) <= len(pairs(iou, low)[0])


def test_the_greedy_rule_depends_on_the_order_of_the_labels_and_the_optimal_one_does_not() -> None:
    # detection 0 lies on both true defects, detection 1 on the second only: the order decides who gets
    # detection 0
    iou = np.array([[0.5, 0.8], [0.0, 0.6]])
    assert len(pairs(iou, 0.3, "greedy")[0]) == 2
    assert len(pairs(iou[:, ::-1], 0.3, "greedy")[0]) == 1
    assert len(pairs(iou, 0.3)[0]) == len(pairs(iou[:, ::-1], 0.3)[0]) == 2


def test_the_published_rule_takes_the_best_free_box_at_or_above_the_threshold() -> None:
    # physics.md 8.5: in the order of the true defects, best box IoU not yet used, >=, class ignored
    found = squares([(10, 15), (10, 10)], label=2)
    true = squares([(10, 10), (10, 20)])
    iou = overlaps(found, true, "box")
    assert iou.round(4).tolist() == [[0.3333, 0.3333], [1.0, 0.0]]
    rows, columns = pairs(iou, float(iou[0, 1]), "greedy")
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 0), (0, 1)]


def test_boxes_overlap_where_masks_do_not() -> None:
    corner = np.zeros((10, 10), bool)
    corner[np.tril_indices(10, -1)] = True
    masks = Masks.from_crops([corner, ~corner], [(0, 0), (0, 0)])
    both = Detections(
        0, 0.0, (20, 30), masks.boxes(), np.ones(2, np.int64), np.ones(2, np.float32), masks, DEFECT_CLASSES
    )
    one, other = both.take(np.array([0])), both.take(np.array([1]))
    assert (overlaps(one, other)[0, 0], overlaps(one, other, "box")[0, 0]) == (0, 1)


@pytest.mark.parametrize("least", [0.0, -0.1, 1.1, float("nan")])
def test_an_impossible_overlap_is_refused(least: float) -> None:
    with pytest.raises(SettingsError, match="above 0 and up to 1"):
        pairs(np.zeros((1, 1)), least)


def test_a_worked_example() -> None:
    # three true squares; one found in place, one shifted by 4 of 10 px (IoU 60 / 140), one missed, one false
    true = squares([(10, 10), (10, 40), (10, 70)])
    found = squares([(10, 10), (10, 44), (60, 60)], label=2)
    strict, loose = score([(found, true)], 0.5), score([(found, true)], 0.3)
    assert (strict.confusion.n_matched, loose.confusion.n_matched) == (1, 2)
    assert loose.f1 == pytest.approx(4 / 6)
    assert loose.confusion.class_accuracy == 0


def test_type_scores_come_from_the_pairs_or_from_everything() -> None:
    # true: dots A B C, loops D E; found: A dot, B loop, D loop, and a false dot; C and E are missed
    true = squares([(0, 0), (0, 20), (0, 40), (30, 0), (30, 20)], label=[1, 1, 1, 2, 2])
    found = squares([(0, 0), (0, 20), (30, 0), (60, 60)], label=[1, 2, 2, 1])
    counts = confusion([compare("a", found, true)], 0.5)
    assert counts.counts.tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 0]]
    assert counts.f1 == pytest.approx(6 / 9)
    assert counts.of_class("black_dot", strict=False) == pytest.approx((1, 1 / 2, 2 / 3))
    assert counts.of_class("black_dot", strict=True) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    assert counts.type_f1(strict=False) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert counts.type_f1(strict=True) == pytest.approx((2 / 5 + 2 / 4) / 2)


def test_a_class_without_true_defects_has_no_part_in_the_mean() -> None:
    counts = Confusion(("black_dot", "void"), np.array([[2, 0, 0], [0, 0, 0], [0, 3, 0]]))
    assert counts.type_f1(strict=True) == 1


def test_a_true_defect_is_found_once_however_many_detections_lie_on_it() -> None:
    result = score([(squares([(10, 10), (10, 11), (11, 10)]), squares([(10, 10)]))]).confusion
    assert (result.n_matched, result.n_found) == (1, 3)


def test_nothing_found_and_nothing_there_are_not_a_number() -> None:
    nothing = squares([])
    assert np.isnan(score([(nothing, nothing)]).f1)
    assert score([(nothing, squares([(1, 1)]))]).f1 == 0
    assert np.isnan(score([(nothing, squares([(1, 1)]))]).precision)
    assert np.isnan(score([]).size_error)
    assert confusion([]).scores()["n_true"] == 0
    assert classes_of([compare("", nothing, nothing)]) == ()


def test_size_bias_tells_too_large_from_too_small() -> None:
    assert score([(squares([(10, 10)], side=11), squares([(10, 10)]))]).size_bias == pytest.approx(0.1)


def test_the_baseline_finds_dark_dots_on_a_bright_field() -> None:
    y, x = np.mgrid[:100, :140]
    image = np.full((100, 140), 200, np.uint8)
    for cy, cx in ((30, 30), (60, 100)):
        image[(y - cy) ** 2 + (x - cx) ** 2 < 36] = 50
    script = Path(__file__).parents[3] / "benchmarks" / "threshold_baseline.py"
    threshold_baseline = runpy.run_path(str(script))["threshold_baseline"]
    assert len(threshold_baseline(Frame(0, 0.0, image))) == 2
    assert len(threshold_baseline(Frame(0, 0.0, image), x < 70)) == 1


def test_a_folder_without_pictures_is_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match="images"):
        list(labelled_pictures(tmp_path))


def test_pictures_are_read_at_their_native_depth(tmp_path) -> None:
    import tifffile

    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    tifffile.imwrite(tmp_path / "images" / "deep.tif", np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000)
    (tmp_path / "labels" / "deep.txt").write_text("0 0.25 0.1 0.8 0.1 0.8 0.9\n")
    ((frame, truth),) = labelled_pictures(tmp_path)
    assert (frame.image.dtype, int(frame.image.max()), frame.shape, len(truth)) == (
        np.uint16,
        47_000,
        (6, 8),
        1,
    )


def test_a_segmenter_is_told_where_the_overlay_is() -> None:
    image = np.full((100, 140), 120, np.uint8)
    image[80:] = 0  # a flat border
    truth, fields = squares([(10, 10), (50, 50)]), []

    def segment(frame: Frame, field: BoolImage | None) -> Detections:
        fields.append(field)
        return truth

    facts = evaluate(segment, [(Frame(0, 0.0, image), truth)])
    assert facts["iou_0.5"]["f1"] == facts["iou_0.3"]["f1"] == 1
    assert fields[0] is not None
    assert not fields[0][90:].any()
