"""Both ends of the pieces of tracks, as what may go on in another piece is recognised by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Floats, Ints

_END_OBSERVATIONS = 5
"""Observations whose mean stands for the end of a track: less noise than the last one."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of each piece, piece by piece.

    Parameters
    ----------
    n, first : ndarray of int64, shape (K,)
        Observations, and the place of the first one.
    first_t, last_t : ndarray of float64, shape (K,)
        s.
    first_point, last_point : ndarray of float64, shape (K, 2)
        Means over the observations at either end, px.
    first_diameter, last_diameter, diameter : ndarray of float64, shape (K,)
        Likewise, and of all, px.
    label : ndarray of int64, shape (K,)
        Number of the class that most of them have.
    moved : ndarray of float64, shape (K, 2)
        From the first to the last observation, px.
    """

    n: Ints
    first: Ints
    first_t: Floats
    last_t: Floats
    first_point: Floats
    last_point: Floats
    first_diameter: Floats
    last_diameter: Floats
    diameter: Floats
    label: Ints
    moved: Floats

    @classmethod
    def of(cls, piece: Ints, points: Floats, diameter: Floats, label: NDArray[Any], t_s: Floats) -> Ends:
        """Means over the observations at either end; `piece` rises from 0, and time within each."""
        n = np.bincount(piece)
        first = np.concatenate([[0], np.cumsum(n)[:-1]])
        rank = np.arange(len(piece)) - first[piece]
        early, late = rank < _END_OBSERVATIONS, rank >= n[piece] - _END_OBSERVATIONS

        def mean(values: Floats, part: Bools) -> Floats:
            return np.asarray(
                np.bincount(piece[part], values[part], len(n)) / np.bincount(piece[part], minlength=len(n))
            )

        x, y = points.T
        codes = np.unique(label, return_inverse=True)[1]
        votes = np.zeros((len(n), int(codes.max()) + 1))
        np.add.at(votes, (piece, codes), 1.0)
        last = first + n - 1
        return cls(
            n,
            first,
            t_s[first],
            t_s[last],
            np.column_stack([mean(x, early), mean(y, early)]),
            np.column_stack([mean(x, late), mean(y, late)]),
            mean(diameter, early),
            mean(diameter, late),
            mean(diameter, np.ones(len(piece), bool)),
            votes.argmax(axis=1),
            points[last] - points[first],
        )
