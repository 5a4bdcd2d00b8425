"""Which track goes on with which observation: gates, costs and the cheapest pairing of a frame."""

from __future__ import annotations

import math

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.boxes import paired_box_iou
from insitrack.tracker.link import filter as track_filter
from insitrack.tracker.link.assign import assign, gated_pairs
from insitrack.tracker.link.point_drift import drift_of_points
from insitrack.tracker.link.settings import LinkConfig
from insitrack.tracker.link.state import Observations, Tracks

_MISS_COST = 1.3
"""Cost of leaving a track without a detection. A pair costs 0 where nothing has changed; a step as long as
the gate costs 1."""
_TENTATIVE_COST = 0.2
"""Cost of a detection that goes to a track which is not confirmed: of two that could take it, the older one does."""
_IOU_WEIGHT, _SIZE_WEIGHT, _SCORE_WEIGHT = 0.3, 0.3, 0.1
"""Cost of boxes that do not overlap, of a size that changes by the largest ratio allowed, of a score of 0."""


def match(tracks: Tracks, seen: Observations, config: LinkConfig, nm_per_px: float) -> tuple[Ints, Ints]:
    """Pair live tracks with the observations of a frame at the least cost in all.

    Parameters
    ----------
    tracks : Tracks
        Live tracks.
    seen : Observations
        The frame.
    config : LinkConfig
        Gates and costs.
    nm_per_px : float
        Scale, nm; NaN where unknown: gates then do not widen with time.

    Returns
    -------
    which, at : ndarray of int64, shape (P,)
        Places of the pairs in `tracks` and in `seen`.
    """
    diameter = np.maximum(1.0, _mean_side(track_filter.estimate(tracks)))
    gate = np.maximum(config.min_gate_px, config.max_distance_diameters * diameter)
    if math.isfinite(nm_per_px):
        gate = gate + np.minimum(gate, config.widening_nm_per_s / nm_per_px * (seen.t_s - tracks["last_t_s"]))
    at = track_filter.expected(tracks, seen.t_s)
    pairs = gated_pairs(at[:, :2], gate, np.column_stack([seen.x, seen.y]))
    i, j = pairs.rows, pairs.cols
    now = np.maximum(1.0, _mean_side(seen.extent(slice(None))))
    change = np.abs(np.log(now[j] / diameter[i])) / math.log(config.max_size_ratio)
    half = at[:, 2:] / 2
    box = np.concatenate([at[:, :2] - half, at[:, :2] + half], axis=1)
    cost = (
        (pairs.distance / gate[i]) ** 2
        + _SIZE_WEIGHT * change**2
        + _IOU_WEIGHT * (1.0 - paired_box_iou(box[i], seen.box[j]))
        + config.class_cost * (tracks["label"][i] != seen.label[j])
        + _SCORE_WEIGHT * (1.0 - seen.score[j])
        + _TENTATIVE_COST * (tracks["n"][i] < config.confirm_hits)
    )
    kept = change <= 1.0
    return assign(i[kept], j[kept], cost[kept], _MISS_COST)


def _mean_side(extent: Floats) -> Floats:
    """Mean of width and height, px."""
    return np.asarray((extent[:, 2] + extent[:, 3]) / 2)


def drift_of_defects(
    tracks: Tracks, seen: Observations, shift_px: tuple[float, float]
) -> tuple[float, float]:
    """Find the drift, px, from the defects that are known and those that are seen; `shift_px` is the last one."""
    known = tracks[tracks["n"] > 1] if np.count_nonzero(tracks["n"] > 1) >= len(tracks) // 2 else tracks
    places = track_filter.expected(known, seen.t_s)[:, :2]
    return drift_of_points(places, np.column_stack([seen.x, seen.y]), shift_px)[0]
