"""Tracks with hindsight: the whole table is known, so gaps are closed, false finds judged.

Noise taken out and misses filled in.

Tracks of the causal linker are cut where they make a step that noise does not explain, then joined anew by
one assignment over the whole movie (Jaqaman et al., Nat. Methods 5 (2008) 695, doi 10.1038/nmeth.1237),
established ones also across a jump such as loops make when they glide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import SettingsError
from insitrack.tracker.hindsight.fill import extreme, filled, one_in_turns
from insitrack.tracker.hindsight.smooth import step_noise
from insitrack.tracker.link.assign import assign, gated_pairs

_MISS_COST, _SIZE_WEIGHT, _GAP_WEIGHT, _CLASS_COST = 1.3, 0.5, 0.3, 0.2
_END_SIGHTS = 5
"""Sights whose mean stands for the end of a track: less noise than the last one."""
_CUT_SD = 6.0
"""Steps longer than this many standard deviations are looked at again."""
_ESTABLISHED = 3
"""Sights that a track must have on either side of a jump."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineConfig:
    """What is done with hindsight.

    Parameters
    ----------
    enabled : bool
        Refine the tables when a run of a file has ended; the causal ones are kept beside them.
    min_sights : int
        A track that was seen fewer times is taken for a false find and left out.
    min_seen_share : float
        So is one that was seen in a smaller share of the frames of its life, 0..1.
    max_gap_s : float or None
        Longest gap that is closed, s; None: `max_gap_frames` median frame intervals.
    max_gap_frames : float
        The same in frame intervals.
    max_distance_diameters : float
        How far apart the two sides of a gap may lie, in diameters.
    min_gate_px : float
        Least such distance, px.
    glide_nm : float
        Longest jump across which an established track is joined to an established one that begins just then,
        nm; 0: none.
    glide_diameters : float
        The same in diameters, where the scale is unknown.
    glide_directions_deg : tuple of float
        Directions of glide on the picture, degrees from x towards y (projected <110>); a jump must run along
        one of them within 15 degrees. Empty: any.
    sessile : tuple of str
        Classes that do not glide. a0<100> loops have been seen to move by a change of habit plane, so that
        they are not among them unasked.
    max_size_ratio : float
        Most that the diameter may differ between the two sides, as a ratio.
    smooth : bool
        Take the noise out of positions and sizes.
    max_rows : int
        Larger tables are left as they are, for want of memory.

    Raises
    ------
    SettingsError
        If a value lies outside its range.
    """

    enabled: bool = True
    min_sights: int = 3
    min_seen_share: float = 0.4
    max_gap_s: float | None = None
    max_gap_frames: float = 20.0
    max_distance_diameters: float = 0.7
    min_gate_px: float = 4.0
    glide_nm: float = 20.0
    glide_diameters: float = 2.5
    glide_directions_deg: tuple[float, ...] = ()
    sessile: tuple[str, ...] = ()
    max_size_ratio: float = 1.6
    smooth: bool = True
    max_rows: int = 10_000_000

    def __post_init__(self) -> None:
        if self.min_sights < 1:
            raise SettingsError(f"refine.min_sights {self.min_sights}: expected at least 1")
        if self.max_rows < 1:
            raise SettingsError(f"refine.max_rows {self.max_rows}: expected at least 1")
        for name in (
            "max_gap_s",
            "max_gap_frames",
            "max_distance_diameters",
            "min_gate_px",
            "glide_nm",
            "glide_diameters",
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"refine.{name} {value}: expected zero or a positive number")
        if not 0 <= self.min_seen_share <= 1:
            raise SettingsError(f"refine.min_seen_share {self.min_seen_share}: expected a share from 0 to 1")
        unknown = [name for name in self.sessile if name not in DEFECT_CLASSES]
        if unknown:
            raise SettingsError(
                f"refine.sessile {unknown[0]!r}: unknown class; known are {', '.join(DEFECT_CLASSES)}"
            )
        if not self.max_size_ratio > 1:
            raise SettingsError(f"refine.max_size_ratio {self.max_size_ratio}: expected a ratio above 1")


