"""The part of the specimen that every frame of a drifting movie shows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from insitrack.io.errors import SettingsError
from insitrack.io.tables.frame_views import view_numbers
from insitrack.io.tables.stream import Columns


def common_window(frames: pd.DataFrame) -> tuple[float, float, float, float]:
    """Left, top, right and lower side of what every frame that was looked at shows, in specimen coordinates.

    px.

    Raises
    ------
    SettingsError
        If the size of the frames is not known, or they have nothing in common.
    """
    looked = frames[(frames["status"] == "processed").to_numpy()]
    views = view_numbers(looked)
    if len(views) and views.max() > views.min():
        later = float(looked["t_s"].to_numpy()[views > views[0]][0])
        raise SettingsError(
            f"--common-field: from {later:.6g} s on the movie shows another view, which has no field in common with"
            " the first; choose one with --start and --end"
        )
    shift = looked[["shift_x_px", "shift_y_px"]].fillna(0.0).to_numpy(np.float64)
    size = looked[["width_px", "height_px"]].to_numpy(np.float64)
    if not len(looked) or not np.isfinite(size).all():
        raise SettingsError("--common-field: the size of the frames is not known; give --size")
    left, top = (-shift).max(axis=0).tolist()
    right, bottom = (size - shift).min(axis=0).tolist()
    if not (right > left and bottom > top):
        raise SettingsError(
            "--common-field: the specimen drifted so far that no part of it is in every frame; give --start"
            " and --end, or leave it out"
        )
    return left, top, right, bottom


def cut_to(window: tuple[float, float, float, float], columns: Columns, frames: pd.DataFrame) -> Columns:
    """Rows that lie in the window, with its sides for borders."""
    left, top, right, bottom = window
    place = np.searchsorted(frames["frame"].to_numpy(), columns["frame"])
    shift = frames[["shift_x_px", "shift_y_px"]].fillna(0.0).to_numpy(np.float64)[place]
    x1, x2 = columns["x1_px"] - shift[:, 0], columns["x2_px"] - shift[:, 0]
    y1, y2 = columns["y1_px"] - shift[:, 1], columns["y2_px"] - shift[:, 1]
    kept = (x2 > left) & (x1 < right) & (y2 > top) & (y1 < bottom)
    out = (x1 <= left) | (y2 >= bottom)
    edge = out | (x2 >= right) | (y1 <= top)
    moved = {
        "on_edge": np.maximum(columns["on_edge"], edge),
        "on_exclusion_edge": np.maximum(columns["on_exclusion_edge"], out),
    }
    moved |= {"x_px": columns["x_px"] - shift[:, 0] - left, "y_px": columns["y_px"] - shift[:, 1] - top}
    cut = {
        name: values if name == "class_names" else moved.get(name, values)[kept]
        for name, values in columns.items()
    }
    return cut


def cut_frames(window: tuple[float, float, float, float], frames: pd.DataFrame) -> pd.DataFrame:
    """Frames of the size of the window; what does not show the specimen keeps its share of the area."""
    left, top, right, bottom = window
    area = (right - left) * (bottom - top)
    share = frames["field_px"] / (frames["width_px"] * frames["height_px"])
    return frames.assign(field_px=share * area, width_px=right - left, height_px=bottom - top)
