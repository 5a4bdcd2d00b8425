"""Labels and detections side by side, in the colours of their classes."""

import numpy as np
import pytest

from insitrack.io.draw.palette import CLASS_COLOURS
from insitrack.io.draw.side_by_side import side_by_side
from insitrack.tests.support.squares import SHAPE, scene

GREY = np.tile(np.arange(SHAPE[1], dtype=np.uint16) * 100, (SHAPE[0], 1))


def test_each_side_shows_its_own_defects_in_the_colour_of_their_class() -> None:
    left, right = scene([(10, 10, 8, "void")]), scene([(60, 100, 8, "loop_111")])
    painted = side_by_side(GREY, left, right)
    assert painted.shape == (SHAPE[0], 2 * SHAPE[1], 3)
    assert tuple(painted[10, 12]) == CLASS_COLOURS["void"]
    assert tuple(painted[60, SHAPE[1] + 103]) == CLASS_COLOURS["loop_111"]
    bare = side_by_side(GREY, scene([]), scene([]))
    assert np.count_nonzero((painted != bare).any(axis=2)) == 2 * 64


@pytest.mark.parametrize("corner", [(-4, -4), (96, 195), (-30, 5)])
def test_what_leaves_the_picture_is_cut(corner: tuple[int, int]) -> None:
    outside = scene([(*corner, 10, "void")])
    assert side_by_side(GREY, outside, outside).shape == (SHAPE[0], 2 * SHAPE[1], 3)


def test_a_constant_picture_is_no_error() -> None:
    assert side_by_side(np.full(SHAPE, 7, np.uint8), scene([]), scene([])).max() == 0
