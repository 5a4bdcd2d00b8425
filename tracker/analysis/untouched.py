"""What edits leave alone keeps its digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from insitrack.tracker.hindsight.refine import looked_at

if TYPE_CHECKING:
    import pandas as pd

_KEY = ["frame", "causal_id"]


def with_raw(now: pd.DataFrame, observed: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``tracks.csv``, with their observations as they were measured.

    Parameters
    ----------
    now : DataFrame
        Rows of ``tracks.csv``.
    observed : DataFrame
        Observations as measured, with ``seen_class``.
    frames : DataFrame
        Rows of ``frames.csv``.
    """
    shift = looked_at(frames).set_index("frame")[["shift_x_px", "shift_y_px"]].fillna(0.0)
    measured = observed.join(shift, on="frame")
    measured = measured[_KEY].assign(
        raw_x_px=measured["x_px"] - measured["shift_x_px"],
        raw_y_px=measured["y_px"] - measured["shift_y_px"],
        raw_size_nm=measured["size_nm"],
        seen_class=measured["seen_class"],
    )
    rows = now.merge(measured, on=_KEY, how="left")
    rows["seen_class"] = rows["seen_class"].fillna(rows["defect_class"])
    return rows


def join_rows(*tables: pd.DataFrame) -> pd.DataFrame:
    """Rows of all, in the order of ``tracks.csv``."""
    import pandas as pd

    parts = [part for part in tables if len(part)] or [tables[0]]
    joined = pd.concat(parts, ignore_index=True)
    order = np.lexsort((joined["track_id"].to_numpy(), joined["frame"].to_numpy()))
    return joined.iloc[order].reset_index(drop=True)
