"""Views and scales of the frames of a run, as ``frames.csv`` tells them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from insitrack.io.arrays import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd


def view_numbers(frames: pd.DataFrame) -> Ints:
    """Return the number of the view of each frame; all are of the first one in tables of earlier versions.

    Parameters
    ----------
    frames : DataFrame
        Rows of ``frames.csv``.

    Returns
    -------
    ndarray of int64, shape (F,)
    """
    if "view" not in frames:
        return np.zeros(len(frames), np.int64)
    return np.asarray(np.nan_to_num(frames["view"].to_numpy(np.float64)), np.int64)


def frame_scales(frames: pd.DataFrame, nm_per_px: float) -> Floats:
    """Return the scale of each frame, nm, NaN where unknown.

    Parameters
    ----------
    frames : DataFrame
        Rows of ``frames.csv``.
    nm_per_px : float
        Scale of the run, nm, NaN where unknown: that of all frames whose table tells none.

    Returns
    -------
    ndarray of float64, shape (F,)
    """
    if "nm_per_px" not in frames or "view" not in frames:
        return np.full(len(frames), nm_per_px)
    told = frames["nm_per_px"].to_numpy(np.float64)
    first = view_numbers(frames) == 0
    return np.where(first, nm_per_px, told)


def look_interval_s(looked: pd.DataFrame) -> float:
    """Median time between looks, s, NaN where there is none; the time between two views is not one between looks.

    Parameters
    ----------
    looked : DataFrame
        Rows of ``frames.csv`` in which somebody looked, in order.
    """
    same = np.diff(view_numbers(looked)) == 0
    return float(np.median(np.diff(looked["t_s"].to_numpy(np.float64))[same])) if same.any() else math.nan
