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

from insitrack.io.arrays import Floats, Ints

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
    ahead = tracks["line"] + tracks["slope"] * (t_s - tracks["last_t_s"])[:, None]
    moves = (tracks["miss_line"] < tracks["miss_level"]) & (tracks["n_fit"] >= 4)
    return np.asarray(np.where(moves[:, None], ahead, tracks["level"]))


def estimate(tracks: Tracks) -> Floats:
    """Give filtered x, y, width and height of each track at its last observation, specimen frame, px.

    The shape is (N, 4).
    """
    moves = (tracks["miss_line"] < tracks["miss_level"]) & (tracks["n_fit"] >= 4)
    return np.asarray(np.where(moves[:, None], tracks["line"], tracks["level"]))


def start(tracks: Tracks, which: Ints | slice, seen: Floats) -> None:
    """Begin the filters of some tracks at what was seen, shape (N, 4), in place."""
    tracks["level"][which], tracks["line"][which], tracks["slope"][which] = seen, seen, 0.0
    tracks["n_fit"][which] = 1
    tracks["miss_level"][which] = tracks["miss_line"][which] = 0.0


def advance(tracks: Tracks, which: Ints, seen: Floats, t_s: float, noise_px: float) -> Floats:
    """Enter observations into the filters, in place; call before `last_t_s` is set to the time of the observation.

    Parameters
    ----------
    tracks : Tracks
        Live tracks.
    which : ndarray of int64, shape (N,)
        Rows that were seen.
    seen : ndarray of float64, shape (N, 4)
        x, y, width, height, px.
    t_s : float
        Time of the observation, s.
    noise_px : float
        Standard deviation of a position in one direction, px; NaN where it is not known yet: nothing counts
        as a jump.

    Returns
    -------
    ndarray of float64, shape (N, 2)
        How far each observation lies from where the track was expected, px.
    """
    some = tracks[which]
    expected_now = expected(some, t_s)
    error = seen - expected_now
    jumped = np.zeros(len(which), bool)
    if np.isfinite(noise_px):
        jumped = np.hypot(error[:, 0], error[:, 1]) > np.maximum(_JUMP_SD * noise_px, 1.0)
    n = np.where(jumped, 1, some["n_fit"] + 1).astype(np.float64)
    dt = (t_s - some["last_t_s"])[:, None]
    ahead = some["line"] + some["slope"] * dt
    to_level, to_line = seen - some["level"], seen - ahead
    by_level = np.maximum(1 / n, _LEVEL_GAIN)[:, None]
    by_line = np.maximum(2 * (2 * n - 1) / (n * (n + 1)), _LINE_GAIN)[:, None]
    by_slope = np.maximum(6 / (n * (n + 1)), _SLOPE_GAIN)[:, None]
    level = some["level"] + by_level * to_level
    line = ahead + by_line * to_line
    slope = some["slope"] + np.divide(by_slope * to_line, dt, out=np.zeros_like(to_line), where=dt > 0)
    # after a jump the position starts again; the size goes on
    fresh = jumped[:, None] & (np.arange(4) < 2)
    tracks["level"][which], tracks["line"][which] = np.where(fresh, seen, level), np.where(fresh, seen, line)
    tracks["slope"][which] = np.where(fresh, 0.0, slope)
    tracks["n_fit"][which] = n.astype(np.int64)
    for name, miss in (("miss_level", to_level), ("miss_line", to_line)):
        squared = np.where(jumped, 0.0, (miss**2).sum(axis=1))
        weight = np.maximum(1 / np.maximum(n - 2, 1), _FORGET)
        tracks[name][which] = np.where(n < 3, 0.0, some[name] + weight * (squared - some[name]))
    return np.asarray(error[:, :2])
