"""Overlaps of boxes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from insitrack.io.boxes import box_iou, paired_box_iou

corners = arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(0, 20))
boxes = corners.map(
    lambda one: np.concatenate(
        [np.minimum(one[:, :2], one[:, 2:]), one.max(axis=1)[:, None].repeat(2, 1)], axis=1
    )
)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_between_0_and_1(first: np.ndarray, second: np.ndarray) -> None:
    iou = box_iou(first, second)
    assert iou.dtype == np.float64
    assert iou.shape == (len(first), len(second))
    assert ((iou >= 0) & (iou <= 1)).all()
    assert (iou == box_iou(second, first).T).all()


@given(boxes)
def test_a_box_is_itself_if_it_has_an_area_and_overlaps_nothing_if_it_has_none(some: np.ndarray) -> None:
    area = (some[:, 2:] - some[:, :2]).prod(axis=1)
    assert paired_box_iou(some, some).tolist() == (area > 0).astype(float).tolist()
    assert (np.diagonal(box_iou(some, some)) == paired_box_iou(some, some)).all()


def test_two_boxes_that_share_half_of_each_overlap_by_a_third() -> None:
    assert box_iou(np.array([[0, 0, 10, 10]]), np.array([[5, 0, 15, 10]])).item() == 50 / 150


def test_boxes_that_touch_do_not_overlap() -> None:
    assert box_iou(np.array([[0, 0, 10, 10]]), np.array([[10, 0, 20, 10]])).item() == 0
