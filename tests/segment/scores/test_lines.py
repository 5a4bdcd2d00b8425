"""Scores of line dislocations: perfect is perfect, and each fault shows in its own figure."""

import numpy as np
import pytest

from insitrack.io.detections import Detections, Masks
from insitrack.segment.scores.lines import NOTHING, LineScore, line_score, pixel_table


def line(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    n = max(2, round(np.hypot(x1 - x0, y1 - y0)) + 1)
    return np.stack([np.linspace(x0, x1, n), np.linspace(y0, y1, n)], axis=1)


def scored(found: list[np.ndarray], true: list[np.ndarray]) -> LineScore:
    return line_score(
        found, true, found_lengths=[float(np.linalg.norm(np.diff(f, axis=0), axis=1).sum()) for f in found]
    )


CROSS = [line(0, 50, 100, 50), line(50, 0, 50, 100)]


def test_the_truth_itself_is_perfect() -> None:
    score = scored(CROSS, CROSS)
    assert (
        score.completeness,
        score.correctness,
        score.quality,
        score.recovered,
        score.crossing_recovered,
    ) == pytest.approx((1,) * 5)
    assert score.length_error == pytest.approx(0)
    assert score.n_crossing == 2


def test_a_missing_line_costs_completeness_and_an_invented_one_correctness() -> None:
    missed, invented = scored(CROSS[:1], CROSS), scored([*CROSS, line(10, 90, 40, 90)], CROSS)
    assert (missed.completeness, missed.correctness) == pytest.approx((0.5, 1), abs=0.04)
    assert missed.length_error == pytest.approx(-0.5)
    assert (invented.completeness, invented.correctness) == pytest.approx((1, 200 / 230))
    assert invented.length_error == pytest.approx(0.15)


def test_lines_that_swap_their_halves_at_a_crossing_are_complete_but_not_recovered() -> None:
    elbows = [
        np.concatenate([line(0, 50, 50, 50), line(50, 50, 50, 100)]),
        np.concatenate([line(50, 0, 50, 50), line(50, 50, 100, 50)]),
    ]
    score = scored(elbows, CROSS)
    assert score.completeness == pytest.approx(1)
    assert (score.n_recovered, score.crossing_recovered) == (0, 0.0)


def test_a_line_in_two_pieces_is_complete_but_not_recovered() -> None:
    score = scored([line(0, 50, 52, 50), line(54, 50, 100, 50)], CROSS[:1])
    assert score.completeness == pytest.approx(1)
    assert score.n_recovered == 0


def test_a_shift_beyond_the_tolerance_is_no_match() -> None:
    assert scored([line(0, 52, 100, 52)], CROSS[:1]).completeness == 1
    assert scored([line(0, 54, 100, 54)], CROSS[:1]).completeness == 0


def test_a_touch_at_the_end_is_no_crossing() -> None:
    assert scored([], [line(0, 50, 100, 50), line(100, 0, 100, 49)]).n_crossing == 0
    assert scored([], [line(0, 50, 100, 50), line(80, 0, 80, 50)]).n_crossing == 1


def test_scores_of_pictures_add_up() -> None:
    total = NOTHING + scored(CROSS, CROSS) + scored([], CROSS)
    assert (total.completeness, total.recovered, total.n_true) == (0.5, 0.5, 4)
    assert np.isnan(NOTHING.completeness)
    assert np.isnan(scored([], []).quality)


def detections(**masks: np.ndarray) -> Detections:
    names = ("dislocation", "void")
    crops = Masks.from_dense(
        np.array([masks[name] for name in names if name in masks], bool).reshape(-1, 10, 20)
    )
    labels = np.array([i for i, name in enumerate(names, 1) if name in masks], np.int64)
    return Detections(0, 0.0, (10, 20), crops.boxes(), labels, np.ones(len(labels), np.float32), crops, names)


def test_the_pixel_table_pools_pixels_and_averages_classes() -> None:
    half, all_of_it = np.zeros((10, 20), bool), np.ones((10, 20), bool)
    half[:, :10] = True
    true, found = detections(dislocation=half, void=half), detections(dislocation=all_of_it, void=half)
    table = pixel_table([(found, true)], ("dislocation", "void"))
    assert list(table["dislocation"].values()) == [0.5, 0.5, 1.0, 0.5]
    assert list(table["overall"].values()) == [0.75, 0.75, 1.0, 0.75]
    # two images: pixels are pooled, not their scores
    pooled = pixel_table([(found, true), (detections(), detections())], ("dislocation", "void"))
    assert pooled["dislocation"]["pixel_accuracy"] == 0.75
    assert pooled["dislocation"]["pixel_iu"] == 0.5
