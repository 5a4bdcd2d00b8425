"""Gates and the cheapest way to pair rows with columns, on arrays alone.

Pairs are kept sparse. A frame with 10,000 defects has 100 million pairs and some 20,000 that lie within a
gate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from insitrack.io.arrays import Bools, Floats, Ints

_BLOCK_ROWS = 64
"""Rows solved at a time: time grows with more than the square of the rows, overhead with the number of calls."""
_FEW_ROWS = 160
"""So many rows are solved in less time than they are split."""
_MOST_DENSE_ROWS = 256
"""A component with more rows is solved by a sparse solver."""
_TIE = 1e-9
"""Costs that differ by less are taken for equal: the solver decides then."""
_SLACK, _LEAST_CELL = 1e-9, 1e-300
"""Of the side of a cell: more than rounding does, so that no pair is lost; what lies beyond a gate is dropped after."""


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
    if not len(points) or not len(others):
        none = np.zeros(0, np.int64)
        return Pairs(none, none, np.zeros(0))
    row, col = _candidates(points, gates, others)
    dx, dy = points[row, 0] - others[col, 0], points[row, 1] - others[col, 1]
    distance = np.sqrt(dx * dx + dy * dy)
    inside = distance <= gates[row]
    row, col, distance = row[inside], col[inside], distance[inside]
    order = np.argsort(row * len(others) + col)
    return Pairs(row[order], col[order], distance[order])


def _candidates(points: Floats, gates: Floats, others: Floats) -> tuple[Ints, Ints]:
    """Places of all pairs within the gates, and of some beyond.

    The other points are sorted into cells, strip by strip, so that what lies about a point is one stretch of each
    strip that its gate touches.
    """
    low, n = others.min(axis=0), len(others)
    far_x, far_y = (others.max(axis=0) - low).tolist()
    height = max(float(gates.mean()), math.sqrt(far_x * far_y / n), far_y / n, _LEAST_CELL)
    width = max(height / 2, far_x / n)
    n_x, n_y = int(far_x / width) + 1, int(far_y / height) + 1
    cell = ((others[:, 1] - low[1]) / height).astype(np.int64) * n_x
    cell += ((others[:, 0] - low[0]) / width).astype(np.int64)
    order = np.argsort(cell, kind="stable")
    begins = np.zeros(n_x * n_y + 1, np.int64)
    np.cumsum(np.bincount(cell, minlength=n_x * n_y), out=begins[1:])

    def cells(place: Floats, side: float, most: int) -> tuple[Ints, Ints]:
        """First and last cell that the gate of each point touches, along one side."""
        reach = gates + _SLACK * side
        ends = ((place - reach) / side, (place + reach) / side)
        first, last = (np.minimum(np.maximum(end, 0), most - 1).astype(np.int64) for end in ends)
        return first, last

    left, right = cells(points[:, 0] - low[0], width, n_x)
    top, bottom = cells(points[:, 1] - low[1], height, n_y)
    point, strip = _counted_out(bottom - top + 1)
    strip += top[point]
    strip *= n_x
    start = begins[strip + left[point]]
    stretch, place = _counted_out(begins[strip + right[point] + 1] - start)
    return point[stretch], order[start[stretch] + place]


def _counted_out(counts: Ints) -> tuple[Ints, Ints]:
    """Which of some groups each member belongs to, and its number in it, for groups of so many members."""
    group = np.repeat(np.arange(len(counts)), counts)
    return group, np.arange(len(group)) - (np.cumsum(counts) - counts)[group]


def assign(rows: Ints, cols: Ints, cost: Floats, miss_cost: float) -> tuple[Ints, Ints]:
    """Choose pairs, each row and column at most once.

    The sum of the costs and of `miss_cost` for every unpaired row is as small as possible.

    First every row asks for its cheapest column. Where several ask for one, the row gets it that would lose most,
    and the others ask for their next. Where no two rows then have one column that is the optimum: a row either
    has its cheapest column, one row a column, or pays at least its next. Components of connected pairs in which
    rows still compete, or costs tie, are solved exactly with shortest augmenting paths, each row having a
    column of its own to stay unpaired in.

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
    Jonker, Volgenant, Computing 38 (1987) 325, doi 10.1007/BF02278710. Crouse, IEEE Trans. Aerosp. Electron. Syst.
    52 (2016) 1679, doi 10.1109/TAES.2016.140952.

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
    if (rows[1:] < rows[:-1]).any():
        order = np.lexsort((cols, rows))
        rows, cols, cost = rows[order], cols[order], cost[order]
    begins, row = _grouped(rows)
    picked, undecided = _asked(row, begins, cols, cost, miss_cost)
    competing = _connected(row, cols, undecided)[row]
    chosen = picked[~competing[picked]]
    left = np.flatnonzero(competing)
    for block in _blocks(rows[left], cols[left]):
        part = left[block]
        chosen = np.concatenate([chosen, part[_solve(rows[part], cols[part], cost[part], miss_cost)]])
    chosen = np.sort(chosen)
    return rows[chosen], cols[chosen]


