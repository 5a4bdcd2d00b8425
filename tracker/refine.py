"""Tracks with hindsight: the whole table is known, so gaps are closed, false finds judged, noise taken out and misses filled in.

Tracks of the causal linker are cut where they make a step that noise does not explain, then joined anew by one assignment over the whole movie
(Jaqaman et al., Nat. Methods 5 (2008) 695, doi 10.1038/nmeth.1237), established ones also across a jump such as loops make when they glide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insitrack.io.detections import Ints
from insitrack.io.errors import SettingsError
from insitrack.io.results import Bools, Floats
from insitrack.tracker.assign import assign, gated_pairs
from insitrack.tracker.smooth import Smoothed, smooth, step_noise
from insitrack.tracker.track_scores import box_iou

_MISS_COST, _SIZE_WEIGHT, _GAP_WEIGHT, _CLASS_COST = 1.3, 0.5, 0.3, 0.2
_END_SIGHTS = 5
"""Sights whose mean stands for the end of a track: less noise than the last one."""
_CUT_SD = 6.0
"""Steps longer than this many standard deviations are looked at again."""
_UNLIKELY = 0.05
"""A run of misses that is less likely, at the rate at which a defect is missed, is not taken for one."""
_SAME_PLACE_IOU = 0.5
"""Boxes that overlap by more hold one defect, if one of the two was not seen."""
_ESTABLISHED = 3
"""Sights that a track must have on either side of a jump."""
LOG_COLUMNS = ("width", "height", "area_px", "major_px", "minor_px", "size_nm", "area_nm2", "line_length_nm")


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
        Longest jump across which an established track is joined to an established one that begins just then, nm; 0: none.
    glide_diameters : float
        The same in diameters, where the scale is unknown.
    glide_directions_deg : tuple of float
        Directions of glide on the picture, degrees from x towards y (projected <110>); a jump must run along one of them within 15 degrees.
        Empty: any.
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
    max_size_ratio: float = 1.6
    smooth: bool = True
    max_rows: int = 10_000_000

    def __post_init__(self) -> None:
        if self.min_sights < 1:
            raise SettingsError(f"refine.min_sights {self.min_sights}: expected at least 1")
        if self.max_rows < 1:
            raise SettingsError(f"refine.max_rows {self.max_rows}: expected at least 1")
        for name in ("max_gap_s", "max_gap_frames", "max_distance_diameters", "min_gate_px", "glide_nm", "glide_diameters"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"refine.{name} {value}: expected zero or a positive number")
        if not 0 <= self.min_seen_share <= 1:
            raise SettingsError(f"refine.min_seen_share {self.min_seen_share}: expected a share from 0 to 1")
        if not self.max_size_ratio > 1:
            raise SettingsError(f"refine.max_size_ratio {self.max_size_ratio}: expected a ratio above 1")


@dataclass(frozen=True, slots=True)
class Refined:
    """Tables with hindsight, and what was done.

    Parameters
    ----------
    tracks : DataFrame
        Rows of ``tracks.csv``, sorted by frame and track, `observed` 0 where a gap was filled; beside its columns those of the sights as they were:
        `raw_x_px`, `raw_y_px` in specimen coordinates and `raw_size_nm`, NaN where filled.
    facts : dict
        `gaps_closed`, `steps_cut`, `tracks_dropped`, `rows_dropped`, `rows_filled`, and the noise of a position, `noise_px`.
    """

    tracks: pd.DataFrame
    facts: dict[str, float]


def refine(tracks: pd.DataFrame, frames: pd.DataFrame, config: RefineConfig, *, nm_per_px: float = math.nan, keep_ids: bool = False) -> Refined:
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
    points = np.where(np.isfinite(points), points, seen[["x1_px", "y1_px"]].to_numpy(np.float64) - shift[place])
    if keep_ids:
        chain = np.unique(seen["track_id"].to_numpy(), return_inverse=True)[1]
        return _finish(seen, points, chain, place, looked, shift, config, {"noise_px": float(step_noise(chain, points).max())}, join=False)
    joiner = _Joiner(seen, points, place, looked["t_s"].to_numpy(np.float64), config, nm_per_px)
    chain = joiner.join()
    n_sights = np.bincount(chain)
    span = 1 + _extreme(np.maximum, chain, place) - _extreme(np.minimum, chain, place)
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


def _extreme(choose: np.ufunc, chain: Ints, place: Ints) -> Ints:
    """Least or greatest place of each chain."""
    answer = np.full(int(chain.max()) + 1, place[0])
    answer[chain] = place
    choose.at(answer, chain, place)
    return answer


def looked_at(frames: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``frames.csv`` in which specimen was looked at, in order."""
    seen = frames["status"] == "processed"
    if "field_px" in frames:
        seen &= frames["field_px"] != 0
    return frames[seen].sort_values("frame")


