"""Tracks with hindsight: gaps closed, false detections judged, noise taken out and misses filled in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from insitrack.io.arrays import Floats, Ints
from insitrack.io.tables.frame_views import frame_scales, view_numbers
from insitrack.tracker.existence.judge import Judge
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.hindsight.fill import Noise, SizesOf, filled, one_in_turns, sizes_to_smooth
from insitrack.tracker.hindsight.join import Joiner
from insitrack.tracker.hindsight.settings import RefineConfig


@dataclass(frozen=True, slots=True)
class Refined:
    """Tables with hindsight, and what was done.

    Parameters
    ----------
    tracks : DataFrame
        Rows of ``tracks.csv``, sorted by frame and track, `observed` 0 where a gap was filled; beside its
        columns those of the observations as they were: `raw_x_px`, `raw_y_px` in specimen coordinates and
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
    existence: ExistenceConfig | None = None,
    nm_per_px: float = math.nan,
    keep_ids: bool = False,
    sizes_of: SizesOf | None = None,
    noise: Mapping[int, Noise] | None = None,
) -> Refined:
    """Improve the tracks of a finished run.

    Parameters
    ----------
    tracks : DataFrame
        Columns of ``tracks.csv``; rows with `observed` 0 are recomputed.
    frames : DataFrame
        Columns of ``frames.csv``: times, drift, and which frames were processed.
    config : RefineConfig
        What to do.
    existence : ExistenceConfig or None
        How candidates become defects; None: their scores say nothing, and tracks are judged by how often they
        were seen of the times that they could have been.
    nm_per_px : float
        Scale, nm; NaN where unknown.
    keep_ids : bool
        Take the tracks as they are: smooth and fill them only; nothing is judged.
    sizes_of : callable, optional
        Gives the sizes of rows by the classes of their tracks; None: sizes do not depend on them.
    noise : mapping of int to Noise, optional
        Noise of an observation in each view, see `noise_of`; left out, it is that of these tracks.

    Returns
    -------
    Refined
    """
    looked = looked_at(frames)
    views = view_numbers(looked)
    if len(views) and views[-1] != views[0]:
        of_all = {"existence": existence, "keep_ids": keep_ids, "sizes_of": sizes_of}
        return _view_by_view(tracks, looked, views, config, nm_per_px, of_all, noise or {})
    seen, points, place, shift = _observations(tracks, looked)
    if not len(seen):
        return Refined(_nothing(seen), {"noise_px": math.nan})
    if keep_ids:
        chain = np.unique(seen["track_id"].to_numpy(), return_inverse=True)[1]
        own = (noise or {}).get(int(views[0])) or Noise.of(chain, points, sizes_to_smooth(seen))
        facts = {"noise_px": float(own.position_px.max())}
        return _finish(seen, points, chain, place, looked, shift, config, facts, sizes_of=sizes_of, noise=own)
    joiner = Joiner(seen, points, place, looked["t_s"].to_numpy(np.float64), config, nm_per_px)
    judge, chain, facts = _judged(joiner, seen["score"].to_numpy(np.float64), len(looked), config, existence)
    order = np.flatnonzero(chain >= 0)
    if not len(order):
        return Refined(_nothing(seen), {**facts, "rows_filled": 0})
    order = order[np.lexsort((place[order], chain[order]))]
    # the id of a chain is that of the causal track that gives it the most observations
    chain = np.unique(chain[order], return_inverse=True)[1]
    place, points = place[order], points[order]
    seen = seen.iloc[order].reset_index(drop=True)
    seen["track_id"] = names_of(chain, seen["track_id"].to_numpy(np.int64))
    return _finish(seen, points, chain, place, looked, shift, config, facts, judge, sizes_of)


def noise_of(tracks: pd.DataFrame, frames: pd.DataFrame) -> dict[int, Noise]:
    """Noise of an observation in each view of a run, estimated from all its tracks; arguments as for `refine`."""
    looked = looked_at(frames)
    views, answer = view_numbers(looked), {}
    for view in np.unique(views).tolist():
        seen, points, _, _ = _observations(tracks, looked[views == view])
        chain = np.unique(seen["track_id"].to_numpy(), return_inverse=True)[1]
        answer[int(view)] = Noise.of(chain, points, sizes_to_smooth(seen))
    return answer


