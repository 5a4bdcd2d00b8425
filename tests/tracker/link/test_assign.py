"""Gates and assignment, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from insitrack.tracker.link import assign as module
from insitrack.tracker.link.assign import assign, gated_pairs

MISS = 1.0


def dense_optimum(cost: NDArray[np.float64]) -> float:
    """Least total cost when each row may also stay alone, by a dense solver with one extra column per row."""
    n = len(cost)
    rows, cols = linear_sum_assignment(np.hstack([cost, np.full((n, n), MISS)]))
    return float(np.hstack([cost, np.full((n, n), MISS)])[rows, cols].sum())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), m=st.integers(1, 9), density=st.floats(0.1, 1.0))
def test_the_chosen_pairs_cost_as_little_as_a_dense_solver_finds(
    seed: int, n: int, m: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    cost = np.where(rng.random((n, m)) < density, rng.random((n, m)) * 1.5, 9.0)
    rows, cols = np.nonzero(cost < 9.0)
    chosen, taken = assign(rows, cols, cost[rows, cols], MISS)
    assert len(set(chosen.tolist())) == len(chosen)
    assert len(set(taken.tolist())) == len(taken)
    assert cost[chosen, taken].sum() + MISS * (n - len(chosen)) == pytest.approx(dense_optimum(cost))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 30), m=st.integers(0, 30))
def test_pairs_are_exactly_those_within_the_gate_of_the_first(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, gates = rng.random((n, 2)) * 100, rng.random((m, 2)) * 100, rng.uniform(0.5, 60, n)
    distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    expected = np.nonzero(distance <= gates[:, None])
    pairs = gated_pairs(a, gates, b)
    np.testing.assert_array_equal(pairs.rows, expected[0])
    np.testing.assert_array_equal(pairs.cols, expected[1])
    np.testing.assert_allclose(pairs.distance, distance[expected])


def test_two_that_compete_for_one_are_paired_so_that_both_find_one() -> None:
    """Row 0 prefers column 0, but row 1 has nothing else: 0.3 + 0.2 beats 0.1 + 1."""
    rows, cols = assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.1, 0.3, 0.2]), MISS)
    assert (rows.tolist(), cols.tolist()) == ([0, 1], [1, 0])


def test_pairs_that_cost_as_much_as_a_miss_are_not_chosen() -> None:
    rows, _ = assign(np.array([0, 1]), np.array([0, 1]), np.array([1.0, 2.0]), MISS)
    assert len(rows) == 0


def test_pairs_without_any_cost_are_chosen() -> None:
    rows, cols = assign(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0.0, 0.5, 0.5, 0.0]), MISS)
    assert (rows.tolist(), cols.tolist()) == ([0, 1], [0, 1])


@pytest.mark.parametrize("limits", [{"_FEW_ROWS": 0, "_BLOCK_ROWS": 3}, {"_MOST_DENSE_ROWS": 0}])
def test_how_competing_rows_are_split_and_solved_does_not_change_the_answer(
    limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((300, 2)) * 200, rng.random((300, 2)) * 200
    pairs = gated_pairs(a, np.full(300, 15.0), b)
    cost = pairs.distance / 15
    whole = assign(pairs.rows, pairs.cols, cost, MISS)
    for name, value in limits.items():
        monkeypatch.setattr(module, name, value)
    other_way = assign(pairs.rows, pairs.cols, cost, MISS)
    np.testing.assert_array_equal(np.array(whole), np.array(other_way))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), m=st.integers(1, 12))
def test_rows_that_cost_the_same_are_paired_as_cheaply_as_a_dense_solver_finds(
    seed: int, n: int, m: int
) -> None:
    cost = np.random.default_rng(seed).integers(0, 4, (n, m)) * 0.3
    rows, cols = np.nonzero(cost < MISS)
    order = np.random.default_rng(seed).permutation(len(rows))  # pairs may come in any order
    chosen, taken = assign(rows[order], cols[order], cost[rows, cols][order], MISS)
    assert len(set(taken.tolist())) == len(set(chosen.tolist())) == len(taken)
    assert cost[chosen, taken].sum() + MISS * (n - len(chosen)) == pytest.approx(dense_optimum(cost))


def test_points_on_a_line_or_in_one_place_are_all_found() -> None:
    a = np.array([[5.0, 0.0], [5.0, 1e6]])
    pairs = gated_pairs(a, np.array([0.1, 2e6]), np.array([[5.0, 0.0]] * 3))
    assert pairs.rows.tolist() == [0, 0, 0, 1, 1, 1]


def test_nothing_to_pair_gives_no_pairs() -> None:
    none = np.zeros(0, np.int64)
    assert [len(part) for part in assign(none, none, np.zeros(0), MISS)] == [0, 0]
    assert len(gated_pairs(np.zeros((0, 2)), np.zeros(0), np.ones((3, 2))).rows) == 0
    assert len(gated_pairs(np.ones((3, 2)), np.ones(3), np.zeros((0, 2))).rows) == 0
