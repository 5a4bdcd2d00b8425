"""What edits leave alone keeps its digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from insitrack.tracker.hindsight.refine import looked_at

if TYPE_CHECKING:
    import pandas as pd

_KEY = ["frame", "causal_id"]


def changed_tracks(before: pd.DataFrame, after: pd.DataFrame) -> set[int]:
    """Tracks that an edit changes: they lose, get or rename observations, are new, or are there no more.

    Parameters
    ----------
    before, after : DataFrame
        Observations, with ``frame``, ``causal_id``, ``track_id`` and ``defect_class``.
    """
    both = before[[*_KEY, "track_id", "defect_class"]].merge(
        after[[*_KEY, "track_id", "defect_class"]], on=_KEY, how="outer", suffixes=("", "_new")
    )
    same = (both["track_id"] == both["track_id_new"]) & (both["defect_class"] == both["defect_class_new"])
    changed = both[~same]
    names = np.concatenate([changed[name].dropna().to_numpy() for name in ("track_id", "track_id_new")])
    return {int(name) for name in names}


def untouched_rows(
    now: pd.DataFrame, observed: pd.DataFrame, frames: pd.DataFrame, changed: set[int]
) -> pd.DataFrame:
    """Rows of ``tracks.csv`` of the tracks that no edit changes, with their observations as they were measured.

    Parameters
    ----------
    now : DataFrame
        Rows of ``tracks.csv``.
    observed : DataFrame
        Observations as measured, with ``seen_class``.
    frames : DataFrame
        Rows of ``frames.csv``.
    changed : set of int
        Tracks that are left out.
    """
    rows = now[~now["track_id"].isin(changed)]
    shift = looked_at(frames).set_index("frame")[["shift_x_px", "shift_y_px"]].fillna(0.0)
    measured = observed.join(shift, on="frame")
    measured = measured[_KEY].assign(
        raw_x_px=measured["x_px"] - measured["shift_x_px"],
        raw_y_px=measured["y_px"] - measured["shift_y_px"],
        raw_size_nm=measured["size_nm"],
        seen_class=measured["seen_class"],
    )
    rows = rows.merge(measured, on=_KEY, how="left")
    rows["seen_class"] = rows["seen_class"].fillna(rows["defect_class"])
    return rows


def join_rows(kept: pd.DataFrame, anew: pd.DataFrame) -> pd.DataFrame:
    """Rows of both, in the order of ``tracks.csv``."""
    import pandas as pd

    parts = [part for part in (kept, anew) if len(part)] or [kept]
    joined = pd.concat(parts, ignore_index=True)
    return joined.sort_values(["frame", "track_id"], kind="stable").reset_index(drop=True)
