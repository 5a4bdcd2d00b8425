import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.frames import Calibration
from insitrack.tracker.measure.measure import MeasureConfig, measure
from insitrack.tracker.measure.shape import hull_shape as shape_of_runs
from insitrack.tracker.measure.shape import runs_of


def hull_shape(masks):
    return shape_of_runs(runs_of(masks), len(masks))


def ellipses(major: float, minor: float, n: int = 250) -> Masks:
    """Draw the same ellipse at many places and angles."""
    rng = np.random.default_rng(1)
    side = int(major) + 6
    y, x = np.mgrid[:side, :side] + 0.5
    masks = []
    for _ in range(n):
        cx, cy = side / 2 + rng.uniform(-0.5, 0.5, 2)
        cos, sin = np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)
        u, v = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
        masks.append((2 * u / major) ** 2 + (2 * v / minor) ** 2 <= 1)
    return Masks.from_dense(np.array(masks))


@pytest.mark.parametrize(
    ("major", "minor", "loop_px", "dot_px", "roundness"),
    # means over random placements, computed independently from the published definition
    [
        (6, 6, 6.00, 5.46, 1.043),
        (10, 10, 11.11, 9.37, 1.023),
        (40, 40, 42.94, 39.58, 1.005),
        (40, 23.1, 41.39, 30.15, 1.064),
        (40, 8, 40.98, 18.90, 1.522),
    ],
)
def test_sizes_and_roundness_are_those_of_the_published_definition(
    major: float, minor: float, loop_px: float, dot_px: float, roundness: float
) -> None:
    masks = ellipses(major, minor)
    r_min, r_max, _ = hull_shape(masks)
    assert (2 * r_max).mean() == pytest.approx(loop_px, rel=0.015)
    assert (2 * np.sqrt(r_min * r_max)).mean() == pytest.approx(dot_px, rel=0.02)
    assert hull_shape(masks)[2].mean() == pytest.approx(roundness, rel=0.01)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), turns=st.integers(0, 3), shift=st.integers(-5, 50))
def test_turning_and_moving_changes_neither(seed: int, turns: int, shift: int) -> None:
    mask = np.random.default_rng(seed).random((9, 7)) < 0.6
    mask[4, 3] = True
    one = Masks.from_crops([mask], [(0, 0)])
    other = Masks.from_crops([np.rot90(mask, turns).copy()], [(shift, -shift)])
    assert hull_shape(one)[2] == pytest.approx(hull_shape(other)[2], nan_ok=True)
    assert hull_shape(one)[2][0] >= 1 - 1e-9 or np.isnan(hull_shape(one)[2][0])
    for a, b in zip(hull_shape(one)[:2], hull_shape(other)[:2], strict=True):
        assert a == pytest.approx(b)


def test_the_definition_depends_on_the_class_and_a_ring_is_as_large_as_a_disc() -> None:
    y, x = np.mgrid[:30, :30] - 14.5
    disc = (x**2 + (1.5 * y) ** 2) <= 144
    ring = disc & ~((x**2 + (1.5 * y) ** 2) <= 64)
    masks = Masks.from_dense(np.array([disc, ring, disc]))
    labels = np.array([DEFECT_CLASSES.index(name) + 1 for name in ("loop_111", "loop_111", "black_dot")])
    found = Detections(0, 0.0, (30, 30), masks.boxes(), labels, np.ones(3, np.float32), masks, DEFECT_CLASSES)
    config = MeasureConfig(size_definition={"loop_111": "jacobs", "black_dot": "jacobs"})
    loop, open_loop, dot = measure(found, Calibration(nm_per_px=0.5), config).size_nm
    r_min, r_max, _ = hull_shape(masks)
    assert loop == open_loop == pytest.approx(r_max[0])  # 2 r_max px of 0.5 nm
    assert dot == pytest.approx(np.sqrt(r_min[0] * r_max[0]))


def test_masks_without_extent_have_no_roundness() -> None:
    masks = Masks.from_crops(
        [np.zeros((2, 2), bool), np.ones((1, 1), bool), np.ones((1, 5), bool)], [(0, 0)] * 3
    )
    assert np.isnan(hull_shape(masks)[2]).all()
    assert np.isnan(hull_shape(masks)[0]).tolist() == [True, False, False]
    assert hull_shape(masks)[1][1:].tolist() == [0, 2]
    assert len(hull_shape(Masks.empty())[2]) == 0
