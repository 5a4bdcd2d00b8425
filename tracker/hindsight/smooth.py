"""Noise taken out of tracks with hindsight, by straight lines whose reach each track chooses for itself.

Every candidate is judged by how well it predicts an observation that was left out, so that what stands still
is averaged over its whole life and what moves or grows is followed. Sudden jumps (glide, coalescence) are
found first and never smoothed over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints

_REACHES = (1, 2, 4, 8, 16)
"""Observations taken to either side of each one by the local candidates."""
_JUMP_SD = 4.0
"""A step is a jump if the means of three observations on either side differ by this many standard deviations of
one observation."""
_BETTER = 0.93
"""A candidate that follows more closely must foretell this much better: of equals the smoothest wins."""


@dataclass(frozen=True, slots=True)
class Smoothed:
    """What remains of C columns at N observations when the noise is taken out.

    Parameters
    ----------
    value : ndarray of float64, shape (N, C)
        Smoothed values.
    slope : ndarray of float64, shape (N, C)
        Their change per second.
    sd : ndarray of float64, shape (N, C)
        Standard deviation of the smoothed values.
    piece : ndarray of int64, shape (N,)
        Sights between two jumps of one track have one number.
    """

    value: Floats
    slope: Floats
    sd: Floats
    piece: Ints


def smooth(track: Ints, t_s: Floats, values: Floats, noise: Floats | None = None) -> Smoothed:
    """Smooth columns that belong together along every track.

    Parameters
    ----------
    track : ndarray of int64, shape (N,)
        Track of each observation; observations of a track stand together, in the order of time.
    t_s : ndarray of float64, shape (N,)
        Time, s, rising along a track.
    values : ndarray of float64, shape (N, C)
        What was measured; finite. The columns share one choice of smoothing and one set of jumps.
    noise : ndarray of float64, shape (C,), optional
        Standard deviation of one observation; left out, it is estimated from these tracks.

    Returns
    -------
    Smoothed

    Examples
    --------
    >>> t = np.arange(50.0)
    >>> noisy = 3 + np.random.default_rng(0).normal(0, 1, (50, 1))
    >>> answer = smooth(np.ones(50, np.int64), t, noisy)
    >>> bool(((answer.value - 3) ** 2).mean() < 0.3)
    True
    """
    n, columns = values.shape
    if not n:
        empty = np.zeros((0, columns))
        return Smoothed(empty, empty, empty, np.zeros(0, np.int64))
    noise = step_noise(track, values) if noise is None else noise
    piece = _pieces(track, values / noise)
    fits = [_constant(piece, values), _straight(piece, t_s, values), *_local(piece, t_s, values)]
    place, counts = np.unique(piece, return_inverse=True, return_counts=True)[1:]
    best = np.full(len(counts), np.inf)
    value, slope, lever = values.copy(), np.zeros_like(values), np.ones(n)
    least = np.full(n, np.inf)
    for fit_value, fit_slope, fit_lever in fits:
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out = ((values - fit_value) / (1 - fit_lever)[:, None] / noise) ** 2
        usable = fit_lever < 0.999
        error = np.bincount(place, np.where(usable, left_out.sum(axis=1), 0.0)) / np.maximum(
            1, np.bincount(place, usable)
        )
        error[np.bincount(place, usable) < np.minimum(counts, 3)] = np.inf
        wins = (error < _BETTER * best)[place]
        value[wins], slope[wins], lever[wins] = fit_value[wins], fit_slope[wins], fit_lever[wins]
        best = np.where(error < _BETTER * best, error, best)
        least = best[place]
    # steps much longer than the noise of an observation are motion: nothing there may be averaged
    wild = ~(least < 9 * 2 * columns)
    value[wild], slope[wild], lever[wild] = values[wild], 0.0, 1.0
    freedom = np.bincount(place, 1 - lever)
    spread = np.empty_like(values)
    for c in range(columns):
        squares = np.bincount(place, (values[:, c] - value[:, c]) ** 2)
        # few observations say little about their own noise: the run's is taken for as much as four observations say
        spread[:, c] = np.sqrt((squares + 4 * noise[c] ** 2) / (freedom + 4))[place]
    return Smoothed(value, slope, spread * np.sqrt(lever)[:, None], piece)


def step_noise(track: Ints, values: Floats) -> Floats:
    """Estimate the noise of one observation from the steps between neighbours, robust against jumps.

    It is a standard deviation, shape (C,).
    """
    same = track[1:] == track[:-1]
    steps = np.abs(np.diff(values, axis=0)[same])
    if not len(values):
        return np.full(values.shape[1], 1e-9)
    if len(steps) < 5:
        return np.asarray(np.maximum(values.std(axis=0) * 1e-3, 1e-9))
    middle = np.median(steps, axis=0)
    # of values that were rounded most steps are 0: then the few that are not tell the noise
    spread = np.where(middle > 0, middle / 0.6745, np.sqrt((steps**2).mean(axis=0)))
    return np.asarray(np.maximum(spread / np.sqrt(2), 1e-9))


def _pieces(track: Ints, values: Floats) -> Ints:
    """Give a number to the stretches between jumps; values in standard deviations of one observation."""
    n = len(track)
    before, after = values.copy(), values.copy()
    n_before, n_after = np.ones(n), np.ones(n)
    for k in (1, 2):
        same = track[k:] == track[:-k]
        before[k:][same] += values[:-k][same]
        n_before[k:] += same
        after[:-k][same] += values[k:][same]
        n_after[:-k] += same
    before, after = before / n_before[:, None], after / n_after[:, None]
    same = track[1:] == track[:-1]
    apart = np.where(same, np.linalg.norm(after[1:] - before[:-1], axis=1), 0.0)
    step = np.where(same, np.linalg.norm(np.diff(values, axis=0), axis=1), 0.0)
    # a steady mover steps as far before and after; `step` is 0 between tracks
    around = np.maximum(np.append(0.0, step)[:-1], np.append(step, 0.0)[1:])
    peak = apart >= _largest_near(apart, same)
    enough = (n_before[:-1] >= 2) | (n_after[1:] >= 2)
    jump = same & peak & enough & (apart > _JUMP_SD) & (step > _JUMP_SD) & (step > 1.8 * around)
    return np.concatenate([[0], np.cumsum(jump | ~same)])


def _largest_near(change: Floats, same: Bools) -> Floats:
    """Largest of the two changes before and the two after each, of the same track."""
    largest = np.zeros_like(change)
    for k in (1, 2):
        # the k-th change on belongs to the track if none of those up to it leads to another one
        together = np.all([same[j : len(same) - k + j] for j in range(k + 1)], axis=0)
        largest[:-k] = np.where(together, np.maximum(largest[:-k], change[k:]), largest[:-k])
        largest[k:] = np.where(together, np.maximum(largest[k:], change[:-k]), largest[k:])
    return largest


def _constant(piece: Ints, values: Floats) -> tuple[Floats, Floats, Floats]:
    n = np.bincount(piece)
    mean = np.column_stack([np.bincount(piece, column) for column in values.T]) / n[:, None]
    return mean[piece], np.zeros_like(values), 1.0 / n[piece]


def _straight(piece: Ints, t_s: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """One straight line through each piece."""
    n = np.bincount(piece)
    age = t_s - (np.bincount(piece, t_s) / n)[piece]
    mean = np.column_stack([np.bincount(piece, column) for column in values.T]) / n[:, None]
    width = np.bincount(piece, age**2)
    known = np.where(width > 0, width, np.inf)
    slope = np.column_stack([np.bincount(piece, age * column) for column in values.T]) / known[:, None]
    lever = 1.0 / n[piece] + age**2 / known[piece]
    return mean[piece] + slope[piece] * age[:, None], slope[piece], np.where(n[piece] > 2, lever, 1.0)


def _local(piece: Ints, t_s: Floats, values: Floats) -> list[tuple[Floats, Floats, Floats]]:
    """Straight lines through each observation and its neighbours, one set for each reach."""
    n = len(piece)
    count, s1, s2 = np.ones(n), np.zeros(n), np.zeros(n)
    sy, sty = values.copy(), np.zeros_like(values)
    answer, done = [], 0
    for reach in _REACHES:
        for k in range(done + 1, reach + 1):
            if k >= n:
                break
            same = piece[k:] == piece[:-k]
            away = np.where(same, t_s[k:] - t_s[:-k], 0.0)
            later, earlier = (
                np.where(same[:, None], values[k:], 0.0),
                np.where(same[:, None], values[:-k], 0.0),
            )
            for rows, sign, other in ((slice(None, -k), 1.0, later), (slice(k, None), -1.0, earlier)):
                count[rows] += same
                s1[rows] += sign * away
                s2[rows] += away**2
                sy[rows] += other
                sty[rows] += sign * away[:, None] * other
        done = reach
        determinant = count * s2 - s1**2
        good = (count >= 3) & (determinant > 1e-12 * np.maximum(count * s2, 1e-300))
        safe = np.where(good, determinant, 1.0)
        value = np.where(good[:, None], (s2[:, None] * sy - s1[:, None] * sty) / safe[:, None], values)
        slope = np.where(good[:, None], (count[:, None] * sty - s1[:, None] * sy) / safe[:, None], 0.0)
        answer.append((value, slope, np.where(good, s2 / safe, 1.0)))
    return answer[::-1]