@dataclass(frozen=True, slots=True)
class Refined:
    """Tables with hindsight, and what was done.

    Parameters
    ----------
    tracks : DataFrame
        Rows of ``tracks.csv``, sorted by frame and track, `observed` 0 where a gap was filled; beside its
        columns those of the sights as they were: `raw_x_px`, `raw_y_px` in specimen coordinates and
        `raw_size_nm`, NaN where filled.
    facts : dict
        `gaps_closed`, `steps_cut`, `tracks_dropped`, `rows_dropped`, `rows_filled`, and the noise of a
        position, `noise_px`.
    """

    tracks: pd.DataFrame
    facts: dict[str, float]


def refine(
    tracks: pd.DataFrame,
    frames: pd.DataFrame,
    config: RefineConfig,
    *,
    nm_per_px: float = math.nan,
    keep_ids: bool = False,
) -> Refined:
    """Improve the tracks of a finished run.

    Parameters
    ----------
    tracks : DataFrame
        Columns of ``tracks.csv``; rows with `observed` 0 are made anew.
    frames : DataFrame
        Columns of ``frames.csv``: times, drift, and which frames were processed.
    config : RefineConfig
        What to do.
    nm_per_px : float
        Scale, nm; NaN where unknown.
    keep_ids : bool
        Take the tracks as they are: smooth and fill them only.

    Returns
    -------
    Refined
    """
    looked = looked_at(frames)
    seen = tracks[(tracks["observed"] == 1) & tracks["frame"].isin(looked["frame"])]
    seen = seen.sort_values(["track_id", "frame"], kind="stable").reset_index(drop=True)
    if not len(seen):
        return Refined(_nothing(seen), {"noise_px": math.nan})
    place = np.searchsorted(looked["frame"].to_numpy(), seen["frame"].to_numpy())
    shift = looked[["shift_x_px", "shift_y_px"]].fillna(0.0).to_numpy(np.float64)
    points = seen[["x_px", "y_px"]].to_numpy(np.float64) - shift[place]
    points = np.where(
        np.isfinite(points), points, seen[["x1_px", "y1_px"]].to_numpy(np.float64) - shift[place]
    )
    if keep_ids:
        chain = np.unique(seen["track_id"].to_numpy(), return_inverse=True)[1]
        return _finish(
            seen,
            points,
            chain,
            place,
            looked,
            shift,
            config,
            {"noise_px": float(step_noise(chain, points).max())},
            join=False,
        )
    joiner = _Joiner(seen, points, place, looked["t_s"].to_numpy(np.float64), config, nm_per_px)
    chain = joiner.join()
    n_sights = np.bincount(chain)
    span = 1 + extreme(np.maximum, chain, place) - extreme(np.minimum, chain, place)
    good = (n_sights >= config.min_sights) & (n_sights >= config.min_seen_share * span)
    kept = good[chain]
    if config.glide_nm or config.glide_diameters:
        chain = joiner.across_jumps(chain, kept)
    facts: dict[str, float] = {
        **joiner.facts,
        "tracks_dropped": int(np.count_nonzero(~good)),
        "rows_dropped": int(np.count_nonzero(~kept)),
    }
    order = np.flatnonzero(kept)
    if not len(order):
        return Refined(_nothing(seen), {**facts, "rows_filled": 0})
    order = order[np.lexsort((place[order], chain[order]))]
    # the id of a chain is that of the causal track that gives it the most sights
    chain, place, points = chain[order], place[order], points[order]
    seen = seen.iloc[order].reset_index(drop=True)
    seen["track_id"] = _names(chain, seen["track_id"].to_numpy(np.int64))
    return _finish(seen, points, chain, place, looked, shift, config, facts, join=True)


def _nothing(seen: pd.DataFrame) -> pd.DataFrame:
    """Make the table of no track at all."""
    return seen.iloc[:0].assign(raw_x_px=0.0, raw_y_px=0.0, raw_size_nm=0.0)