class _Joiner:
    """Cuts tracks where they look wrong and joins the pieces anew."""

    def __init__(self, seen: pd.DataFrame, points: Floats, place: Ints, times: Floats, config: RefineConfig, nm_per_px: float) -> None:
        self.config, self.points, self.place, self.times, self.nm_per_px = config, points, place, times, nm_per_px
        self.track = seen["track_id"].to_numpy(np.int64)
        box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
        self.diameter = np.maximum(1.0, (box[:, 2:] - box[:, :2]).mean(axis=1))
        self.label = seen["defect_class"].to_numpy()
        self.t_s = times[place]
        interval = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
        self.max_gap_s = config.max_gap_s if config.max_gap_s is not None else config.max_gap_frames * interval
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
        """Join established chains across a jump: one ends, the other begins just then, of the same size, along a direction of glide."""
        order = np.lexsort((self.place, chain))
        renamed = np.unique(chain[order], return_inverse=True)[1]
        ends = _Ends.of(renamed, self, order)
        reach = self.config.glide_diameters * ends.diameter
        if math.isfinite(self.nm_per_px):
            reach = np.full(len(reach), self.config.glide_nm / self.nm_per_px)
        reach = np.maximum(reach, 1e-6)
        able = (ends.n >= _ESTABLISHED) & kept[order][ends.first]
        joined = self._pair(ends, able, reach, 4.5 * self.interval_s, 0.3, 1.25)
        self.facts["jumps_joined"] = int(np.count_nonzero(joined >= 0))
        answer = np.empty_like(chain)
        answer[order] = _chains(joined)[renamed]
        return answer

    def _pair(self, ends: _Ends, able: Bools, gate: Floats, max_gap_s: float, base: float, ratio: float | None = None) -> Ints:
        """Choose for each piece the piece that goes on with it, -1 for none, all at once."""
        joined = np.full(len(ends.first), -1, np.int64)
        rows = np.flatnonzero(able)
        pairs = gated_pairs(ends.last_point[rows], gate[rows], ends.first_point[rows])
        i, j = rows[pairs.rows], rows[pairs.cols]
        gap = ends.first_t[j] - ends.last_t[i]
        change = np.abs(np.log(ends.first_diameter[j] / ends.last_diameter[i])) / math.log(ratio or self.config.max_size_ratio)
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
            return np.asarray(np.bincount(piece[part], values[rows][part], len(n)) / np.bincount(piece[part], minlength=len(n)))

        x, y = joiner.points.T
        codes = np.unique(joiner.label, return_inverse=True)[1]
        votes = np.zeros((len(n), int(codes.max()) + 1))
        np.add.at(votes, (piece, codes[rows]), 1.0)
        t, last = joiner.t_s[rows], first + n - 1
        return cls(
            n, first, t[first], t[last],
            np.column_stack([mean(x, early), mean(y, early)]), np.column_stack([mean(x, late), mean(y, late)]),
            mean(joiner.diameter, early), mean(joiner.diameter, late), mean(joiner.diameter, np.ones(len(piece), bool)), votes.argmax(axis=1),
        )  # fmt: skip


def _chains(joined: Ints) -> Ints:
    """Find the number of the chain of each piece, given the piece that follows each; a piece always follows an earlier one in time."""
    head = np.arange(len(joined))
    follower = np.flatnonzero(joined >= 0)
    before = np.full(len(joined), -1, np.int64)
    before[joined[follower]] = follower
    while (linked := before[head] >= 0).any():
        head[linked] = before[head[linked]]
    return np.unique(head, return_inverse=True)[1]


def _names(chain: Ints, track_id: Ints) -> Ints:
    """Ids of the chains: each takes the causal id that most of its sights had, and that no chain with more of them has taken."""
    pairs, counts = np.unique(np.column_stack([chain, track_id]), axis=0, return_counts=True)
    names = np.full(int(chain.max()) + 1 if len(chain) else 0, -1, np.int64)
    taken: set[int] = set()
    spare = int(track_id.max()) + 1 if len(track_id) else 1
    for k in np.argsort(-counts, kind="stable").tolist():
        one, name = pairs[k].tolist()
        if names[one] < 0 and name not in taken:
            names[one] = name
            taken.add(name)
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
    table = _filled(
        seen.assign(raw_x_px=points[:, 0], raw_y_px=points[:, 1], raw_size_nm=seen["size_nm"]), points, chain, place, looked, shift, config
    )
    facts["rows_filled"] = int(np.count_nonzero(table["observed"] == 0))
    return Refined(table, facts)


