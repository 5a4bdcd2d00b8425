"""How sure the identities of a run are: deaths that were joined to strangers, and lives that were split."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.tables.frame_views import view_numbers
from insitrack.tracker.kinetics.ends import Ends
from insitrack.tracker.kinetics.glide import Steps, glide_directions
from insitrack.tracker.kinetics.strangers import Strangers, leftover

_MOST_GAP, _REACH_DIAMETERS = 20, 0.7
"""Frames and diameters within which an end and a beginning may belong together."""
_MOST_WRONG = 0.1
"""Of the ends of tracks, so many may be wrong: with more the lives are those of the linking."""
_UNSURE = 0.05
"""A step that leads to a stranger, or an end that goes on, with more than this chance is not sure."""
_LASTING = 3
NOT_SURE = "identities are not sure"
"""How the reason begins for which lifetimes and births are not told."""
_DOUBTFUL, _LEAST_GLIDES, _MOST_CHANGE = 0.5, 10, math.log(1.25)
"""Steps with more than this chance to lead to a stranger may be glides; so many must be, and the diameter keeps
within such a logarithm of the ratio."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Identities that are wrong, as far as gaps and steps tell; arrays have one entry for each row of the tracks.

    Parameters
    ----------
    joined : float
        Expected number of steps that lead to a stranger.
    split : float
        Expected number of ends whose defect goes on under another id.
    n_ends : int
        Ends of tracks with three observations or more.
    stranger : ndarray of float64, shape (R,)
        Chance that an observation is that of a stranger to the one before; 0 where there is none.
    goes_on, came_from : ndarray of float64, shape (R,)
        Chance that the last observation of a track goes on in another one, and the first one comes from another; 0
        elsewhere.
    """

    joined: float
    split: float
    n_ends: int
    stranger: Floats
    goes_on: Floats
    came_from: Floats

    def why_not(self) -> str:
        """Say why lifetimes and births cannot be told; nothing where they can."""
        n = max(self.n_ends, 1)
        if max(self.joined, self.split) <= _MOST_WRONG * n:
            return ""
        return (
            f"{NOT_SURE}: of {self.n_ends} ends about {self.joined:.0f} are hidden by strangers and"
            f" {self.split:.0f} are none; more frames per life would tell"
        )

    def unsure_steps(self) -> Bools:
        """Find the rows with which something else may begin."""
        return np.asarray(self.stranger > _UNSURE, bool)

    def no_ends(self, rows: pd.DataFrame) -> frozenset[int]:
        """Return the tracks whose end may be none; the other extreme."""
        return frozenset(rows["track_id"].to_numpy()[self.goes_on > _UNSURE].tolist())

    def no_beginnings(self, rows: pd.DataFrame) -> frozenset[int]:
        """Return the tracks whose beginning may be none."""
        return frozenset(rows["track_id"].to_numpy()[self.came_from > _UNSURE].tolist())


def cut_tracks(rows: pd.DataFrame, at: Bools) -> pd.DataFrame:
    """Cut tracks before the rows `at`, in new ids.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``tracks.csv``.
    at : ndarray of bool, shape (R,)
        Rows with which something else begins.
    """
    order = np.lexsort((rows["frame"].to_numpy(), rows["track_id"].to_numpy()))
    track = rows["track_id"].to_numpy()[order]
    begins = np.append(True, track[1:] != track[:-1]) | at[order]
    pieces = np.empty(len(rows), np.int64)
    pieces[order] = np.cumsum(begins)
    return rows.assign(track_id=pieces)


def identities(rows: pd.DataFrame, looked: pd.DataFrame) -> Identities:
    """Tell how many are wrong.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``tracks.csv`` with the places as measured, `raw_x_px` and `raw_y_px`.
    looked : DataFrame
        Rows of ``frames.csv`` in which somebody looked, in order.
    """
    known = (rows["observed"] == 1) & np.isfinite(rows["raw_x_px"]) & np.isfinite(rows["raw_y_px"])
    at = np.flatnonzero(known.to_numpy())
    at = at[np.lexsort((rows["frame"].to_numpy()[at], rows["track_id"].to_numpy()[at]))]
    chances = [np.zeros(len(rows)) for _ in range(3)]
    if len(at) < 3:
        return Identities(0.0, 0.0, 0, *chances)
    seen = rows.iloc[at]
    place = np.searchsorted(looked["frame"].to_numpy(), seen["frame"].to_numpy())
    place = place + view_numbers(looked)[place] * (len(looked) + 1000)
    box = seen[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy(np.float64)
    diameter = np.maximum((box[:, 2:] - box[:, :2]).mean(axis=1), 1.0)
    track = seen["track_id"].to_numpy(np.int64)
    points = seen[["raw_x_px", "raw_y_px"]].to_numpy(np.float64)
    strangers = Strangers.of(track, place, points, diameter, len(looked))
    same = track[1:] == track[:-1]
    steps = leftover(track, place, points)[same]
    ratio = strangers.log_ratio(
        (np.diff(place) - 1)[same], steps, diameter[1:][same], strangers.scale2_px2[1:][same]
    )
    step = np.zeros(len(at))
    step[1:][same] = _chance(-ratio)
    chances[0][at] = _unless_glides(step, strangers, track, place, points, diameter, seen)
    first, last = np.append(True, ~same), np.append(~same, True)
    lengths = np.diff(np.append(np.flatnonzero(first), len(track)))
    lasting = np.repeat(lengths, lengths) >= _LASTING
    ends = last & lasting & (place < place.max())
    chances[1][at], chances[2][at] = _passed_over(strangers, place, points, diameter, ends, first & lasting)
    return Identities(float(chances[0].sum()), float(chances[1].sum()), int(ends.sum()), *chances)


def _chance(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -50, 50))))


def _unless_glides(
    stranger: Floats,
    strangers: Strangers,
    track: Ints,
    place: Ints,
    points: Floats,
    diameter: Floats,
    seen: pd.DataFrame,
) -> Floats:
    """Chance that a step leads to a stranger, where long ones may be glides along directions that the tracks have."""
    long = stranger > _DOUBTFUL
    if np.count_nonzero(long) < _LEAST_GLIDES:
        return stranger
    new = np.append(True, track[1:] != track[:-1])
    piece = np.cumsum(new | long) - 1
    ends = Ends.of(piece, points, diameter, seen["defect_class"].to_numpy(), place.astype(np.float64))
    length = np.linalg.norm(points[long] - points[np.flatnonzero(long) - 1], axis=1)
    reach = np.full(len(ends.n), float(length.max()) + 1.0)
    last = ends.first + ends.n - 1
    steps = Steps.near(
        ends,
        ends.n >= _LASTING,
        reach,
        place[ends.first],
        place[last],
        most_looks=4,
        most_change=_MOST_CHANGE,
    )
    after = steps.looks > 0
    directions = glide_directions(steps.angle_deg[after], steps.angle_deg[~after])
    if not directions:
        return stranger
    odds = steps.log_odds(directions, strangers.gap_chance)
    joined = (steps.other == steps.one + 1) & ~new[ends.first[steps.other]]
    answer = stranger.copy()
    at = ends.first[steps.other[joined]]
    answer[at] = np.minimum(answer[at], _chance(-odds[joined]))
    return answer


def _passed_over(
    strangers: Strangers, place: Ints, points: Floats, diameter: Floats, ends: Bools, begins: Bools
) -> tuple[Floats, Floats]:
    """Chance of each end to go on in a track that begins near it, and of each of these to come from it."""
    goes_on, came_from = np.zeros(len(place)), np.zeros(len(place))
    i, j = np.flatnonzero(ends), np.flatnonzero(begins)
    if not len(i) or not len(j):
        return goes_on, came_from
    reach = _REACH_DIAMETERS * float(np.quantile(diameter, 0.9))
    near = cKDTree(points[i]).sparse_distance_matrix(cKDTree(points[j]), reach, output_type="ndarray")
    end, begin, distance = i[near["i"]], j[near["j"]], near["v"]
    gap = place[begin] - place[end] - 1
    fine = (gap >= 0) & (gap <= _MOST_GAP) & (distance <= _REACH_DIAMETERS * diameter[end])
    end, begin = end[fine], begin[fine]
    chance = _chance(strangers.log_ratio(gap[fine], distance[fine], diameter[end], strangers.scale2_px2[end]))
    np.maximum.at(goes_on, end, chance)
    np.maximum.at(came_from, begin, chance)
    return goes_on, came_from
