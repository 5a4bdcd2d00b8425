"""Where each live track is and how large: filtered position, size, and what is expected next.

Only earlier frames are used.

Two filters run for every track, one for a defect that stays and one for a defect that moves or grows
steadily; each track goes by the one that has predicted its last observations better. Gains fall with the
number of observations, as in the fit of a mean or of a line to all of them, down to a floor that keeps the
filter awake.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Bools, Floats

Tracks = NDArray[np.void]

FIELDS = [
    ("level", np.float64, (4,)),
    ("line", np.float64, (4,)),
    ("slope", np.float64, (4,)),
    ("n_fit", np.int64),
    ("miss_level", np.float64),
    ("miss_line", np.float64),
]
"""Fields of a track's record: x, y, width, height in specimen coordinates, px, by either filter; px/s;
observations since the last jump; mean errors."""

_LEVEL_GAIN, _LINE_GAIN, _SLOPE_GAIN = 0.15, 0.3, 0.04
"""Least gains. Noise left over in a position: 0.28 and 0.48 of that of one observation."""
_FORGET = 0.1
"""Weight of the newest error in the running mean of squared errors."""
_JUMP_SD = 5.0
"""An observation further from what was expected, in standard deviations, is a jump: the filters start again from
there."""


def expected(tracks: Tracks, t_s: float) -> Floats:
    """Expect x, y, width and height of each track at a time, specimen coordinates, px, shape (N, 4)."""
    place, moving = tracks["level"].copy(), np.flatnonzero(_moves(tracks))
    ahead = (t_s - tracks["last_t_s"][moving])[:, None]
    place[moving] = tracks["line"][moving] + tracks["slope"][moving] * ahead
    return place


def estimate(tracks: Tracks) -> Floats:
    """Give filtered x, y, width and height of each track at its last observation, specimen frame, px.

    The shape is (N, 4).
    """
    place, moving = tracks["level"].copy(), np.flatnonzero(_moves(tracks))
    place[moving] = tracks["line"][moving]
    return place


def _moves(tracks: Tracks) -> Bools:
    """Tell which tracks go by the filter for a defect that moves."""
    return np.asarray((tracks["miss_line"] < tracks["miss_level"]) & (tracks["n_fit"] >= 4))


def start(tracks: Tracks, seen: Floats) -> None:
    """Begin the filters of tracks at what was seen, shape (N, 4), in place."""
    tracks["level"] = tracks["line"] = seen
    tracks["slope"], tracks["n_fit"] = 0.0, 1
    tracks["miss_level"] = tracks["miss_line"] = 0.0


def advance(tracks: Tracks, seen: Floats, t_s: float, noise_px: float) -> Floats:
    """Enter an observation of each track into the filters, in place; call before `last_t_s` is set to its time.

    Parameters
    ----------
    tracks : Tracks
        Those that were seen.
    seen : ndarray of float64, shape (N, 4)
        x, y, width, height, px.
    t_s : float
        Time of the observation, s.
    noise_px : float
        Standard deviation of a position in one direction, px; NaN where it is not known yet: nothing counts
        as a jump.

    Returns
    -------
    ndarray of float64, shape (2, N)
        How far each observation lies from where the track was expected, px.
    """
    # one row a quantity, so that what holds for a track is spread over whole rows
    level, line, slope = (np.ascontiguousarray(tracks[name].T) for name in ("level", "line", "slope"))
    seen = np.ascontiguousarray(seen.T)
    dt = t_s - tracks["last_t_s"]
    ahead = line + slope * dt
    to_level, to_line = seen - level, seen - ahead
    error = np.where(_moves(tracks), to_line[:2], to_level[:2])
    jumped = np.zeros(len(tracks), bool)
    if np.isfinite(noise_px):
        jumped = np.hypot(error[0], error[1]) > np.maximum(_JUMP_SD * noise_px, 1.0)
    n = np.where(jumped, 1, tracks["n_fit"] + 1).astype(np.float64)
    by_level = np.maximum(1 / n, _LEVEL_GAIN)
    by_line = np.maximum(2 * (2 * n - 1) / (n * (n + 1)), _LINE_GAIN)
    by_slope = np.maximum(6 / (n * (n + 1)), _SLOPE_GAIN)
    level += by_level * to_level
    line = ahead + by_line * to_line
    slope += np.divide(by_slope * to_line, dt, out=np.zeros_like(to_line), where=dt > 0)
    if jumped.any():  # the position starts again; the size goes on
        for values, fresh in ((level, seen[:2]), (line, seen[:2]), (slope, np.zeros((2, 1)))):
            values[:2] = np.where(jumped, fresh, values[:2])
    tracks["level"], tracks["line"], tracks["slope"] = level.T, line.T, slope.T
    tracks["n_fit"] = n
    weight = np.maximum(1 / np.maximum(n - 2, 1), _FORGET)
    for name, miss in (("miss_level", to_level), ("miss_line", to_line)):
        squared = np.where(jumped, 0.0, (miss * miss).sum(axis=0))
        tracks[name] = np.where(n < 3, 0.0, tracks[name] + weight * (squared - tracks[name]))
    return error
