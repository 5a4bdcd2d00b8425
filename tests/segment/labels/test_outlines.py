"""Outlines are filled to the nearest pixel, wherever they lie."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.segment.labels.fill import filled
from insitrack.segment.labels.outlines import Drawn, fill_outline


@settings(max_examples=20, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-20, 120), st.floats(-20, 80)), min_size=3, max_size=9),
    shift=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
)
def test_a_filled_outline_lies_inside_its_box_and_moves_with_it(
    points: list[tuple[float, float]], shift: tuple[int, int]
) -> None:
    large = (400, 500)
    outline = np.array(points) + 150
    cut = fill_outline(outline, large)
    assert cut is not None
    crop, (y, x) = cut
    assert outline[:, 0].min() < x + crop.shape[1]
    assert x + 1 > outline[:, 0].min() - 1
    moved = fill_outline(outline + shift, large)
    assert moved is not None
    assert moved[1] == (y + shift[1], x + shift[0])
    np.testing.assert_array_equal(moved[0], crop)


def test_an_outline_thinner_than_half_a_pixel_is_not_lost() -> None:
    cut = fill_outline([[5.0, 5.3], [25.0, 5.3], [25.0, 5.6], [5.0, 5.6]], (20, 40))
    assert cut is not None
    assert cut[0].sum() == 20
    assert fill_outline([[50.0, 5.0], [60.0, 5.0], [60.0, 9.0]], (20, 40)) is None


def test_parts_are_one_defect_and_what_lies_outside_is_cut() -> None:
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    truth, outlined = filled(
        [Drawn("void", (square - 2, square + 10)), Drawn("void", (square + 300,))], (20, 30)
    )
    assert truth.masks.area_px().tolist() == [4 + 16]
    assert outlined.tolist() == [True]
