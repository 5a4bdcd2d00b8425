r"""Jumps of loops that glide: along which directions the movie has them, and how likely each is no stranger.

What begins within a few frames *before* an end cannot go on with it, so that such pairs tell how many strangers
lie near an end by chance, and in which directions. What begins *after* an end is a stranger too, or the same loop
further along its direction of glide. A pair at a step s whose sizes differ by d has the odds

.. math:: \frac{h}{e_g} \, \frac{P(g) \, f(s) \, n(d)}{\lambda \, u(d)}

with h the glides per look, P(g) the chance of g missed looks, f a density that is even in length and narrow about
the directions, n normal; e_g the chance to have ended otherwise by then, :math:`\lambda` the strangers per area and
look, and u even over the sizes that are allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial import cKDTree

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.kinetics.ends import Ends

_HALF_WINDOW_DEG, _APART_DEG = 8.0, 15.0
"""Steps within the first of a direction count for it; others lie at least the second away."""
_BY_CHANCE = 1e-5
"""A direction that would turn up as often as this where there is none is believed."""
_MOST_DIRECTIONS = 6
"""<110> of a cubic crystal."""
_LEAST_WIDTH_DEG, _LEAST_SIZE_SD = 2.0, 0.03


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps from the ends of pieces to the beginnings of others nearby, shortly before or after.

    Parameters
    ----------
    one, other : ndarray of int64, shape (P,)
        The piece that ends, and the one that begins.
    step_px : ndarray of float64, shape (P, 2)
        From the end to the beginning.
    looks : ndarray of int64, shape (P,)
        From the end to the beginning: above zero where the second can go on with the first.
    change : ndarray of float64, shape (P,)
        Logarithm of the ratio of the diameters.
    other_class : ndarray of bool, shape (P,)
        The two are mostly called by different classes.
    reach_px : ndarray of float64, shape (P,)
        Longest glide of the first piece.
    most_change : float
        Largest `change` that was looked for, either way.
    n_looked, n_ends : int
        Observations of all pieces that may glide, and ends of them before the last look.
    area_looks_px2 : float
        Area within reach of these ends, times the looks before them that were searched.
    """

    one: Ints
    other: Ints
    step_px: Floats
    looks: Ints
    change: Floats
    other_class: Bools
    reach_px: Floats
    most_change: float
    n_looked: int
    n_ends: int
    area_looks_px2: float

    @classmethod
    def near(
        cls,
        ends: Ends,
        able: Bools,
        reach: Floats,
        first: Ints,
        last: Ints,
        *,
        most_looks: int,
        most_change: float,
    ) -> Steps:
        """Find them.

        Parameters
        ----------
        ends : Ends
            Of all pieces, K.
        able : ndarray of bool, shape (K,)
            Pieces that may glide.
        reach : ndarray of float64, shape (K,)
            How far, px.
        first, last : ndarray of int64, shape (K,)
            Looks of their first and last observations.
        most_looks, most_change : int, float
            Looks from an end to a beginning, and logarithm of the ratio of diameters, at most.
        """
        rows = np.flatnonzero(able)
        # looks are one more side of the space that is searched: pairs far apart in time are never made
        high = float(reach[rows].max(initial=1.0))
        some, others = (
            cKDTree(np.column_stack([point, look * high / most_looks])[rows])
            for point, look in ((ends.last_point, last), (ends.first_point, first))
        )
        pairs = some.sparse_distance_matrix(others, math.sqrt(2) * high, output_type="ndarray")
        i, j = rows[pairs["i"]], rows[pairs["j"]]
        step, looks = ends.first_point[j] - ends.last_point[i], first[j] - last[i]
        change = np.log(ends.first_diameter[j] / ends.last_diameter[i])
        fine = (i != j) & (np.linalg.norm(step, axis=1) <= reach[i]) & (np.abs(change) <= most_change)
        fine &= (looks > -most_looks) & (looks <= most_looks)
        i, j = i[fine], j[fine]
        middle = rows[last[rows] < last.max(initial=0)]
        return cls(
            i,
            j,
            step[fine],
            looks[fine],
            change[fine],
            ends.label[i] != ends.label[j],
            reach[i],
            most_change,
            int(ends.n[rows].sum()),
            len(middle),
            float(math.pi * (reach[middle] ** 2).sum()) * most_looks,
        )

    @property
    def angle_deg(self) -> Floats:
        """Direction of each, 0 to 180 degrees, from x towards y."""
        return np.asarray(np.degrees(np.arctan2(self.step_px[:, 1], self.step_px[:, 0])) % 180.0)

    def log_odds(self, directions_deg: tuple[float, ...], gap_chance: Floats) -> Floats:
        """Logarithm of the odds that each step is a glide; -inf where it cannot be one.

        Parameters
        ----------
        directions_deg : tuple of float
            Directions of glide.
        gap_chance : ndarray of float64, shape (G,)
            Chance of so many missed looks, see `insitrack.tracker.kinetics.strangers.Strangers`.
        """
        away = np.abs(away_deg(self.angle_deg[:, None], np.array(directions_deg))).min(axis=1)
        after, along = self.looks > 0, away <= _HALF_WINDOW_DEG
        some, before = after & along, ~after
        excess = np.count_nonzero(some) - np.count_nonzero(before & along)
        n_glides = max(float(excess), 1.0)  # where directions are given there may be few
        width = math.radians(_spread(away[some], _HALF_WINDOW_DEG, _LEAST_WIDTH_DEG))
        size_sd = _spread(self.change[some], self.most_change, _LEAST_SIZE_SD)
        length = np.maximum(np.linalg.norm(self.step_px, axis=1), 1.0)
        missed = np.maximum(self.looks - 1, 0)
        along_one = stats.norm.pdf(np.radians(away), 0.0, width) / (2 * len(directions_deg))
        same = n_glides / self.n_looked * gap_chance[np.minimum(missed, len(gap_chance) - 1)]
        same = same * along_one / (length * self.reach_px) * stats.norm.pdf(self.change, 0.0, size_sd)
        other = _share(self.other_class[some]) / _share(self.other_class[before])
        same = same * np.where(self.other_class, other, 1.0)
        density = (np.count_nonzero(before) + 1) / self.area_looks_px2 / (2 * self.most_change)
        ended = min(max(self.n_ends - n_glides, 0.1 * self.n_ends, 1.0) / self.n_looked, 0.9)
        stranger = -np.expm1((missed + 1) * math.log1p(-ended)) * density
        with np.errstate(divide="ignore"):
            odds = np.log(same) - np.log(stranger)
        return np.asarray(np.where(after, odds, -np.inf))


