"""Gates and the cheapest way to pair rows with columns, on arrays alone.

Pairs are kept sparse. A frame with 10,000 defects has 100 million pairs and some 20,000 that lie within a
gate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from insitrack.io.arrays import Floats, Ints

_BLOCK_ROWS = 256
"""Rows solved at a time: the sparse solver's time grows with the square of the rows, its overhead with the
number of calls."""


class Pairs(NamedTuple):
    """Candidate pairs, sorted by row, then column.

    Parameters
    ----------
    rows, cols : ndarray of int64, shape (P,)
        Places in the first and in the second list.
    distance : ndarray of float64, shape (P,)
        Distance between the two points, in the unit of the points.
    """

    rows: Ints
    cols: Ints
    distance: Floats


def gated_pairs(points: Floats, gates: Floats, others: Floats) -> Pairs:
    """Every pair of a point and another point that lies within the first one's own gate.

    Parameters
    ----------
    points : ndarray of float64, shape (N, 2)
        First points; finite.
    gates : ndarray of float64, shape (N,)
        Radius about each first point, in the same unit; positive.
    others : ndarray of float64, shape (M, 2)
        Second points; finite.

    Returns
    -------
    Pairs
        Pairs with a distance of at most the gate.

    Examples
    --------
    >>> pairs = gated_pairs(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([2.0, 2.0]), np.array([[1.0, 0.0]]))
    >>> pairs.rows.tolist(), pairs.cols.tolist(), pairs.distance.tolist()
    ([0], [0], [1.0])
    """
    rows, cols, distances = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    if len(points) and len(others):
        tree = cKDTree(others)
        # One search per range of gates: a single search with the widest gate would pair every dot with all
        # dots around it.
        ranges = np.floor(np.log2(gates / gates.min()) / 2).astype(np.int64)
        for one in np.flatnonzero(np.bincount(ranges)):
            group = np.flatnonzero(ranges == one)
            found = cKDTree(points[group]).sparse_distance_matrix(
                tree, float(gates[group].max()), output_type="ndarray"
            )
            inside = found["v"] <= gates[group[found["i"]]]
            rows.append(group[found["i"][inside]])
            cols.append(found["j"][inside].astype(np.int64))
            distances.append(found["v"][inside])
    row, col, distance = np.concatenate(rows), np.concatenate(cols), np.concatenate(distances)
    order = np.lexsort((col, row))
    return Pairs(row[order], col[order], distance[order])


def assign(rows: Ints, cols: Ints, cost: Floats, miss_cost: float) -> tuple[Ints, Ints]:
    """Choose pairs, each row and column at most once.

    The sum of the costs and of `miss_cost` for every unpaired row is as small as possible.

    The pairs fall into connected components that can be solved one by one. A component of one pair needs no
    solving; the others are solved exactly with sparse shortest augmenting paths, each row having a column of
    its own to stay unpaired in.

    Parameters
    ----------
    rows, cols : ndarray of int64, shape (P,)
        Candidate pairs, none twice.
    cost : ndarray of float64, shape (P,)
        Cost of each pair, not negative.
    miss_cost : float
        Cost of leaving a row unpaired; pairs that cost as much or more are never chosen.

    Returns
    -------
    rows, cols : ndarray of int64, shape (Q,)
        The chosen pairs, sorted by row.

    References
    ----------
    Jonker, Volgenant, Computing 38 (1987) 325, doi 10.1007/BF02278710.

    Examples
    --------
    >>> rows, cols = np.array([0, 0, 1]), np.array([0, 1, 0])
    >>> [chosen.tolist() for chosen in assign(rows, cols, np.array([0.1, 0.3, 0.2]), miss_cost=1.0)]
    [[0, 1], [1, 0]]
    """
    keep = cost < miss_cost
    rows, cols, cost = rows[keep], cols[keep], cost[keep]
    if not len(rows):
        return rows, cols
    n_rows, n_cols = int(rows.max()) + 1, int(cols.max()) + 1
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(cols)[cols] == 1)
    chosen_rows, chosen_cols = [rows[alone]], [cols[alone]]
    rows, cols, cost = rows[~alone], cols[~alone], cost[~alone]
    for block in _blocks(rows, cols, n_rows, n_cols):
        picked = block[_solve(rows[block], cols[block], cost[block], miss_cost)]
        chosen_rows.append(rows[picked])
        chosen_cols.append(cols[picked])
    row, col = np.concatenate(chosen_rows), np.concatenate(chosen_cols)
    order = np.argsort(row, kind="stable")
    return row[order], col[order]


def _blocks(rows: Ints, cols: Ints, n_rows: int, n_cols: int) -> list[Ints]:
    """Split pairs into groups of whole connected components, each group with about `_BLOCK_ROWS` rows."""
    if len(rows) <= _BLOCK_ROWS:
        return [np.arange(len(rows))] if len(rows) else []
    n = n_rows + n_cols
    graph = csr_array((np.ones(len(rows), np.int8), (rows, n_rows + cols)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    of_pair = component[rows]
    rows_in = np.bincount(component[np.unique(rows)])
    block_of_component = np.cumsum(rows_in) // _BLOCK_ROWS
    block = block_of_component[of_pair]
    order = np.argsort(block, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(block[order])) + 1)


def _solve(rows: Ints, cols: Ints, cost: Floats, miss_cost: float) -> Ints:
    """Places of the chosen pairs in one group."""
    row_names, row = np.unique(rows, return_inverse=True)
    col_names, col = np.unique(cols, return_inverse=True)
    n_rows, n_cols = len(row_names), len(col_names)
    own = np.arange(n_rows)
    # A stored zero would count as no edge, so every weight is raised by one; the optimum is the same, for
    # each row gets one edge.
    weight = 1.0 + np.concatenate([cost, np.full(n_rows, miss_cost)])
    edges = (np.concatenate([row, own]), np.concatenate([col, n_cols + own]))
    graph = csr_array((weight, edges), shape=(n_rows, n_cols + n_rows))
    match_row, match_col = min_weight_full_bipartite_matching(graph)
    column_of = np.full(n_rows, -1)
    column_of[match_row] = match_col
    return np.flatnonzero(column_of[row] == col)
