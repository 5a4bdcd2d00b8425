"""Lifetimes and births where identities are not sure: expected, or between every unsure end a death and none of them.

A step that may lead to a stranger hides a death and a birth with some chance. While few are unsure, tracks count in
four versions of a quarter each, cut at the steps whose chance is above one, three, five and seven eighths: a step of
any chance is cut in as large a share of them.

Where too many are unsure there are bounds. Most ends are plain also then. A step that may lead to a stranger hides a
death, or does not; an end near a beginning is a death, or is not. Both extremes are estimated as if they were true, and
the outer ends of their intervals hold the truth whatever became of the unsure ends (Manski, Partial Identification of
Probability Distributions, Springer 2003).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from insitrack.io.arrays import Bools, Ints
from insitrack.tracker.kinetics.identities import Identities, cut_tracks
from insitrack.tracker.kinetics.lives import Lives
from insitrack.tracker.kinetics.watched import Watched, watch

_BOUNDED = ("lifetime_mean_s", "lifetime_median_s", "nucleation_per_m2_s")
"""Quantities of which bounds say something; a shape lies anywhere between two laws."""
_HOW = "bounds: all unsure ends deaths; and none of them"


_LEVELS = (0.125, 0.375, 0.625, 0.875)


class Version(NamedTuple):
    """Lives, were the identities these; `owner` is the track of the run that each belongs to."""

    seen: Watched
    owner: Ints


def extremes(
    rows: pd.DataFrame, looked: pd.DataFrame, merged: frozenset[int], found: Identities, *, weigh: bool
) -> tuple[Version, Version]:
    """Watch the tracks as if every unsure end were a death, and as if none were.

    Parameters
    ----------
    rows, looked, merged, weigh
        As in `insitrack.tracker.kinetics.watched.watch`.
    found : Identities
        Of the same rows.
    """
    many = _cut(rows, looked, merged, found.unsure_steps(), weigh=weigh, missed=None)
    few = watch(rows, looked, merged | found.no_ends(rows), weigh=weigh)
    sure = ~np.isin(few.track_id, list(found.no_beginnings(rows)))
    few = replace(few, lives=replace(few.lives, began=few.lives.began & sure), countable=few.countable & sure)
    return many, Version(few, few.track_id)


def expected(
    seen: Watched,
    rows: pd.DataFrame,
    looked: pd.DataFrame,
    merged: frozenset[int],
    found: Identities,
    *,
    weigh: bool,
) -> Version:
    """Count each track that has unsure steps whole and cut, as often as is likely.

    Parameters
    ----------
    seen : Watched
        The tracks as they are.
    rows, looked, merged, weigh
        As in `insitrack.tracker.kinetics.watched.watch`.
    found : Identities
        Of the same rows.
    """
    track = rows["track_id"].to_numpy(np.int64)
    unsure = np.unique(track[found.stranger > _LEVELS[0]])
    if not len(unsure):
        return Version(seen, seen.track_id)
    mine, missed = np.isin(track, unsure), seen.lives.miss_share()
    some, chance = rows[mine], found.stranger[mine]
    versions = [_cut(some, looked, merged, chance > one, weigh=weigh, missed=missed) for one in _LEVELS]
    sure = ~np.isin(seen.track_id, unsure)
    first = Watched(
        seen.track_id[sure], seen.lives.take(sure), seen.countable[sure], seen.exposure_px2_looks[sure]
    )
    parts = [first, *(_with_share(one.seen, 1 / len(_LEVELS)) for one in versions)]
    lives = [np.concatenate([getattr(one.lives, field.name) for one in parts]) for field in fields(Lives)]
    together = Watched(
        np.concatenate([one.track_id for one in parts]),
        Lives(*lives),
        np.concatenate([one.countable for one in parts]),
        np.concatenate([one.exposure_px2_looks for one in parts]),
    )
    return Version(together, np.concatenate([first.track_id, *(one.owner for one in versions)]))


def _with_share(seen: Watched, share: float) -> Watched:
    return replace(seen, lives=replace(seen.lives, weight=share * seen.lives.weight))


def _cut(
    rows: pd.DataFrame,
    looked: pd.DataFrame,
    merged: frozenset[int],
    at: Bools,
    *,
    weigh: bool,
    missed: float | None,
) -> Version:
    """Watch tracks that are cut before the rows `at`; the last piece of one that merged has merged."""
    pieces = cut_tracks(rows, at)
    order = np.argsort(rows["frame"].to_numpy(), kind="stable")
    whole, cut = (one["track_id"].to_numpy(np.int64)[order] for one in (rows, pieces))
    last_piece = dict(zip(whole.tolist(), cut.tolist(), strict=True))
    ends = frozenset(last_piece[one] for one in merged if one in last_piece)
    seen = watch(pieces, looked, ends, weigh=weigh, missed=missed)
    names, first = np.unique(cut, return_index=True)
    return Version(seen, whole[first][np.searchsorted(names, seen.track_id)])


def between(
    rows: Sequence[dict[str, object]], ends: Sequence[Sequence[dict[str, object]]], doubt: str
) -> list[dict[str, object]]:
    """Return the rows without their values, with the outer ends of the intervals of both extremes, and the reason.

    Parameters
    ----------
    rows : sequence of dict
        Rows of ``kinetics.csv``.
    ends : sequence of sequence of dict
        The same of either extreme; where one of them tells nothing, there are no bounds.
    doubt : str
        Why there are no values.
    """
    answer = []
    for row in rows:
        both = [one for some in ends for one in some if one["quantity"] == row["quantity"]]
        told = row["quantity"] in _BOUNDED and all(math.isfinite(_number(one["value"])) for one in both)
        lo = min((_number(one["lo"]) for one in both), default=math.nan) if told else math.nan
        hi = max((_number(one["hi"]) for one in both), default=math.nan) if told else math.nan
        how = _HOW if told else row["method"]
        answer.append({**row, "value": math.nan, "lo": lo, "hi": hi, "method": how, "why": doubt})
    return answer


def _number(cell: object) -> float:
    return float(str(cell))