def glide_directions(angle_deg: Floats, backward_deg: Floats) -> tuple[float, ...]:
    """Directions that many more steps have than chance gives, degrees, the commonest first.

    Parameters
    ----------
    angle_deg : ndarray of float64, shape (P,)
        Directions of the steps that may be glides, 0 to 180.
    backward_deg : ndarray of float64, shape (Q,)
        Those of the steps to what began before: strangers, which may lie along a boundary or a line.

    Examples
    --------
    >>> even = np.arange(0.0, 180.0, 6.0)
    >>> glide_directions(even, even), glide_directions(np.append(even, np.full(30, 45.0)), even)
    ((), (44.7,))
    """
    found: list[float] = []
    left, room = angle_deg, 180.0
    while len(left) and len(found) < _MOST_DIRECTIONS and room > 2 * _APART_DEG:
        near = np.abs(away_deg(left[:, None], left)) <= _HALF_WINDOW_DEG
        best = int(near.sum(axis=0).argmax())
        here = near[:, best]
        at = float((left[best] + away_deg(left[here], left[best]).mean()) % 180.0)
        many = int(np.count_nonzero(np.abs(away_deg(left, at)) <= _HALF_WINDOW_DEG))
        strangers = int(np.count_nonzero(np.abs(away_deg(backward_deg, at)) <= _HALF_WINDOW_DEG))
        even = stats.binom.sf(many - 1, len(left), min(2 * _HALF_WINDOW_DEG / room, 1.0))
        more = stats.binom.sf(many - 1, many + strangers, 0.5)
        if max(even, more) > _BY_CHANCE:
            break
        found.append(round(at, 1))
        left = left[np.abs(away_deg(left, at)) > _APART_DEG]
        room -= 2 * _APART_DEG
    return tuple(found)


def away_deg(angle_deg: Floats, direction_deg: Floats | float) -> Floats:
    """Angles between lines, -90 to 90 degrees."""
    return np.asarray((angle_deg - direction_deg + 90.0) % 180.0 - 90.0)


def _spread(values: Floats, most: float, least: float) -> float:
    """Return the standard deviation of what lies about zero, at most that of what lies evenly up to `most`."""
    if len(values) < 5:
        return max(least, 0.4 * most)
    return max(least, min(float(np.median(np.abs(values))) / 0.6745, most / math.sqrt(3)))


def _share(values: Bools) -> float:
    return (float(np.count_nonzero(values)) + 0.5) / (len(values) + 1.0)
