"""Run lengths are those of pycocotools, and give back every pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from insitrack.io.detections import Masks
from insitrack.io.tables.outlines.rle import decode, encode

CROPS = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def joined(crops: list[np.ndarray]) -> Masks:
    return Masks.from_crops(crops, [(i, 2 * i) for i in range(len(crops))])


@given(st.lists(CROPS, max_size=6))
def test_every_mask_comes_back_pixel_by_pixel(crops: list[np.ndarray]) -> None:
    masks = joined(crops)
    back = decode(encode(masks), masks.corners, masks.sizes)
    assert back.pixels.tolist() == masks.pixels.tolist()
    assert back.corners.tolist() == masks.corners.tolist()


@pytest.mark.truth
def test_the_letters_are_those_of_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    draw = np.random.default_rng(3)
    crops = [
        draw.random((int(draw.integers(1, 50)), int(draw.integers(1, 50)))) < draw.random()
        for _ in range(200)
    ]
    crops += [
        np.zeros((3, 4), bool),
        np.ones((3, 4), bool),
        np.ones((900, 1100), bool),
        np.eye(300, dtype=bool),
    ]
    for line, crop in zip(encode(joined(crops)), crops, strict=True):
        assert line == coco.encode(np.asfortranarray(crop.astype(np.uint8)))["counts"].decode()


def test_a_full_row_of_two_columns_by_hand() -> None:
    # runs 0 and 6: the letters of COCO for 0 and 6 are "0" and "6"
    assert encode(joined([np.ones((2, 3), bool)])) == ["06"]
    assert encode(Masks.empty()) == []


@pytest.mark.parametrize("line", ["07", "", "0", "not ours!", "0é", "0g", "3100"])
def test_lines_that_do_not_fill_their_box_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        decode([line], np.zeros((1, 2), np.int32), np.array([[2, 3]], np.int32))


@pytest.mark.parametrize("size", [(1 << 30, 1 << 20), (-2, -3), (-1, 6)])
def test_a_size_that_no_frame_has_takes_no_memory(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected those of one frame"):
        decode(["06"], np.zeros((1, 2), np.int32), np.array([size], np.int32))
