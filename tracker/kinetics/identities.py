"""How many identities of a run are likely to be wrong: deaths joined to strangers, and lives that were split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.tables.frame_views import view_numbers
from insitrack.tracker.kinetics.strangers import Strangers, leftover

_MOST_GAP, _REACH_DIAMETERS = 20, 0.7
"""Frames and diameters within which an end and a beginning may belong together."""
_MOST_WRONG = 0.1
"""Of the ends of tracks, so many may be wrong: with more the lives are those of the linking."""
_LASTING = 3


@dataclass(frozen=True, slots=True)
class Identities:
    """Identities that are wrong, as far as gaps and steps tell.

    Parameters
    ----------
    joined : float
        Expected number of steps that lead to a stranger.
    split : float
        Expected number of ends whose defect goes on under another id.
    n_ends : int
        Ends of tracks with three observations or more.
    """

    joined: float
    split: float
    n_ends: int

    def why_not(self) -> str:
        """Say why lifetimes and births cannot be told; nothing where they can."""
        n = max(self.n_ends, 1)
        if max(self.joined, self.split) <= _MOST_WRONG * n:
            return ""
        return (
            f"identities are not sure: of {self.n_ends} ends about {self.joined:.0f} are hidden by strangers and"
            f" {self.split:.0f} are none; more frames per life would tell"
        )


def identities(rows: pd.DataFrame, looked: pd.DataFrame) -> Identities:
    """Tell how many are wrong.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``tracks.csv`` with the places as measured, `raw_x_px` and `raw_y_px`.
    looked : DataFrame
        Rows of ``frames.csv`` in which somebody looked, in order.
    """
    seen = rows[(rows["observed"] == 1) & np.isfinite(rows["raw_x_px"]) & np.isfinite(rows["raw_y_px"])]
    seen = seen.sort_values(["track_id", "frame"], kind="stable")
    if len(seen) < 3:
        return Identities(0.0, 0.0, 0)
    place = np.searchsorted(looked["frame"].to_numpy(), seen["frame"].to_numpy())
    place = place + view_numbers(looked)[place] * (len(looked) + 1000)
    box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
    diameter = np.maximum((box[:, 2:] - box[:, :2]).mean(axis=1), 1.0)
    track = seen["track_id"].to_numpy(np.int64)
    points = seen[["raw_x_px", "raw_y_px"]].to_numpy(np.float64)
    strangers = Strangers.of(track, place, points, diameter, len(looked))
    same = track[1:] == track[:-1]
    steps = leftover(track, place, points)[same]
    joined = strangers.log_ratio(
        (np.diff(place) - 1)[same], steps, diameter[1:][same], strangers.scale2_px2[1:][same]
    )
    first, last = np.append(True, ~same), np.append(~same, True)
    lengths = np.diff(np.append(np.flatnonzero(first), len(track)))
    lasting = np.repeat(lengths, lengths) >= _LASTING
    ends = last & lasting & (place < place.max())
    split = _passed_over(strangers, place, points, diameter, ends, first & lasting)
    return Identities(float((1 / (1 + np.exp(np.clip(joined, -50, 50)))).sum()), split, int(ends.sum()))


def _passed_over(
    strangers: Strangers, place: Ints, points: Floats, diameter: Floats, ends: Bools, begins: Bools
) -> float:
    """Return the expected number of ends that go on in a track that begins near them, and were not joined to it."""
    i, j = np.flatnonzero(ends), np.flatnonzero(begins)
    if not len(i) or not len(j):
        return 0.0
    reach = _REACH_DIAMETERS * float(np.quantile(diameter, 0.9))
    near = cKDTree(points[i]).sparse_distance_matrix(cKDTree(points[j]), reach, output_type="ndarray")
    end, begin, distance = i[near["i"]], j[near["j"]], near["v"]
    gap = place[begin] - place[end] - 1
    fine = (gap >= 0) & (gap <= _MOST_GAP) & (distance <= _REACH_DIAMETERS * diameter[end])
    ratio = strangers.log_ratio(
        gap[fine], distance[fine], diameter[end[fine]], strangers.scale2_px2[end[fine]]
    )
    chance = 1 / (1 + np.exp(np.clip(-ratio, -50, 50)))
    most = np.zeros(len(place))
    np.maximum.at(most, end[fine], chance)
    return float(most.sum())
