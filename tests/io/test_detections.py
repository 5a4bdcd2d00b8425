import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks

dense_masks = arrays(bool, st.tuples(st.integers(0, 4), st.just(7), st.just(11)))


@settings(max_examples=40, deadline=None)
@given(dense_masks)
def test_cropping_and_making_dense_again_loses_nothing(dense: np.ndarray) -> None:
    masks = Masks.from_dense(dense)
    assert np.array_equal(masks.dense((7, 11)), dense)
    assert masks.area_px().tolist() == dense.sum(axis=(1, 2)).tolist()


@settings(max_examples=40, deadline=None)
@given(dense_masks, dense_masks)
def test_iou_of_crops_is_iou_of_full_frames(first: np.ndarray, second: np.ndarray) -> None:
    got = Masks.from_dense(first).iou(Masks.from_dense(second))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            assert got[i, j] == pytest.approx((a & b).sum() / max(1, (a | b).sum()))


@settings(max_examples=30, deadline=None)
@given(dense_masks)
def test_run_lengths_rebuild_the_mask(dense: np.ndarray) -> None:
    masks = Masks.from_dense(dense)
    for i, mask in enumerate(dense):
        counts = masks.rle(i, (7, 11))["counts"]
        values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        assert np.array_equal(values.reshape((7, 11), order="F"), mask)


def test_mask_beyond_the_frame_is_cut_when_made_dense() -> None:
    masks = Masks.from_crops([np.ones((4, 4), bool)], [(-2, 9)])
    assert masks.dense((7, 11)).sum() == 2 * 2


def test_taking_rows_keeps_their_order_and_pixels() -> None:
    masks = Masks.from_crops(
        [np.ones((1, 2), bool), np.eye(3, dtype=bool), np.ones((2, 2), bool)], [(0, 0), (5, 5), (1, 8)]
    )
    taken = masks.take(np.array([2, 0]))
    assert taken.area_px().tolist() == [4, 2]
    assert len(masks.take(np.zeros(3, bool))) == 0


def test_masks_whose_pixels_do_not_fit_their_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 4 bool pixels"):
        Masks(np.zeros(3, bool), np.zeros((1, 2), np.int32), np.full((1, 2), 2, np.int32))


@settings(max_examples=30, deadline=None)
@given(dense_masks.filter(lambda d: len(d) > 0))
def test_mask_rcnn_form_survives_the_round_trip(dense: np.ndarray) -> None:
    n = len(dense)
    masks = Masks.from_dense(dense)
    found = Detections(
        3,
        1.5,
        (7, 11),
        masks.boxes(),
        np.arange(n) % len(DEFECT_CLASSES) + 1,
        np.linspace(0.2, 0.9, n, dtype=np.float32),
        masks,
    )
    back = Detections.from_maskrcnn(found.to_maskrcnn(), frame_index=3, t_s=1.5)
    assert np.array_equal(back.boxes, found.boxes)
    assert np.array_equal(back.labels, found.labels)
    assert np.array_equal(back.masks.dense(back.shape), dense)


def test_background_label_is_refused() -> None:
    masks = Masks.from_crops([np.ones((2, 2), bool)], [(0, 0)])
    with pytest.raises(ValueError, match=r"labels must lie in 1\.\.8, got 0\.\.0"):
        Detections(0, 0.0, (4, 4), masks.boxes(), np.zeros(1, np.int64), np.ones(1, np.float32), masks)


def test_empty_frame_has_rows_of_the_right_shape() -> None:
    empty = Detections.empty(0, 0.0, (4, 4))
    assert empty.to_maskrcnn()["masks"].shape == (0, 1, 4, 4)
    assert empty.names() == []


def test_probabilities_of_classes_go_with_their_rows() -> None:
    masks = Masks.from_crops([np.ones((3, 3), bool)] * 2, [(0, 0), (5, 5)])
    of_classes = np.eye(len(DEFECT_CLASSES), dtype=np.float32)[[1, 2]]
    found = Detections(
        0,
        0.0,
        (9, 9),
        masks.boxes(),
        np.array([2, 3]),
        np.ones(2, np.float32),
        masks,
        class_probability=of_classes,
    )
    both = found.take(np.array([1])).then(found)
    assert both.class_probability is not None
    assert both.class_probability.argmax(axis=1).tolist() == [2, 1, 2]
    unknown = Detections.empty(0, 0.0, (9, 9))
    assert found.then(unknown).class_probability is None
    with pytest.raises(ValueError, match="a probability of each of"):
        Detections(
            0,
            0.0,
            (9, 9),
            masks.boxes(),
            np.array([2, 3]),
            np.ones(2, np.float32),
            masks,
            class_probability=of_classes[:1],
        )
