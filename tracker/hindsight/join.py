"""Tracks cut where a step is too long for noise, and the pieces joined again over the whole movie.

The pieces are joined by one assignment over all frames (Jaqaman et al., Nat. Methods 5 (2008) 695, doi
10.1038/nmeth.1237), established ones also across a jump such as loops make when they glide.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.hindsight.smooth import step_noise
from insitrack.tracker.kinetics.ends import Ends
from insitrack.tracker.kinetics.glide import Steps, glide_directions
from insitrack.tracker.kinetics.strangers import Strangers, leftover
from insitrack.tracker.link.assign import assign, gated_pairs

_MISS_COST, _SIZE_WEIGHT, _GAP_WEIGHT, _CLASS_COST = 1.3, 0.5, 0.3, 0.2
_ESTABLISHED = 3
"""Observations that a track must have on either side of a jump."""
_JUMP_INTERVALS, _JUMP_RATIO, _WITHIN_DEG = 4.5, 1.25, 15.0
"""A jump takes so many frame intervals at most, changes the diameter by no larger ratio, and runs along a direction
of glide within this angle."""
_MOVES_SD, _MOVES_DIAMETERS = 3.0, 0.15
"""A piece moves by itself if its ends lie so many standard deviations of noise, and so many diameters, apart."""
_LEAST_ODDS = math.log(4.0)
"""Logarithm of the odds at which a jump along a direction of glide is joined: one in five may be a stranger."""
_MOST_CHANCE = 0.05
"""Strangers that may lie like a continuation by chance: with more, none is joined."""


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
        self.strangers = Strangers.of(self.track, place, points, self.diameter, len(times))

    def join(self) -> Ints:
        """Cut and close gaps; the chain of every observation, from 0."""
        same = self.track[1:] == self.track[:-1]
        gap = np.where(same, np.diff(self.place) - 1, 0)
        beyond = leftover(self.track, self.place, self.points)
        cut = same & (
            self.strangers.log_ratio(gap, beyond, self.diameter[1:], self.strangers.scale2_px2[1:]) < 0
        )
        piece = np.concatenate([[0], np.cumsum(~same | cut)])
        ends = self._ends(piece, np.arange(len(piece)))
        gate = np.maximum(self.config.min_gate_px, self.config.max_distance_diameters * ends.diameter)
        joined = self._pair(ends, np.ones(len(ends.first), bool), gate, self.max_gap_s, 0.0)
        self._count(ends, joined, int(np.count_nonzero(cut)))
        return np.asarray(_chains(joined)[piece], np.int64)

    def _count(self, ends: Ends, joined: Ints, n_cut: int) -> None:
        """Note how many gaps of frames were closed between tracks, and how many steps stay cut."""
        track, at = self.track[ends.first], joined >= 0
        again = at & (track[joined] == track)  # cut, and put together as it was
        last = self.place[ends.first + ends.n - 1]
        gaps = at & ~again & (self.place[ends.first[joined]] > last + 1)
        self.facts["steps_cut"] = n_cut - int(np.count_nonzero(again))
        self.facts["gaps_closed"] = int(np.count_nonzero(gaps))

    def _one_defect(self, ends: Ends, i: Ints, j: Ints, missed: Ints, distance: Floats) -> Bools:
        """Find which pieces are likelier to go on so many frames later, so far away, than a stranger to be there."""
        scale2 = self.strangers.scale2_px2[ends.first[i]]
        settled = (ends.n[i] >= _ESTABLISHED) & (ends.n[j] >= _ESTABLISHED)
        return np.asarray(self.strangers.log_ratio(missed, distance, ends.diameter[i], scale2, settled) > 0)

    def across_jumps(self, chain: Ints, kept: Bools) -> Ints:
        """Join established chains across a jump.

        One ends when the other begins, both have the same size, and the jump runs along a direction of glide:
        one that is given, or the one in which both move by themselves; and only where strangers are unlikely to
        lie like that by chance.
        """
        order = np.lexsort((self.place, chain))
        renamed = np.unique(chain[order], return_inverse=True)[1]
        ends = self._ends(renamed, order)
        reach = self.config.glide_diameters * ends.diameter
        if math.isfinite(self.nm_per_px):
            reach = np.full(len(reach), self.config.glide_nm / self.nm_per_px)
        reach = np.maximum(reach, 1e-6)
        able = (
            (ends.n >= _ESTABLISHED)
            & kept[order][ends.first]
            & ~np.isin(self.label[order][ends.first], self.config.sessile)
        )
        joined, by_chance = self._along_directions(ends, able, reach)
        if joined is None:
            chance = self._chance(ends, able, reach)
            able &= chance <= _MOST_CHANCE
            joined = self._pair(ends, able, reach, _JUMP_INTERVALS * self.interval_s, 0.3, _JUMP_RATIO)
            by_chance = float(chance[able].sum())
        n = int(np.count_nonzero(joined >= 0))
        self.facts["jumps_joined"] = n
        if n:
            self.facts["jumps_by_chance"] = round(by_chance, 3)
        answer = np.empty_like(chain)
        answer[order] = _chains(joined)[renamed]
        return answer

    def _ends(self, piece: Ints, order: Ints) -> Ends:
        return Ends.of(piece, self.points[order], self.diameter[order], self.label[order], self.t_s[order])

    def _along_directions(self, ends: Ends, able: Bools, reach: Floats) -> tuple[Ints | None, float]:
        """Join along directions of glide that are given, or that the movie has; None where it has none.

        Beside it the number of joins that are likely to be wrong.
        """
        first, last = (np.searchsorted(self.times, t - 1e-9) for t in (ends.first_t, ends.last_t))
        steps = Steps.near(
            ends, able, reach, first, last, most_looks=int(_JUMP_INTERVALS), most_change=math.log(_JUMP_RATIO)
        )
        # shorter steps have no direction
        sure = np.linalg.norm(steps.step_px, axis=1) > _MOVES_SD * math.sqrt(2) * self.noise
        angle, after = steps.angle_deg, steps.looks > 0
        directions = self.config.glide_directions_deg or glide_directions(
            angle[sure & after], angle[sure & ~after]
        )
        if not directions or not len(steps.one):
            return None, 0.0
        for k, direction in enumerate(directions, 1):
            self.facts[f"glide_direction_{k}_deg"] = float(direction)
        odds = steps.log_odds(directions, self.strangers.gap_chance)
        likely = odds > _LEAST_ODDS
        i, j, top = steps.one[likely], steps.other[likely], float(odds[likely].max(initial=0.0)) + 1.0
        joined = np.full(len(ends.first), -1, np.int64)
        one, other = assign(i, j, top - odds[likely], top)
        joined[one] = other
        made = likely & (joined[steps.one] == steps.other)
        return joined, float((1 / (1 + np.exp(np.minimum(odds[made], 500.0)))).sum())

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
            fine &= self._along_glide(ends, i, j)
        else:
            missed = np.maximum(np.rint(gap / self.interval_s).astype(np.int64) - 1, 0)
            fine &= self._one_defect(ends, i, j, missed, pairs.distance)
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

    def _along_glide(self, ends: Ends, i: Ints, j: Ints) -> Bools:
        """Find which steps from the end of a piece to the beginning of another run along a direction of glide."""
        step = ends.first_point[j] - ends.last_point[i]
        if self.config.glide_directions_deg:
            angle = np.degrees(np.arctan2(step[:, 1], step[:, 0]))[:, None]
            away = np.abs((angle - np.array(self.config.glide_directions_deg) + 90) % 180 - 90)
            return np.asarray((away <= _WITHIN_DEG).any(axis=1))
        answer, mobile = np.ones(len(step), bool), _mobile(ends, self.noise)
        for piece in (i, j):
            moved = ends.moved[piece]
            lengths = np.linalg.norm(moved, axis=1) * np.linalg.norm(step, axis=1)
            along = (moved * step).sum(axis=1) >= math.cos(math.radians(_WITHIN_DEG)) * lengths
            answer &= mobile[piece] & along  # a glider goes on in its direction, it does not come back
        return answer

    def _chance(self, ends: Ends, able: Bools, reach: Floats) -> Floats:
        """Mean number of strangers that begin by chance where each piece could go on.

        From the number of pieces that begin in mid-movie, and the share of them that has a size and a direction
        like that.
        """
        later = able & (ends.first_t > self.times[0] + 0.5 * self.interval_s)
        if not later.any():
            return np.zeros(len(able))
        size = np.log(ends.first_diameter[later])
        apart = np.abs(size[None, :] - np.log(ends.last_diameter)[:, None])
        room = np.maximum(np.ptp(self.points, axis=0), 1.0).prod()
        span_s = max(self.times[-1] - self.times[0], self.interval_s)
        window = np.minimum(math.pi * reach**2 / room, 1.0) * _JUMP_INTERVALS * self.interval_s / span_s
        given = len(self.config.glide_directions_deg)
        angles = min(1.0, given * 2 * _WITHIN_DEG / 180)
        if not given:  # both must move, and along the step
            angles = (2 * _WITHIN_DEG / 360) ** 2 * float(np.mean(_mobile(ends, self.noise)[later]))
        return np.asarray((apart <= math.log(_JUMP_RATIO)).sum(axis=1) * window * angles)


def _mobile(ends: Ends, noise_px: float) -> Bools:
    """Find which pieces move by themselves."""
    least = np.maximum(_MOVES_SD * math.sqrt(2) * noise_px, _MOVES_DIAMETERS * ends.diameter)
    return np.asarray(np.linalg.norm(ends.moved, axis=1) > least)


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