def _asked(row: Ints, begins: Ints, cols: Ints, cost: Floats, miss_cost: float) -> tuple[Ints, Bools]:
    """Give each row the column that it asks for, or its next; places of these pairs, and rows for which it is no answer.

    `row` is the rank of each pair's row, `begins` the first pair of each.
    """
    n = len(begins)
    first = np.minimum.reduceat(cost, begins)
    cheap = cost <= first[row] + _TIE
    rest = np.where(cheap, miss_cost, cost)
    second = np.minimum(np.minimum.reduceat(rest, begins), miss_cost)
    wanted = np.flatnonzero(cheap)
    undecided = np.bincount(row[wanted], minlength=n) > 1
    loss, column = (second - first)[row[wanted]], cols[wanted]
    order = np.lexsort((-loss, column))
    wanted, loss, column = wanted[order], loss[order], column[order]
    again = np.zeros(len(wanted), bool)  # asks for a column that goes to another row
    again[1:] = column[1:] == column[:-1]
    tied = again[1:] & ~again[:-1] & (loss[:-1] - loss[1:] <= _TIE)
    undecided[row[wanted[1:][tied]]] = True
    loser = np.zeros(n, bool)
    loser[row[wanted[again]]] = True
    following = np.flatnonzero(loser[row] & ~cheap & (cost <= second[row] + _TIE))
    undecided |= np.bincount(row[following], minlength=n) > 1
    picked = np.concatenate([wanted[~again], following])
    undecided[row[picked[(np.bincount(cols[picked]) > 1)[cols[picked]]]]] = True
    return picked, undecided


def _connected(row: Ints, col: Ints, some: Bools) -> Bools:
    """Find the rows that pairs connect with some rows, those included."""
    reached, n = some, -1
    while n != (n := int(np.count_nonzero(reached))) and n:
        cols = np.zeros(int(col.max()) + 1, bool)
        cols[col[reached[row]]] = True
        reached = reached.copy()
        reached[row[cols[col]]] = True
    return reached


def _blocks(rows: Ints, cols: Ints) -> list[Ints]:
    """Split pairs into groups of whole connected components, each group with about `_BLOCK_ROWS` rows."""
    if not len(rows):
        return []
    begins, row = _grouped(rows)
    n_rows, n_cols = len(begins), int(cols.max()) + 1
    if n_rows <= _FEW_ROWS:
        return [np.arange(len(row))]
    bounds = np.full(n_rows + n_cols + 1, len(row), np.int32)
    bounds[:n_rows] = begins
    edges = (np.ones(len(row), np.int8), (n_rows + cols).astype(np.int32), bounds)
    graph = csr_array(edges, shape=(n_rows + n_cols, n_rows + n_cols))
    n_parts, component = connected_components(graph, directed=False)
    rows_in = np.bincount(component[:n_rows], minlength=n_parts)
    block = (np.cumsum(rows_in) // _BLOCK_ROWS)[component[row]]
    order = np.argsort(block, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(block[order])) + 1)


def _solve(rows: Ints, cols: Ints, cost: Floats, miss_cost: float) -> Ints:
    """Places of the chosen pairs in one group."""
    begins, row = _grouped(rows)
    there = np.bincount(cols) > 0
    col = (np.cumsum(there) - 1)[cols]
    n_rows, n_cols, own = len(begins), int(np.count_nonzero(there)), np.arange(len(begins))
    if n_rows > _MOST_DENSE_ROWS:
        return _solve_sparse(row, col, cost, miss_cost, n_cols)
    table = np.full((n_rows, n_cols + n_rows), np.inf)
    table[row, col] = cost
    table[own, n_cols + own] = miss_cost
    return np.flatnonzero(linear_sum_assignment(table)[1][row] == col)


def _solve_sparse(row: Ints, col: Ints, cost: Floats, miss_cost: float, n_cols: int) -> Ints:
    begins, _ = _grouped(row)
    n_rows, own = len(begins), np.arange(len(begins))
    # A stored zero would count as no edge, so every weight is raised by one; the optimum is the same, for
    # each row gets one edge. A row's own column comes last.
    weight, column = np.full(len(row) + n_rows, 1.0 + miss_cost), np.empty(len(row) + n_rows, np.int32)
    at, ends = np.arange(len(row)) + row, np.append(begins[1:], len(row)) + own
    weight[at], column[at], column[ends] = 1.0 + cost, col, n_cols + own
    bounds = np.append(begins + own, len(weight)).astype(np.int32)
    graph = csr_array((weight, column, bounds), shape=(n_rows, n_cols + n_rows))
    match_row, match_col = min_weight_full_bipartite_matching(graph)
    column_of = np.full(n_rows, -1)
    column_of[match_row] = match_col
    return np.flatnonzero(column_of[row] == col)


def _grouped(rows: Ints) -> tuple[Ints, Ints]:
    """First place of each row in rows that rise, and the rank of each place's row."""
    other = np.ones(len(rows), bool)
    np.not_equal(rows[1:], rows[:-1], out=other[1:])
    return np.flatnonzero(other), np.cumsum(other) - 1
