"""Tracks cut where a step is too long for noise, and the pieces joined again over the whole movie.

The pieces are joined by one assignment over all frames (Jaqaman et al., Nat. Methods 5 (2008) 695, doi
10.1038/nmeth.1237), established ones also across a jump such as loops make when they glide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.hindsight.smooth import step_noise
from insitrack.tracker.link.assign import assign, gated_pairs

_MISS_COST, _SIZE_WEIGHT, _GAP_WEIGHT, _CLASS_COST = 1.3, 0.5, 0.3, 0.2
_END_SIGHTS = 5
"""Observations whose mean stands for the end of a track: less noise than the last one."""
_CUT_SD = 6.0
"""Steps longer than this many standard deviations are looked at again."""
_ESTABLISHED = 3
"""Observations that a track must have on either side of a jump."""


class Joiner:
    """Cuts tracks where they look wrong and joins the pieces again."""

    def __init__(
        self,
        seen: pd.DataFrame,
        points: Floats,
        place: Ints,
        times: Floats,
        config: RefineConfig,
        nm_per_px: float,
    ) -> None:
        self.config, self.points, self.place, self.times, self.nm_per_px = (
            config,
            points,
            place,
            times,
            nm_per_px,
        )
        self.track = seen["track_id"].to_numpy(np.int64)
        box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
        self.diameter = np.maximum(1.0, (box[:, 2:] - box[:, :2]).mean(axis=1))
        self.label = seen["defect_class"].to_numpy()
        self.t_s = times[place]
        interval = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
        self.max_gap_s = (
            config.max_gap_s if config.max_gap_s is not None else config.max_gap_frames * interval
        )
        self.interval_s = interval
        self.noise = float(step_noise(self.track, points).max())
        self.facts: dict[str, float] = {"noise_px": self.noise}

    def join(self) -> Ints:
        """Cut and close gaps; the chain of every observation, from 0."""
        same = self.track[1:] == self.track[:-1]
        step = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        limit = np.maximum(_CUT_SD * math.sqrt(2) * self.noise, 0.25 * self.diameter[1:])
        cut = same & (step > limit)
        self.facts["steps_cut"] = int(np.count_nonzero(cut))
        piece = np.concatenate([[0], np.cumsum(~same | cut)])
        ends = Ends.of(piece, self)
        gate = np.maximum(self.config.min_gate_px, self.config.max_distance_diameters * ends.diameter)
        joined = self._pair(ends, np.ones(len(ends.first), bool), gate, self.max_gap_s, 0.0)
        self.facts["gaps_closed"] = int(np.count_nonzero(joined >= 0)) - int(np.count_nonzero(cut))
        return np.asarray(_chains(joined)[piece], np.int64)

    def across_jumps(self, chain: Ints, kept: Bools) -> Ints:
        """Join established chains across a jump.

        One ends when the other begins, both have the same size, and the jump runs along a direction
        of glide.
        """
        order = np.lexsort((self.place, chain))
        renamed = np.unique(chain[order], return_inverse=True)[1]
        ends = Ends.of(renamed, self, order)
        reach = self.config.glide_diameters * ends.diameter
        if math.isfinite(self.nm_per_px):
            reach = np.full(len(reach), self.config.glide_nm / self.nm_per_px)
        reach = np.maximum(reach, 1e-6)
        able = (
            (ends.n >= _ESTABLISHED)
            & kept[order][ends.first]
            & ~np.isin(self.label[order][ends.first], self.config.sessile)
        )
        joined = self._pair(ends, able, reach, 4.5 * self.interval_s, 0.3, 1.25)
        self.facts["jumps_joined"] = int(np.count_nonzero(joined >= 0))
        answer = np.empty_like(chain)
        answer[order] = _chains(joined)[renamed]
        return answer

    def _pair(
        self,
        ends: Ends,
        able: Bools,
        gate: Floats,
        max_gap_s: float,
        base: float,
        ratio: float | None = None,
    ) -> Ints:
        """Choose for each piece the piece that goes on with it, -1 for none, all at once."""
        joined = np.full(len(ends.first), -1, np.int64)
        rows = np.flatnonzero(able)
        pairs = gated_pairs(ends.last_point[rows], gate[rows], ends.first_point[rows])
        i, j = rows[pairs.rows], rows[pairs.cols]
        gap = ends.first_t[j] - ends.last_t[i]
        change = np.abs(np.log(ends.first_diameter[j] / ends.last_diameter[i])) / math.log(
            ratio or self.config.max_size_ratio
        )
        fine = (gap > 0) & (gap <= max_gap_s * (1 + 1e-9)) & (change <= 1) & (i != j)
        if base:
            fine &= self._along_glide(ends.first_point[j] - ends.last_point[i])
        i, j, gap, change, distance = i[fine], j[fine], gap[fine], change[fine], pairs.distance[fine]
        cost = (
            base
            + (distance / gate[i]) ** 2
            + _SIZE_WEIGHT * change**2
            + _GAP_WEIGHT * gap / max_gap_s
            + _CLASS_COST * (ends.label[i] != ends.label[j])
        )
        one, other = assign(i, j, cost, _MISS_COST)
        joined[one] = other
        return joined

    def _along_glide(self, step: Floats) -> Bools:
        """Find which steps run along a direction of glide."""
        if not self.config.glide_directions_deg:
            return np.ones(len(step), bool)
        angle = np.degrees(np.arctan2(step[:, 1], step[:, 0]))[:, None]
        away = np.abs((angle - np.array(self.config.glide_directions_deg) + 90) % 180 - 90)
        return np.asarray((away <= 15).any(axis=1))


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of each piece, piece by piece."""

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

    @classmethod
    def of(cls, piece: Ints, joiner: Joiner, order: Ints | None = None) -> Ends:
        """Means over the observations at either end; `piece` rises from 0 in the order given."""
        rows = np.arange(len(piece)) if order is None else order
        n = np.bincount(piece)
        first = np.concatenate([[0], np.cumsum(n)[:-1]])
        rank = np.arange(len(piece)) - first[piece]
        early, late = rank < _END_SIGHTS, rank >= n[piece] - _END_SIGHTS

        def mean(values: Floats, part: Bools) -> Floats:
            return np.asarray(
                np.bincount(piece[part], values[rows][part], len(n))
                / np.bincount(piece[part], minlength=len(n))
            )

        x, y = joiner.points.T
        codes = np.unique(joiner.label, return_inverse=True)[1]
        votes = np.zeros((len(n), int(codes.max()) + 1))
        np.add.at(votes, (piece, codes[rows]), 1.0)
        t, last = joiner.t_s[rows], first + n - 1
        return cls(
            n,
            first,
            t[first],
            t[last],
            np.column_stack([mean(x, early), mean(y, early)]),
            np.column_stack([mean(x, late), mean(y, late)]),
            mean(joiner.diameter, early),
            mean(joiner.diameter, late),
            mean(joiner.diameter, np.ones(len(piece), bool)),
            votes.argmax(axis=1),
        )


def _chains(joined: Ints) -> Ints:
    """Find the number of the chain of each piece, given the piece that follows each.

    A piece always follows an earlier one in time.
    """
    head = np.arange(len(joined))
    follower = np.flatnonzero(joined >= 0)
    before = np.full(len(joined), -1, np.int64)
    before[joined[follower]] = follower
    while (linked := before[head] >= 0).any():
        head[linked] = before[head[linked]]
    return np.unique(head, return_inverse=True)[1]