def _filled(seen: pd.DataFrame, points: Floats, chain: Ints, place: Ints, looked: pd.DataFrame, shift: Floats, config: RefineConfig) -> pd.DataFrame:
    """Take the noise out and make a row for every frame between the first and the last sight."""
    box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
    sizes = pd.DataFrame({"width": box[:, 2] - box[:, 0], "height": box[:, 3] - box[:, 1]})
    sizes = pd.concat([sizes, seen[[name for name in LOG_COLUMNS if name in seen]]], axis=1)
    known = [name for name in LOG_COLUMNS if name in sizes and (sizes[name] > 0).all()]
    t_s = looked["t_s"].to_numpy(np.float64)
    logs = np.log(sizes[known].to_numpy(np.float64)) if known else np.zeros((len(seen), 0))
    where, large = _smoothed(chain, t_s[place], points, config.smooth), _smoothed(chain, t_s[place], logs, config.smooth)
    sight, frame = _rows(chain, place, len(looked))
    observed = place[sight] == frame
    xy, xy_sd = _between(where, sight, frame, chain, place, t_s)
    log, log_sd = _between(large, sight, frame, chain, place, t_s)
    size = {name: np.exp(log[:, k]) for k, name in enumerate(known)}
    table = seen.iloc[sight].reset_index(drop=True)
    table["frame"], table["t_s"] = looked["frame"].to_numpy()[frame], t_s[frame]
    table["observed"] = observed.astype(np.int8)
    for name in ("score", "raw_x_px", "raw_y_px", "raw_size_nm"):
        table[name] = np.where(observed, table[name], np.nan)
    if "causal_id" in table:
        table["causal_id"] = np.where(observed, table["causal_id"], -1)
    table["on_edge"] = table["on_edge"].astype(np.int8)
    centre = xy + shift[frame]
    half = np.column_stack([size["width"], size["height"]]) / 2 if "width" in size else np.ones((len(table), 2))
    # outlines lie as they were seen about their centre: a box is not always centred on its mask
    offset = (box[:, :2] + box[:, 2:]) / 2 - seen[["x_px", "y_px"]].to_numpy(np.float64)
    off = np.column_stack([pd.Series(offset[:, k]).groupby(chain).transform("median").to_numpy()[sight] for k in (0, 1)])
    low, high = centre + off - half, centre + off + half
    for name, values in zip(("x_px", "y_px", "x1_px", "y1_px", "x2_px", "y2_px"), (*centre.T, *low.T, *high.T), strict=True):
        table[name] = values
    for name in known:
        if name in table:
            table[name] = size[name]
    table["x_sd_px"], table["y_sd_px"] = xy_sd.T
    table["size_sd_nm"] = log_sd[:, known.index("size_nm")] * table["size_nm"] if "size_nm" in known else np.nan
    table["defect_class"] = _classes(seen, chain)[chain[sight]]
    return table.sort_values(["frame", "track_id"], kind="stable").reset_index(drop=True)


