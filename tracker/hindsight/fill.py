"""A row for every frame between the first and the last observation of a track: misses filled in.

Two tracks that are one defect, detected in turns, are found here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insitrack.io.arrays import Floats, Ints
from insitrack.io.boxes import box_iou
from insitrack.tracker.hindsight.smooth import Smoothed, smooth, step_noise

_UNLIKELY = 0.05
"""A run of misses that is less likely, at the rate at which a defect is missed, is not taken for one."""
_SAME_PLACE_IOU = 0.5
"""Boxes that overlap by more hold one defect, if one of the two was not seen."""
_UNSCORED = 1e-9
"""Weight of an observation without a score, as one that was drawn by hand."""
SizesOf = Callable[[pd.DataFrame, NDArray[np.str_]], Floats]
"""Sizes of rows of ``tracks.csv``, nm, by the definitions of the classes that are given for them."""
LOG_COLUMNS = ("width", "height", "area_px", "major_px", "minor_px", "size_nm", "area_nm2", "line_length_nm")


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of one observation.

    Parameters
    ----------
    position_px : ndarray of float64, shape (2,)
        Of x and y, px.
    logs : mapping of str to float
        Of the natural logarithm of each of `LOG_COLUMNS`.
    """

    position_px: Floats
    logs: Mapping[str, float]

    @classmethod
    def of(cls, chain: Ints, points: Floats, sizes: pd.DataFrame) -> Noise:
        """Estimate it from the observations of tracks, which stand together, in the order of time."""
        logs = {}
        for name in sizes:
            values = sizes[name].to_numpy(np.float64)
            known = values > 0
            logs[str(name)] = float(step_noise(chain[known], np.log(values[known])[:, None])[0])
        return cls(step_noise(chain, points), logs)


def sizes_to_smooth(seen: pd.DataFrame) -> pd.DataFrame:
    """Return those of `LOG_COLUMNS` that a table of observations has."""
    box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
    sizes = pd.DataFrame({"width": box[:, 2] - box[:, 0], "height": box[:, 3] - box[:, 1]}, index=seen.index)
    own = [name for name in LOG_COLUMNS if name in seen]
    return pd.concat([sizes, seen[own]], axis=1)


def extreme(choose: np.ufunc, chain: Ints, place: Ints) -> Ints:
    """Least or greatest place of each chain."""
    answer = np.full(int(chain.max()) + 1, place[0])
    answer[chain] = place
    choose.at(answer, chain, place)
    return answer


def filled(
    seen: pd.DataFrame,
    points: Floats,
    chain: Ints,
    place: Ints,
    looked: pd.DataFrame,
    shift: Floats,
    *,
    smoothing: bool,
    sizes_of: SizesOf | None = None,
    noise: Noise | None = None,
) -> pd.DataFrame:
    """Take the noise out and make a row for every frame between the first and the last observation.

    Sizes are those by the classes of the tracks, as `sizes_of` gives them; without it they are as measured. Where
    `noise` is not given it is estimated from these tracks.
    """
    names = _classes(seen, chain)
    if sizes_of is not None and len(seen):
        size_nm = sizes_of(seen, names[chain])
        seen = seen.assign(size_nm=size_nm, raw_size_nm=size_nm)
    box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
    sizes = sizes_to_smooth(seen)
    known = [name for name in sizes if (sizes[name] > 0).all()]
    t_s = looked["t_s"].to_numpy(np.float64)
    logs = np.log(sizes[known].to_numpy(np.float64)) if known else np.zeros((len(seen), 0))
    noise = noise or Noise.of(chain, points, sizes)
    spread = np.array([noise.logs[name] for name in known])
    where, large = (
        _smoothed(chain, t_s[place], points, smoothing, noise.position_px),
        _smoothed(chain, t_s[place], logs, smoothing, spread),
    )
    observation, frame = _rows(chain, place, len(looked))
    observed = place[observation] == frame
    xy, xy_sd = _between(where, observation, frame, chain, place, t_s)
    log, log_sd = _between(large, observation, frame, chain, place, t_s)
    size = {name: np.exp(log[:, k]) for k, name in enumerate(known)}
    table = seen.iloc[observation].reset_index(drop=True)
    table["frame"], table["t_s"] = looked["frame"].to_numpy()[frame], t_s[frame]
    table["observed"] = observed.astype(np.int8)
    for name in ("score", "raw_x_px", "raw_y_px", "raw_size_nm"):
        table[name] = np.where(observed, table[name], np.nan)
    if "causal_id" in table:
        table["causal_id"] = np.where(observed, table["causal_id"], -1)
    table["on_edge"] = table["on_edge"].astype(np.int8)
    centre = xy + shift[frame]
    half = (
        np.column_stack([size["width"], size["height"]]) / 2 if "width" in size else np.ones((len(table), 2))
    )
    # outlines lie as they were seen about their centre: a box is not always centred on its mask
    offset = (box[:, :2] + box[:, 2:]) / 2 - seen[["x_px", "y_px"]].to_numpy(np.float64)
    off = np.column_stack(
        [pd.Series(offset[:, k]).groupby(chain).transform("median").to_numpy()[observation] for k in (0, 1)]
    )
    low, high = centre + off - half, centre + off + half
    for name, values in zip(
        ("x_px", "y_px", "x1_px", "y1_px", "x2_px", "y2_px"), (*centre.T, *low.T, *high.T), strict=True
    ):
        table[name] = values
    for name in known:
        if name in table:
            table[name] = size[name]
    table["x_sd_px"], table["y_sd_px"] = xy_sd.T
    table["size_sd_nm"] = (
        log_sd[:, known.index("size_nm")] * table["size_nm"] if "size_nm" in known else np.nan
    )
    table["defect_class"] = names[chain[observation]]
    return table.sort_values(["frame", "track_id"], kind="stable").reset_index(drop=True)


