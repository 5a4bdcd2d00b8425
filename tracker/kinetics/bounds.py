"""Bounds of lifetimes and births where identities are not sure: every unsure end a death, or none of them.

Most ends are plain also where many are not. A step that may lead to a stranger hides a death, or does not; an end near
a beginning is a death, or is not. Both extremes are estimated as if they were true, and the outer ends of their
intervals hold the truth whatever became of the unsure ends (Manski, Partial Identification of Probability
Distributions, Springer 2003).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from insitrack.io.arrays import Ints
from insitrack.tracker.kinetics.identities import Identities
from insitrack.tracker.kinetics.watched import Watched, watch

_BOUNDED = ("lifetime_mean_s", "lifetime_median_s", "nucleation_per_m2_s")
"""Quantities of which bounds say something; a shape lies anywhere between two laws."""
_HOW = "bounds: all unsure ends deaths; and none of them"


class Extreme(NamedTuple):
    """Lives if every unsure end were one, or none; `owner` is the track of the run that each belongs to."""

    seen: Watched
    owner: Ints


def extremes(
    rows: pd.DataFrame, looked: pd.DataFrame, merged: frozenset[int], found: Identities, *, weigh: bool
) -> tuple[Extreme, Extreme]:
    """Watch the tracks as if every unsure end were a death, and as if none were.

    Parameters
    ----------
    rows, looked, merged, weigh
        As in `insitrack.tracker.kinetics.watched.watch`.
    found : Identities
        Of the same rows.
    """
    pieces = found.each_end_counts(rows)
    order = np.argsort(rows["frame"].to_numpy(), kind="stable")
    last_piece = dict(
        zip(
            rows["track_id"].to_numpy()[order].tolist(),
            pieces["track_id"].to_numpy()[order].tolist(),
            strict=True,
        )
    )
    many = watch(
        pieces, looked, frozenset(last_piece[one] for one in merged if one in last_piece), weigh=weigh
    )
    names, first = np.unique(pieces["track_id"].to_numpy(np.int64), return_index=True)
    of = rows["track_id"].to_numpy(np.int64)[first]
    few = watch(rows, looked, merged | found.no_ends(rows), weigh=weigh)
    sure = ~np.isin(few.track_id, list(found.no_beginnings(rows)))
    few = replace(few, lives=replace(few.lives, began=few.lives.began & sure), countable=few.countable & sure)
    return Extreme(many, of[np.searchsorted(names, many.track_id)]), Extreme(few, few.track_id)


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