def looked_at(frames: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``frames.csv`` in which specimen was looked at, in order."""
    seen = frames["status"] == "processed"
    if "field_px" in frames:
        seen &= frames["field_px"] != 0
    return frames[seen].sort_values("frame")


class _Joiner:
    """Cuts tracks where they look wrong and joins the pieces anew."""

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
        """Cut and close gaps; the chain of every sight, from 0."""
        same = self.track[1:] == self.track[:-1]
        step = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        limit = np.maximum(_CUT_SD * math.sqrt(2) * self.noise, 0.25 * self.diameter[1:])
        cut = same & (step > limit)
        self.facts["steps_cut"] = int(np.count_nonzero(cut))
        piece = np.concatenate([[0], np.cumsum(~same | cut)])
        ends = _Ends.of(piece, self)
        gate = np.maximum(self.config.min_gate_px, self.config.max_distance_diameters * ends.diameter)
        joined = self._pair(ends, np.ones(len(ends.first), bool), gate, self.max_gap_s, 0.0)
        self.facts["gaps_closed"] = int(np.count_nonzero(joined >= 0)) - int(np.count_nonzero(cut))
        return np.asarray(_chains(joined)[piece], np.int64)

    def across_jumps(self, chain: Ints, kept: Bools) -> Ints:
        """Join established chains across a jump.

        One ends, the other begins just then, of the same size, along a direction of glide.
        """
        order = np.lexsort((self.place, chain))
        renamed = np.unique(chain[order], return_inverse=True)[1]
        ends = _Ends.of(renamed, self, order)
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
        ends: _Ends,
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
        """Tell which steps run along a direction of glide."""
        if not self.config.glide_directions_deg:
            return np.ones(len(step), bool)
        angle = np.degrees(np.arctan2(step[:, 1], step[:, 0]))[:, None]
        away = np.abs((angle - np.array(self.config.glide_directions_deg) + 90) % 180 - 90)
        return np.asarray((away <= 15).any(axis=1))


@dataclass(frozen=True, slots=True)
class _Ends:
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
    def of(cls, piece: Ints, joiner: _Joiner, order: Ints | None = None) -> _Ends:
        """Means over the sights at either end; `piece` rises from 0 in the order given."""
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


def _names(chain: Ints, track_id: Ints) -> Ints:
    """Ids of the chains: each takes the causal id that most of its sights had.

    And that no chain with more of them has taken.
    """
    pairs, counts = np.unique(np.column_stack([chain, track_id]), axis=0, return_counts=True)
    names = np.full(int(chain.max()) + 1 if len(chain) else 0, -1, np.int64)
    given: set[int] = set()
    spare = int(track_id.max()) + 1 if len(track_id) else 1
    for k in np.argsort(-counts, kind="stable").tolist():
        one, name = pairs[k].tolist()
        if names[one] < 0 and name not in given:
            names[one] = name
            given.add(name)
    for one in np.unique(chain)[names[np.unique(chain)] < 0].tolist():
        names[one], spare = spare, spare + 1
    return np.asarray(names[chain])


def _finish(
    seen: pd.DataFrame,
    points: Floats,
    chain: Ints,
    place: Ints,
    looked: pd.DataFrame,
    shift: Floats,
    config: RefineConfig,
    facts: dict[str, float],
    *,
    join: bool,
) -> Refined:
    seen = seen.assign(raw_x_px=points[:, 0], raw_y_px=points[:, 1], raw_size_nm=seen["size_nm"])
    table = filled(seen, points, chain, place, looked, shift, smoothing=config.smooth)
    if join and (belongs := one_in_turns(table)):
        facts["joined_in_turns"] = len(belongs)
        seen["track_id"] = seen["track_id"].replace(belongs)
        order = np.lexsort((place, seen["track_id"].to_numpy()))
        seen, points, place = seen.iloc[order].reset_index(drop=True), points[order], place[order]
        chain = np.unique(seen["track_id"].to_numpy(), return_inverse=True)[1]
        table = filled(seen, points, chain, place, looked, shift, smoothing=config.smooth)
    facts["rows_filled"] = int(np.count_nonzero(table["observed"] == 0))
    return Refined(table, facts)
