"""Tracing of line dislocations: single lines, crossings, gaps, spurs and lengths."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.segment.lines.graph import pruned, skeleton_graph, thin
from insitrack.segment.lines.length import chain_length, length_from_counts
from insitrack.segment.lines.trace import LineSettings, line_length_px, line_masks, line_width_px, trace_lines


def drawn(
    *lines: list[tuple[float, float]], width: int = 4, shape: tuple[int, int] = (200, 240)
) -> np.ndarray:
    """Map of polylines given by their corners (x, y)."""
    out = np.zeros(shape, np.uint8)
    for points in lines:
        cv2.polylines(
            out, [np.round((np.array(points) - 0.5) * 16).astype(np.int32)], False, 1, width, cv2.LINE_8, 4
        )
    return out > 0


def arc(cx: float, cy: float, r: float, a0: float, a1: float) -> list[tuple[float, float]]:
    t = np.radians(np.linspace(a0, a1, 60))
    return [(float(x), float(y)) for x, y in zip(cx + r * np.cos(t), cy + r * np.sin(t), strict=True)]


def bar(length: float, width: float, angle: float) -> np.ndarray:
    """Flat-ended bar in a map of 260 x 260."""
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    across = np.array([-along[1], along[0]]) / length * width
    corners = np.array([130.3, 129.6]) + np.array(
        [-along - across, along - across, along + across, across - along]
    )
    out = np.zeros((260, 260), np.uint8)
    cv2.fillPoly(out, [np.round((corners - 0.5) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return out > 0


def test_worked_numbers_of_the_three_estimators() -> None:
    # physics reference U15: 10 straight and 5 diagonal steps, 4 corners
    values = [length_from_counts(10, 5, 4, method) for method in ("freeman", "kulpa", "vossepoel_smeulders")]
    assert values == pytest.approx([17.07, 16.18, 16.47], abs=0.005)


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(0, np.pi), width=st.floats(3, 8))
def test_a_straight_bar_is_as_long_as_it_is_in_every_direction(angle: float, width: float) -> None:
    assert line_length_px(bar(180, width, angle)) == pytest.approx(180, rel=0.04)


def test_freeman_is_too_long_and_vossepoel_smeulders_is_not() -> None:
    def bias(method: str) -> float:
        chains = [trace_lines(bar(200, 3, angle))[0] for angle in np.radians(np.arange(0, 46, 5))]
        ends = [np.hypot(*(chain[-1] - chain[0])) for chain in chains]
        return (
            float(
                np.mean([chain_length(chain, method) / end for chain, end in zip(chains, ends, strict=True)])
            )
            - 1
        )

    assert bias("freeman") == pytest.approx(0.055, abs=0.02)
    assert abs(bias("vossepoel_smeulders")) < 0.015
    assert abs(bias("kulpa")) < 0.02


@settings(max_examples=12, deadline=None)
@given(angle=st.floats(25, 155), width=st.integers(2, 6))
def test_two_lines_that_cross_stay_two_lines(angle: float, width: int) -> None:
    dx, dy = 85 * np.cos(np.radians(angle)), 85 * np.sin(np.radians(angle))
    lines = trace_lines(
        drawn([(20, 100), (220, 100)], [(120 - dx, 100 - dy), (120 + dx, 100 + dy)], width=width)
    )
    assert len(lines) == 2
    assert sorted(round(chain_length(line)) for line in lines) == pytest.approx([170, 200], rel=0.06)


def test_curvature_decides_where_direction_alone_would_not() -> None:
    # two arcs bowed towards each other touch: they must not swap their halves
    lines = trace_lines(drawn(arc(120, -62, 160, 50, 130), arc(120, 258, 160, 230, 310), width=3))
    assert len(lines) == 2
    for line in lines:
        middle, ends = line[len(line) // 2], (line[0], line[-1])
        assert np.sign(middle[0] - ends[0][0]) == np.sign(middle[0] - ends[1][0])


def test_a_line_that_ends_on_another_leaves_it_whole() -> None:
    lines = trace_lines(drawn([(20, 60), (220, 60)], [(120, 62), (120, 160)]))
    assert [round(chain_length(line)) for line in lines] == pytest.approx([198, 96], abs=8)


def test_five_lines_of_a_pile_up_crossed_by_one_are_six() -> None:
    rungs = [[(30.0 + 25 * i, 20.0), (40.0 + 25 * i, 180.0)] for i in range(5)]
    assert len(trace_lines(drawn(*rungs, [(10, 110), (230, 90)], width=3))) == 6


def test_a_gap_is_bridged_straight_ahead_and_not_round_a_corner() -> None:
    assert len(trace_lines(drawn([(20, 50), (100, 50)], [(108, 51), (200, 52)]))) == 1
    assert len(trace_lines(drawn([(20, 50), (100, 50)], [(106, 58), (106, 150)]))) == 2
    assert len(trace_lines(drawn([(20, 50), (90, 50)], [(130, 50), (200, 50)]))) == 2


def test_bumps_of_the_outline_are_no_lines() -> None:
    mask = drawn([(20, 50), (220, 50)], width=6)
    mask[42:47, 100:102] = mask[54:58, 150:152] = True
    lines = trace_lines(mask)
    assert len(lines) == 1
    assert chain_length(lines[0]) == pytest.approx(200, abs=8)


def test_a_closed_curve_is_one_line_with_its_whole_circumference() -> None:
    lines = trace_lines(drawn(arc(100, 100, 50, 0, 360), width=3))
    assert len(lines) == 1
    assert chain_length(lines[0]) == pytest.approx(2 * np.pi * 50, rel=0.03)


@pytest.mark.parametrize(
    "mask", [np.zeros((40, 50), bool), np.eye(1, dtype=bool), np.ones((1, 30), bool), np.ones((3, 3), bool)]
)
def test_maps_with_next_to_nothing_in_them_are_taken(mask: np.ndarray) -> None:
    assert len(trace_lines(mask, LineSettings(least_length_px=0.0))) <= 1
    assert 0 <= line_length_px(mask) <= 31


def test_an_empty_map_has_no_width_and_no_masks() -> None:
    nothing = np.zeros((20, 30), bool)
    assert (line_width_px(nothing), line_length_px(nothing), len(line_masks([], nothing))) == (0.0, 0.0, 0)


def test_masks_share_out_the_map_and_both_have_the_crossing() -> None:
    mask = drawn([(20, 100), (220, 100)], [(120, 20), (120, 180)], width=6)
    lines = trace_lines(mask)
    masks = line_masks(lines, mask).dense(mask.shape)
    assert (masks.any(axis=0) == mask).mean() > 0.999
    assert (masks.sum(axis=0) <= 1)[:90].all()
    assert masks[:, 98:103, 118:123].all()
    assert [line_length_px(part) for part in masks] == pytest.approx([200, 160], rel=0.04)


def test_pruning_keeps_the_line_and_the_graph_names_its_ends() -> None:
    skeleton = thin(drawn([(20, 60), (220, 60)], [(120, 60), (120, 66)], width=3))
    arms, _ = skeleton_graph(pruned(skeleton, 10.0))
    assert len(arms) == 1
    assert arms[0].nodes == [-1, -1]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6])
def test_a_round_speck_has_a_length_about_its_diameter(side: int) -> None:
    speck = np.zeros((side + 2, side + 2), bool)
    speck[1:-1, 1:-1] = True
    if side > 3:
        speck[[1, 1, side, side], [1, side, 1, side]] = False
    assert 0.5 * side <= line_length_px(speck) <= 1.6 * side + 1