def _observations(tracks: pd.DataFrame, looked: pd.DataFrame) -> tuple[pd.DataFrame, Floats, Ints, Floats]:
    """Observations by track and time, where each lay on the specimen, its place among the frames, and their drift."""
    seen = tracks[(tracks["observed"] == 1) & tracks["frame"].isin(looked["frame"])]
    order = np.lexsort((seen["frame"].to_numpy(), seen["track_id"].to_numpy()))
    seen = seen.iloc[order].reset_index(drop=True)
    place = np.searchsorted(looked["frame"].to_numpy(), seen["frame"].to_numpy())
    shift = looked[["shift_x_px", "shift_y_px"]].fillna(0.0).to_numpy(np.float64)
    points = seen[["x_px", "y_px"]].to_numpy(np.float64) - shift[place]
    corner = seen[["x1_px", "y1_px"]].to_numpy(np.float64) - shift[place]
    return seen, np.where(np.isfinite(points), points, corner), place, shift


def _view_by_view(
    tracks: pd.DataFrame,
    looked: pd.DataFrame,
    views: Ints,
    config: RefineConfig,
    nm_per_px: float,
    of_all: Mapping[str, Any],
    noise: Mapping[int, Noise],
) -> Refined:
    """Refine every view as if it were a movie of its own: nothing is joined, filled or judged across."""
    parts, spare = [], int(tracks["track_id"].max()) + 1 if len(tracks) else 1
    for view in np.unique(views).tolist():
        frames = looked[views == view]
        scale = float(frame_scales(frames, nm_per_px)[0])
        mine = tracks[tracks["frame"].isin(frames["frame"])]
        own = {0: noise[view]} if view in noise else None
        one = refine(mine, frames.drop(columns="view"), config, nm_per_px=scale, noise=own, **of_all)
        # an id that hindsight had to make up must not be that of another view
        made_up = np.setdiff1d(one.tracks["track_id"].unique(), mine["track_id"].unique())
        names = dict(zip(made_up.tolist(), range(spare, spare + len(made_up)), strict=True))
        spare += len(made_up)
        parts.append(Refined(one.tracks.assign(track_id=one.tracks["track_id"].replace(names)), one.facts))
    table = pd.concat([part.tracks for part in parts if len(part.tracks)] or [parts[0].tracks])
    table = table.sort_values(["frame", "track_id"], kind="stable").reset_index(drop=True)
    facts: dict[str, float] = {}
    for name in {name: None for part in parts for name in part.facts}:
        values = [part.facts[name] for part in parts if name in part.facts]
        if name.startswith("glide_direction"):
            facts[name] = values[0]
        else:
            facts[name] = max(values) if name == "noise_px" else sum(values)
    return Refined(table, facts)


def _judged(
    joiner: Joiner, score: Floats, n_looks: int, config: RefineConfig, existence: ExistenceConfig | None
) -> tuple[Judge, Ints, dict[str, float]]:
    """Judge the joined tracks: chain of every observation, -1 for those of false detections, and the facts."""
    chain, place = joiner.join(), joiner.place
    order = np.lexsort((place, chain))
    sorted_by_track = chain[order], place[order], score[order]
    judge = Judge.of(*sorted_by_track, n_looks, existence)
    looks = judge.along(*sorted_by_track)
    believed = (looks.row >= 0) & (looks.probability >= judge.keep)
    good = np.bincount(looks.chain[believed], minlength=int(chain.max()) + 1) > 0
    kept = good[chain]
    if config.glide_nm or config.glide_diameters:
        chain = joiner.across_jumps(chain, kept)
    dropped = {
        "tracks_dropped": int(np.count_nonzero(~good)),
        "rows_dropped": int(np.count_nonzero(~kept)),
    }
    return judge, np.where(kept, chain, -1), {**joiner.facts, **dropped}


def _nothing(seen: pd.DataFrame) -> pd.DataFrame:
    """Make the table of no track at all."""
    return seen.iloc[:0].assign(raw_x_px=0.0, raw_y_px=0.0, raw_size_nm=0.0)


