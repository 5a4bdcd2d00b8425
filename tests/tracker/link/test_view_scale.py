"""Whether another view is another magnification: told by the drift, by the sizes of defects, or not at all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.io.frames import Calibration
from insitrack.tracker.link.view_scale import ViewScale


def frame(index: int, n: int, size: int, score: float = 0.9) -> Detections:
    sides = size + np.arange(n) % 3
    masks = Masks.from_crops([np.ones((s, s), bool) for s in sides], [(5, 5 + 40 * i) for i in range(n)])
    labels, scores = np.ones(n, np.int64), np.full(n, score, np.float32)
    return Detections(index, float(index), (64, 1024), masks.boxes(), labels, scores, masks)


def entered(magnified: float | None, later: Detections, given: tuple[float, ...] = ()) -> ViewScale:
    scale = ViewScale(Calibration(nm_per_px=0.5, nm_per_px_sd=0.01), given)
    assert not scale.enter(0, None, frame(0, 12, 10))
    assert scale.enter(1, magnified, later)
    return scale


@pytest.mark.parametrize(
    ("magnified", "size", "known"),
    [(None, 10, True), (1.02, 10, True), (2.0, 20, False), (2.0, 10, False), (None, 25, False)],
)
def test_the_scale_is_kept_only_where_the_magnification_is_the_same(magnified, size, known):
    scale = entered(magnified, frame(1, 12, size))
    assert math.isfinite(scale.nm_per_px) == known
    assert len(scale.told) == 1


def test_weak_finds_say_nothing_of_the_size():
    assert "too few defects" in entered(None, frame(1, 12, 25, score=0.1)).told[0]


def test_a_given_scale_goes_before_all_else_and_keeps_its_relative_error():
    scale = entered(2.0, frame(1, 12, 20), (0.25,))
    assert scale.calibration.nm_per_px == 0.25
    assert scale.calibration.nm_per_px_sd == pytest.approx(0.005)


def test_an_unknown_scale_stays_unknown_after_a_jump():
    scale = entered(2.0, frame(1, 12, 20))
    scale.enter(2, None, frame(2, 12, 20))
    assert math.isnan(scale.nm_per_px)


def test_many_views_give_few_lines():
    scale = entered(None, frame(1, 12, 10))
    for view in range(2, 12):
        scale.enter(view, None, frame(view, 12, 10))
    assert len(scale.warnings) == 6
    assert "6 more views" in scale.warnings[-1]


def test_it_goes_on_from_where_another_one_was():
    one = entered(2.0, frame(1, 12, 20))
    other = ViewScale(Calibration(nm_per_px=0.5))
    other.restore(one.snapshot())
    assert (other.view, other.told) == (1, one.told)
    assert math.isnan(other.nm_per_px)
    assert not other.enter(1, 2.0, frame(2, 12, 20))