def _same_place(table: pd.DataFrame) -> tuple[Ints, Ints]:
    """Pairs of rows of one frame that lie at one place, the first of them filled in.

    `table` is sorted by frame.
    """
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


def one_in_turns(table: pd.DataFrame) -> dict[int, int]:
    """Find tracks that are one defect, seen under two ids in turns.

    They lie at one place in most frames that they share, and are never both observed. The answer maps
    each id to the id that it belongs to.
    """
    filled, other = _same_place(table)
    ids = table["track_id"].to_numpy(np.int64)
    pair = np.sort(np.column_stack([ids[filled], ids[other]]), axis=1)
    frame = table["frame"].to_numpy(np.int64)[filled]
    pairs = np.unique(np.column_stack([pair, frame]), axis=0)[
        :, :2
    ]  # two filled rows at one place stand there twice
    names, counts = np.unique(pairs, axis=0, return_counts=True)
    rows = dict(iter(table.groupby("track_id")[["frame", "observed"]]))
    answer: dict[int, int] = {}
    for (a, b), count in zip(names.tolist(), counts.tolist(), strict=True):
        first, second = rows[a], rows[b]
        shared = np.intersect1d(first["frame"], second["frame"])
        both = np.intersect1d(
            first.loc[first["observed"] == 1, "frame"], second.loc[second["observed"] == 1, "frame"]
        )
        if (
            len(both)
            or count < 0.5 * len(shared)
            or a in answer
            or b in answer
            or a in answer.values()
            or b in answer.values()
        ):
            continue
        keep, lose = (a, b) if first["observed"].sum() >= second["observed"].sum() else (b, a)
        answer[lose] = keep
    return answer


def _smoothed(chain: Ints, t_s: Floats, values: Floats, wanted: bool, noise: Floats) -> Smoothed:
    if wanted and values.shape[1]:
        return smooth(chain, t_s, values, noise)
    sd = np.broadcast_to(noise, values.shape)
    return Smoothed(values, np.zeros_like(values), np.asarray(sd), np.arange(len(values)))


def _rows(chain: Ints, place: Ints, n_frames: int) -> tuple[Ints, Ints]:
    """Observation that each row is made from (the last one up to its frame), and the frame of each row.

    A defect that is missed often may be missed in the first frames of the movie, or in the last: where that
    is not unlikely it was there.
    """
    n = len(chain)
    goes_on = np.append(chain[1:] == chain[:-1], False)
    begins = np.append(True, ~goes_on[:-1])
    n_seen = np.bincount(chain)[chain]
    span = (1 + extreme(np.maximum, chain, place) - extreme(np.minimum, chain, place))[chain]
    missed = np.where(span > n_seen, 1 - n_seen / span, 0.0)
    since = np.where(begins & (missed**place >= _UNLIKELY), 0, place)
    after = np.where(missed ** (n_frames - 1 - place) >= _UNLIKELY, n_frames, place + 1)
    until = np.where(goes_on, np.append(place[1:], 0), after)
    length = until - since
    observation = np.repeat(np.arange(n), length)
    return observation, since[observation] + np.arange(len(observation)) - np.repeat(
        np.cumsum(length) - length, length
    )


def _between(
    part: Smoothed, observation: Ints, frame: Ints, chain: Ints, place: Ints, t_s: Floats
) -> tuple[Floats, Floats]:
    """Values and their standard deviations at every row.

    At an observation they are the smoothed ones; in a gap they lie between the lines of both sides.
    """
    after = np.minimum(observation + 1, len(chain) - 1)
    gap = (frame > place[observation]) & (chain[after] == chain[observation])
    after = np.where(gap, after, observation)
    since, ahead = t_s[frame] - t_s[place[observation]], t_s[place[after]] - t_s[frame]
    span = np.maximum(since + ahead, 1e-12)
    share = np.where(gap, since / span, 0.0)
    share = np.where(part.piece[after] == part.piece[observation], share, np.rint(share))[:, None]
    flat = (part.piece[after] != part.piece[observation])[:, None]
    left = part.value[observation] + np.where(flat, 0.0, part.slope[observation] * since[:, None])
    right = part.value[after] - np.where(flat, 0.0, part.slope[after] * ahead[:, None])
    left = np.where(gap[:, None], left, part.value[observation])
    right = np.where(gap[:, None], right, part.value[observation])
    return left * (1 - share) + right * share, np.maximum(part.sd[observation], part.sd[after])


def _classes(seen: pd.DataFrame, chain: Ints) -> NDArray[np.str_]:
    """Class of each chain by the sum of scores over its whole life; what has no score decides where nothing else does."""
    names, code = np.unique(seen["defect_class"].to_numpy(str), return_inverse=True)
    votes = np.zeros((int(chain.max()) + 1, len(names)))
    np.add.at(votes, (chain, code), seen["score"].fillna(_UNSCORED).to_numpy(np.float64))
    return np.asarray(names[votes.argmax(axis=1)])