def looked_at(frames: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``frames.csv`` in which specimen was looked at, in order."""
    seen = frames["status"] == "processed"
    if "field_px" in frames:
        seen &= frames["field_px"] != 0
    return frames[seen].sort_values("frame")


def on_specimen(rows: pd.DataFrame, looked: pd.DataFrame) -> pd.DataFrame:
    """Add to rows of ``tracks.csv`` where on the specimen they lie, px of the first frame: drift taken off.

    Parameters
    ----------
    rows : DataFrame
        With `frame`, `x_px` and `y_px`.
    looked : DataFrame
        What `looked_at` gives.
    """
    place = np.searchsorted(looked["frame"].to_numpy(), rows["frame"].to_numpy()).clip(
        max=max(0, len(looked) - 1)
    )
    shift = looked[["shift_x_px", "shift_y_px"]].fillna(0.0).to_numpy(np.float64)
    moved = shift[place] if len(shift) else np.zeros((0, 2))
    return rows.assign(specimen_x_px=rows["x_px"] - moved[:, 0], specimen_y_px=rows["y_px"] - moved[:, 1])


def names_of(chain: Ints, track_id: Ints) -> Ints:
    """Ids of the chains: each takes the causal id that most of its observations had.

    One that a chain with more of them has taken is not free.
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
    judge: Judge | None = None,
    sizes_of: SizesOf | None = None,
    noise: Noise | None = None,
) -> Refined:
    seen = seen.assign(raw_x_px=points[:, 0], raw_y_px=points[:, 1], raw_size_nm=seen["size_nm"])
    table = filled(
        seen, points, chain, place, looked, shift, smoothing=config.smooth, sizes_of=sizes_of, noise=noise
    )
    if judge is not None and (belongs := one_in_turns(table)):
        facts["joined_in_turns"] = len(belongs)
        seen["track_id"] = seen["track_id"].replace(belongs)
        order = np.lexsort((place, seen["track_id"].to_numpy()))
        seen, points, place = seen.iloc[order].reset_index(drop=True), points[order], place[order]
        chain = np.unique(seen["track_id"].to_numpy(), return_inverse=True)[1]
        table = filled(seen, points, chain, place, looked, shift, smoothing=config.smooth, sizes_of=sizes_of)
    if judge is not None:
        table["probability"] = _probability(table, seen, chain, place, looked, judge)
        observed = (table["observed"] == 1).to_numpy()
        believed = np.array(table["probability"] >= judge.keep)
        if judge.evidence is None:
            believed |= observed
        facts["rows_dropped"] += int(np.count_nonzero(observed & ~believed))
        table = table[believed].reset_index(drop=True)
    elif "probability" in table:
        table["probability"] = table["probability"].where(table["observed"] == 1)
    facts["rows_filled"] = int(np.count_nonzero(table["observed"] == 0))
    return Refined(table, facts)


def _probability(
    table: pd.DataFrame, seen: pd.DataFrame, chain: Ints, place: Ints, looked: pd.DataFrame, judge: Judge
) -> Floats:
    """Probability of existence of every row, seen or filled in.

    Beyond the ends of a track it is that of the nearest one, and none where frames between share few defects.
    """
    looks = judge.along(chain, place, seen["score"].to_numpy(np.float64))
    n = judge.n_looks + 1
    key = looks.chain * n + looks.place
    first = np.searchsorted(looks.chain, np.arange(int(chain[-1]) + 1))
    last = np.append(first[1:], len(key)) - 1
    ids = seen["track_id"].to_numpy()[np.searchsorted(chain, np.arange(len(first)))]
    order = np.argsort(ids)
    track = order[np.searchsorted(ids, table["track_id"].to_numpy(), sorter=order)]
    at = np.searchsorted(looked["frame"].to_numpy(), table["frame"].to_numpy())
    near = np.clip(at, looks.place[first[track]], looks.place[last[track]])
    part = np.cumsum(judge.apart)
    probability = looks.probability[np.searchsorted(key, track * n + near)]
    return np.asarray(np.where(part[at] == part[near], probability, 0.0))