def _same_place(table: pd.DataFrame) -> tuple[Ints, Ints]:
    """Pairs of rows of one frame that lie at one place, the first of them filled in; `table` is sorted by frame."""
    box = table[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
    observed, frame = table["observed"].to_numpy() == 1, table["frame"].to_numpy(np.int64)
    edges = np.flatnonzero(np.diff(frame, prepend=-1, append=-1))
    one, other = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        filled = start + np.flatnonzero(~observed[start:end])
        if len(filled):
            a, b = np.nonzero(box_iou(box[filled], box[start:end]) > _SAME_PLACE_IOU)
            apart = filled[a] != start + b
            one.append(filled[a][apart])
            other.append(start + b[apart])
    return np.concatenate(one), np.concatenate(other)


def _taken(table: pd.DataFrame) -> Bools:
    """Tell which filled rows lie where another track was seen, or is filled in and was seen more often: one place holds one defect."""
    filled, other = _same_place(table)
    sights = table.groupby("track_id")["observed"].transform("sum").to_numpy(np.float64)
    rank = np.where(table["observed"].to_numpy() == 1, np.inf, sights)
    weaker = (rank[other] > rank[filled]) | ((rank[other] == rank[filled]) & (other < filled))
    drop = np.zeros(len(table), bool)
    drop[filled[weaker]] = True
    return drop


def _one_in_turns(table: pd.DataFrame) -> dict[int, int]:
    """Tracks that are one defect seen in turns: at one place in most frames that they share, never both seen. Id to the id that it belongs to."""
    filled, other = _same_place(table)
    ids = table["track_id"].to_numpy(np.int64)
    pair = np.sort(np.column_stack([ids[filled], ids[other]]), axis=1)
    frame = table["frame"].to_numpy(np.int64)[filled]
    pairs = np.unique(np.column_stack([pair, frame]), axis=0)[:, :2]  # two filled rows at one place stand there twice
    names, counts = np.unique(pairs, axis=0, return_counts=True)
    rows = dict(iter(table.groupby("track_id")[["frame", "observed"]]))
    answer: dict[int, int] = {}
    for (a, b), count in zip(names.tolist(), counts.tolist(), strict=True):
        first, second = rows[a], rows[b]
        shared = np.intersect1d(first["frame"], second["frame"])
        both = np.intersect1d(first.loc[first["observed"] == 1, "frame"], second.loc[second["observed"] == 1, "frame"])
        if len(both) or count < 0.5 * len(shared) or a in answer or b in answer or a in answer.values() or b in answer.values():
            continue
        keep, lose = (a, b) if first["observed"].sum() >= second["observed"].sum() else (b, a)
        answer[lose] = keep
    return answer


def _smoothed(chain: Ints, t_s: Floats, values: Floats, wanted: bool) -> Smoothed:
    if wanted and values.shape[1]:
        return smooth(chain, t_s, values)
    sd = np.broadcast_to(step_noise(chain, values), values.shape) if values.shape[1] else values
    return Smoothed(values, np.zeros_like(values), np.asarray(sd), np.arange(len(values)))


def _rows(chain: Ints, place: Ints, n_frames: int) -> tuple[Ints, Ints]:
    """Sight from which each row is made (the last one up to its frame), and its frame, for every frame of every life.

    A defect that is missed often may be missed in the first frames of the movie, or in the last: where that is not unlikely it was there.
    """
    n = len(chain)
    goes_on = np.append(chain[1:] == chain[:-1], False)
    begins = np.append(True, ~goes_on[:-1])
    sights = np.bincount(chain)[chain]
    span = (1 + _extreme(np.maximum, chain, place) - _extreme(np.minimum, chain, place))[chain]
    missed = np.where(span > sights, 1 - sights / span, 0.0)
    since = np.where(begins & (missed**place >= _UNLIKELY), 0, place)
    after = np.where(missed ** (n_frames - 1 - place) >= _UNLIKELY, n_frames, place + 1)
    until = np.where(goes_on, np.append(place[1:], 0), after)
    length = until - since
    sight = np.repeat(np.arange(n), length)
    return sight, since[sight] + np.arange(len(sight)) - np.repeat(np.cumsum(length) - length, length)


def _between(part: Smoothed, sight: Ints, frame: Ints, chain: Ints, place: Ints, t_s: Floats) -> tuple[Floats, Floats]:
    """Values and their standard deviations at every row: at the sights as smoothed, in gaps between the lines of both sides."""
    after = np.minimum(sight + 1, len(chain) - 1)
    gap = (frame > place[sight]) & (chain[after] == chain[sight])
    after = np.where(gap, after, sight)
    since, ahead = t_s[frame] - t_s[place[sight]], t_s[place[after]] - t_s[frame]
    span = np.maximum(since + ahead, 1e-12)
    share = np.where(gap, since / span, 0.0)
    share = np.where(part.piece[after] == part.piece[sight], share, np.rint(share))[:, None]
    flat = (part.piece[after] != part.piece[sight])[:, None]
    left = part.value[sight] + np.where(flat, 0.0, part.slope[sight] * since[:, None])
    right = part.value[after] - np.where(flat, 0.0, part.slope[after] * ahead[:, None])
    left = np.where(gap[:, None], left, part.value[sight])
    right = np.where(gap[:, None], right, part.value[sight])
    return left * (1 - share) + right * share, np.maximum(part.sd[sight], part.sd[after])


def _classes(seen: pd.DataFrame, chain: Ints) -> NDArray[np.str_]:
    """Class of each chain by the sum of scores over its whole life."""
    names, code = np.unique(seen["defect_class"].to_numpy(str), return_inverse=True)
    votes = np.zeros((int(chain.max()) + 1, len(names)))
    np.add.at(votes, (chain, code), seen["score"].fillna(0.0).to_numpy(np.float64))
    return np.asarray(names[votes.argmax(axis=1)])
