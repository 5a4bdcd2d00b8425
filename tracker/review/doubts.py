"""Which tracks of a run somebody should look at first, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_SURE, _JUMP_RADII, _OFTEN, _SHORT = 0.9, 1.5, 0.6, 3
_ENCOUNTER = 0.35
"""Doubt in a track that an event joins to another, or cuts off from one."""


def doubts_of(rows: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Tell how doubtful every track is.

    Doubts are taken as independent: a low probability, finds that were seen as other classes, a jump of more than
    `_JUMP_RADII` radii between neighbouring frames, a merge or split, many misses, and a life of few frames.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``tracks.csv``, with `seen_class`.
    events : DataFrame
        Rows of ``events.csv``.

    Returns
    -------
    DataFrame
        One row per track, the most doubtful first: `track_id defect_class first last n n_observed probability
        size_nm doubt frame reasons`; `doubt` is 0..1, `frame` the one to look at, `reasons` are words, joined by
        semicolons.
    """
    rows = rows.sort_values(["track_id", "frame"], kind="stable").reset_index(drop=True)
    seen = rows[rows["observed"] == 1]
    groups = rows.groupby("track_id", sort=True)
    table = groups.agg(
        defect_class=("defect_class", "first"),
        first=("frame", "first"),
        last=("frame", "last"),
        n=("frame", "size"),
        size_nm=("size_nm", "mean"),
    )
    own = seen.groupby("track_id")
    table["n_observed"] = own.size().reindex(table.index).fillna(0).astype(int)
    table["probability"] = own["probability"].mean().reindex(table.index)
    parts = [
        _low_probability(table, seen),
        _class_swings(table, seen),
        _jumps(rows, table),
        _encounters(events, table),
        _misses(table),
    ]
    trust = np.ones(len(table))
    frame = table["first"].to_numpy(np.int64).copy()
    worst = np.zeros(len(table))
    reasons: list[list[str]] = [[] for _ in range(len(table))]
    for doubt, words, place in parts:
        trust *= 1 - doubt
        better = doubt > worst
        frame = np.where(better, place, frame)
        worst = np.maximum(worst, doubt)
        for k in np.flatnonzero(doubt > 0).tolist():
            reasons[k].append(words[k])
    table["doubt"], table["frame"] = 1 - trust, frame
    table["reasons"] = ["; ".join(words) for words in reasons]
    return by_doubt(table.reset_index())


def by_doubt(table: pd.DataFrame) -> pd.DataFrame:
    """Sort tracks so that the most doubtful come first."""
    table = table.sort_values(["doubt", "track_id"], ascending=[False, True], kind="stable")
    answer: pd.DataFrame = table.reset_index(drop=True)
    return answer


_Part = tuple[
    "np.ndarray[tuple[int], np.dtype[np.float64]]", list[str], "np.ndarray[tuple[int], np.dtype[np.int64]]"
]


def _low_probability(table: pd.DataFrame, seen: pd.DataFrame) -> _Part:
    probability = table["probability"].to_numpy(np.float64)
    doubt = np.clip((_SURE - np.nan_to_num(probability, nan=1.0)) / _SURE, 0, 1)
    known = seen[seen["probability"].notna()]
    least = known.loc[known.groupby("track_id")["probability"].idxmin()].set_index("track_id")["frame"]
    place = least.reindex(table.index).fillna(table["first"]).to_numpy(np.int64)
    return doubt, [f"probability {value:.2f}" for value in probability.tolist()], place


def _class_swings(table: pd.DataFrame, seen: pd.DataFrame) -> _Part:
    other = seen[seen["seen_class"].to_numpy() != seen["defect_class"].to_numpy()]
    share = (
        other.groupby("track_id").size().reindex(table.index).fillna(0) / table["n_observed"].clip(lower=1)
    ).to_numpy(np.float64)
    first = other.groupby("track_id")["frame"].first().reindex(table.index).fillna(table["first"])
    counts = other.groupby(["track_id", "seen_class"]).size().rename("n").reset_index()
    most = counts.sort_values("n", ascending=False, kind="stable").drop_duplicates("track_id")
    names = dict(zip(most["track_id"].tolist(), most["seen_class"].tolist(), strict=True))
    words = [""] * len(table)
    for k in np.flatnonzero(share > 0).tolist():
        name = str(names[table.index[k]]).replace("_", " ")
        words[k] = f"seen as {name} in {share[k]:.0%}" if share[k] >= 0.005 else f"once seen as {name}"
    return np.minimum(1.0, 1.2 * share), words, first.to_numpy(np.int64)


def _jumps(rows: pd.DataFrame, table: pd.DataFrame) -> _Part:
    ids, frame = rows["track_id"].to_numpy(np.int64), rows["frame"].to_numpy(np.int64)
    x = (
        rows[["raw_x_px", "raw_y_px"]].to_numpy(np.float64)
        if "raw_x_px" in rows
        else rows[["x_px", "y_px"]].to_numpy(np.float64)
    )
    known = np.isfinite(x).all(axis=1)
    ids, frame, x = ids[known], frame[known], x[known]
    radius = np.sqrt(rows["area_px"].to_numpy(np.float64)[known] / np.pi)
    step = np.linalg.norm(np.diff(x, axis=0), axis=1)
    reach = step / np.maximum(1.0, radius[1:])
    same = (ids[1:] == ids[:-1]) & (reach > _JUMP_RADII)
    doubt, place, words = np.zeros(len(table)), table["first"].to_numpy(np.int64).copy(), [""] * len(table)
    at = np.searchsorted(table.index.to_numpy(np.int64), ids[1:][same])
    for k, far, px, number in zip(
        at.tolist(), reach[same].tolist(), step[same].tolist(), frame[1:][same].tolist(), strict=True
    ):
        value = min(0.9, 0.25 * far)
        if value > doubt[k]:
            doubt[k], place[k], words[k] = value, number, f"jumps {px:.0f} px"
    return doubt, words, place


def _encounters(events: pd.DataFrame, table: pd.DataFrame) -> _Part:
    doubt, place, words = np.zeros(len(table)), table["first"].to_numpy(np.int64).copy(), [""] * len(table)
    chosen = events[events["kind"].isin(("merge", "split"))]
    where = {name: k for k, name in enumerate(table.index.tolist())}
    for frame, kind, track, other in chosen[["frame", "kind", "track_id", "other_id"]].itertuples(
        index=False
    ):
        if track in where:
            k = where[track]
            doubt[k], place[k] = _ENCOUNTER, frame
            words[k] = f"{'merges into' if kind == 'merge' else 'splits from'} {other}"
    return doubt, words, place


def _misses(table: pd.DataFrame) -> _Part:
    n, seen = table["n"].to_numpy(np.float64), table["n_observed"].to_numpy(np.float64)
    share = seen / np.maximum(1.0, n)
    rare, short = np.clip((_OFTEN - share) / _OFTEN, 0, 1), np.where(n <= _SHORT, 0.3, 0.0)
    doubt = 1 - (1 - 0.6 * rare) * (1 - short)
    words = [
        "; ".join(
            text
            for text, holds in (
                (f"seen in {one:.0%} of its frames", one < _OFTEN),
                (f"{int(all_)} frame{'s' * (all_ > 1)} long", all_ <= _SHORT),
            )
            if holds
        )
        for one, all_ in zip(share.tolist(), n.tolist(), strict=True)
    ]
    return doubt, words, table["first"].to_numpy(np.int64)
