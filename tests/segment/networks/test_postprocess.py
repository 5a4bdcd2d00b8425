import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insitrack.io.detections import Detections, Masks
from insitrack.segment.networks.postprocess import (
    best_candidates,
    class_probabilities,
    inside_field,
    masks_in_boxes,
    suppress_overlaps,
    suppress_pieces,
)


def test_masks_never_leave_their_boxes() -> None:
    prototypes = np.ones((1, 32, 48), np.float32)  # inside everywhere
    boxes = np.array([[3.2, 5.1, 20.7, 17.9], [100, 80, 400, 400]], np.float32)
    masks, kept = masks_in_boxes(boxes, np.ones((2, 1), np.float32), prototypes, (120, 180))
    assert kept.all()
    assert masks.boxes().tolist() == [[3, 5, 21, 18], [100, 80, 180, 120]]


def test_a_mask_follows_its_prototype_to_within_half_a_cell() -> None:
    rows, columns = np.mgrid[:64, :64]
    disc = 9.0 - np.hypot(columns + 0.5 - 30, rows + 0.5 - 20)  # radius 9 cells, so 36 px
    masks, _ = masks_in_boxes(
        np.array([[0, 0, 256, 256]], np.float32),
        np.ones((1, 1), np.float32),
        disc[None].astype(np.float32),
        (256, 256),
    )
    assert masks.area_px()[0] == pytest.approx(np.pi * 36**2, rel=0.01)
    centre = np.argwhere(masks.dense((256, 256))[0]).mean(axis=0) + 0.5
    assert centre == pytest.approx([80, 120], abs=0.2)


def test_only_the_largest_part_of_a_mask_is_kept() -> None:
    prototypes = np.full((1, 32, 32), -1.0, np.float32)
    prototypes[0, 5:15, 5:15] = 1
    prototypes[0, 25:28, 25:28] = 1
    masks, _ = masks_in_boxes(
        np.array([[0, 0, 128, 128]], np.float32), np.ones((1, 1), np.float32), prototypes, (128, 128)
    )
    assert masks.corners[0].max() < 64


def test_empty_masks_and_boxes_outside_the_frame_are_told() -> None:
    boxes = np.array([[4, 4, 12, 12], [300, 4, 320, 12]], np.float32)
    masks, kept = masks_in_boxes(
        boxes, -np.ones((2, 1), np.float32), np.ones((1, 32, 32), np.float32), (128, 128)
    )
    assert not kept.any()
    assert len(masks) == 0


def test_candidates_below_the_threshold_are_dropped_and_the_rest_come_strongest_first() -> None:
    output = np.zeros((4 + 2 + 1, 3), np.float32)
    output[:4] = np.array([[10, 20, 4, 6]] * 3).T
    output[4], output[5] = [0.1, 0.3, 0.0], [0.05, 0.1, 0.9]
    boxes, classes, scores, coefficients = best_candidates(output, 2, 0.25)
    assert boxes[0].tolist() == [8, 17, 12, 23]
    assert classes.argmax(axis=1).tolist() == [1, 0]
    # two classes in doubt, 0.3 and 0.1, together make 1 - 0.7 * 0.9
    assert scores.tolist() == pytest.approx([0.9, 0.37])
    assert coefficients.shape == (2, 1)


def test_raising_the_mask_threshold_makes_masks_smaller_and_never_larger() -> None:
    rows, columns = np.mgrid[:64, :64]
    slope = (9.0 - np.hypot(columns + 0.5 - 30, rows + 0.5 - 20)).astype(np.float32)[None]
    box, one = np.array([[0, 0, 256, 256]], np.float32), np.ones((1, 1), np.float32)
    areas = [
        masks_in_boxes(box, one, slope, (256, 256), least_logit=logit)[0].area_px()[0]
        for logit in (-1.0, 0.0, 1.0)
    ]
    assert areas == sorted(areas, reverse=True)
    assert areas[2] < 0.9 * areas[1]


def test_two_thousand_separate_boxes_all_survive() -> None:
    x, y = np.meshgrid(np.arange(50) * 20.0, np.arange(40) * 20.0)
    corners = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    boxes = np.concatenate([corners, corners + 10], axis=1)
    assert len(suppress_overlaps(np.repeat(boxes, 3, axis=0), np.full(6000, 0.5, np.float32), 0.5)) == 2000


def test_no_boxes_give_no_rows() -> None:
    assert len(suppress_overlaps(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5)) == 0


def test_detections_on_text_are_dropped_and_those_beside_it_stay() -> None:
    masks = Masks.from_crops([np.ones((10, 10), bool)] * 3, [(5, 5), (5, 26), (5, 50)])
    found = Detections(0, 0.0, (40, 80), masks.boxes(), np.ones(3, np.int64), np.ones(3, np.float32), masks)
    field = np.ones((40, 80), bool)
    field[:, 28:60] = False
    assert inside_field(found, field).boxes[:, 0].tolist() == [5]
    assert inside_field(found, None) is found


@given(st.integers(0, 10_000), st.integers(0, 60))
def test_no_box_that_is_kept_is_a_piece_of_another_and_each_dropped_one_is(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 60, (n, 2)), rng.uniform(3, 40, (n, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)

    def pieces(a: np.ndarray, b: np.ndarray) -> bool:
        shared = float(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod())
        areas = sorted((float((a[2:] - a[:2]).prod()), float((b[2:] - b[:2]).prod())))
        return shared > 0.7 * areas[0] and areas[0] > 0.3 * areas[1]

    kept = suppress_pieces(boxes).tolist()
    assert not any(pieces(boxes[i], boxes[j]) for i in kept for j in kept if i < j)
    assert all(any(pieces(boxes[i], boxes[j]) for i in kept if i < j) for j in range(n) if j not in kept)


def test_a_ring_is_measured_as_the_disc_inside_its_outline() -> None:
    rows, columns = np.mgrid[:48, :48]
    ring = 3.0 - np.abs(np.hypot(columns + 0.5 - 24, rows + 0.5 - 24) - 12)  # cells: radii 9 to 15
    masks, _ = masks_in_boxes(
        np.array([[24, 24, 168, 168]], np.float32),
        np.ones((1, 1), np.float32),
        ring[None].astype(np.float32),
        (192, 192),
    )
    assert masks.area_px()[0] == pytest.approx(np.pi * 60**2, rel=0.01)


def test_a_doubtful_class_follows_the_others_and_a_sure_one_does_not() -> None:
    scores = np.array([[0.8, 0.1, 0.1]] * 20 + [[0.38, 0.42, 0.1], [0.05, 0.9, 0.02]], np.float32).T
    found = class_probabilities(scores, np.full(22, 0.9, np.float32))
    assert found.argmax(axis=1).tolist() == [0] * 21 + [1]
    assert found.sum(axis=1) == pytest.approx(1.0)
    alone = class_probabilities(scores[:, 20:], np.full(2, 0.9, np.float32))
    assert alone.argmax(axis=1).tolist() == [1, 1]  # two are no sample
    assert class_probabilities(np.zeros((3, 0), np.float32), np.zeros(0, np.float32)).shape == (0, 3)
