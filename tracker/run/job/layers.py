"""Layers of napari: the pixels of outlines under the ids of their tracks, and tracks with what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.tables.outlines.masks import FrameMasks

if TYPE_CHECKING:
    import pandas as pd

_FEATURES = ("defect_class", "t_s", "size_nm", "area_px", "probability", "observed")


def painted(found: FrameMasks | None, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Return the ids of the tracks in the pixels of a frame; small outlines lie above large ones."""
    out = np.zeros(shape, np.uint32)
    if found is None:
        return out
    for i in np.argsort(-found.masks.area_px(), kind="stable").tolist():
        (y, x), crop = found.masks.corners[i].tolist(), found.masks.crop(i)
        up, left = max(0, -y), max(0, -x)
        part = crop[up : max(up, shape[0] - y), left : max(left, shape[1] - x)]
        window = out[y + up : y + up + part.shape[0], x + left : x + left + part.shape[1]]
        window[part] = found.track_ids[i]
    return out


def tracks_layer(
    tracks: pd.DataFrame, place: Mapping[int, int], name: str
) -> tuple[NDArray[np.float64], dict[str, Any], str]:
    """Return tracks as a layer.

    Parameters
    ----------
    tracks : DataFrame
        Rows of ``tracks.csv``.
    place : mapping of int to int
        Place in the stack of every frame that is in it.
    name : str
        Name of the run.
    """
    rows = tracks[tracks["frame"].isin(place)].sort_values(["track_id", "frame"])
    data = np.column_stack([rows["track_id"], rows["frame"].map(place), rows["y_px"], rows["x_px"]])
    features = {column: rows[column].to_numpy() for column in _FEATURES if column in rows}
    return (
        data.astype(np.float64),
        {"name": f"{name} tracks", "features": features, "tail_length": 30},
        "tracks",
    )
