"""What a track says: a hidden Markov chain with two states, defect and clutter, along every track at once.

The states are told apart by the log odds of single finds, which rise with the score, so that they cannot
change their meaning; nothing is learnt that could: a track of clutter does not become a defect by living
long. A frame in which the track was looked for and not seen speaks against a defect. Neighbouring finds
resemble each other, so that all but the first of a track count less (tempering).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats, Ints

STAY = 0.99
"""Probability that defect stays defect, and clutter clutter, from one look to the next."""
MISS = -1.1
"""Log odds of a look in which it was not seen: three times as likely for clutter as for a defect."""
END = -1.1
"""Log odds of not being seen again until the end."""
LEAST_LOOKS = 6
"""With fewer looks at the specimen nothing is judged by what came after it was last seen."""
USUAL_TEMPERING = 1 / 3
_LONG_TRACK, _ENOUGH_PAIRS = 20, 50


@dataclass(frozen=True, slots=True)
class Looks:
    """Every look at every track between its first and its last sight, track by track, in time.

    Parameters
    ----------
    chain : ndarray of int64, shape (L,)
        Track, from 0.
    place : ndarray of int64, shape (L,)
        Number of the look among all looks at the specimen.
    row : ndarray of int64, shape (L,)
        Row of the find; -1 where it was not seen.
    forward : ndarray of float64, shape (L,)
        Probability of a defect from this look and those before: what a live run can know.
    probability : ndarray of float64, shape (L,)
        The same from all looks.
    """

    chain: Ints
    place: Ints
    row: Ints
    forward: Floats
    probability: Floats


def step(before: Floats, log_odds: Floats) -> Floats:
    """Probability of a defect after one more look, from that before and the log odds of the look."""
    ahead = STAY * before + (1 - STAY) * (1 - before)
    ratio = ahead / (1 - ahead) * np.exp(np.clip(log_odds, -50, 50))
    return np.asarray(ratio / (1 + ratio))


def tempering(chain: Ints, place: Ints, x: Floats) -> float:
    """Weight of each further look at a track, (1 - r) / (1 + r).

    r is the correlation of neighbouring values within long tracks, about their mean; where there are too few
    of them the usual one is taken. Rows are sorted by chain and place.
    """
    n = np.bincount(chain)
    off = x - (np.bincount(chain, x) / np.maximum(n, 1))[chain]
    pair = (chain[1:] == chain[:-1]) & (place[1:] == place[:-1] + 1) & (n[chain[1:]] >= _LONG_TRACK)
    power = float((off[1:][pair] ** 2).sum() * (off[:-1][pair] ** 2).sum())
    if np.count_nonzero(pair) < _ENOUGH_PAIRS or power <= 0:
        return USUAL_TEMPERING
    r = float(np.clip((off[1:][pair] * off[:-1][pair]).sum() / np.sqrt(power), 0.0, 0.9))
    return (1 - r) / (1 + r)


def along_tracks(
    chain: Ints, place: Ints, log_odds: Floats, n_looks: int, weight: float, miss: float = MISS
) -> Looks:
    """Judge every look at every track.

    Parameters
    ----------
    chain, place : ndarray of int64, shape (N,)
        Track, from 0 without gaps, and look of each find; sorted by both, no look twice in a track.
    log_odds : ndarray of float64, shape (N,)
        What each find says by itself.
    n_looks : int
        Looks at the specimen in all.
    weight : float
        Tempering of all but the first find of a track.
    miss : float
        Log odds of a look in which it was not seen.

    Returns
    -------
    Looks

    Examples
    --------
    Seen well, missed once, seen well; and seen faintly once:

    >>> looks = along_tracks(np.array([0, 0, 1]), np.array([0, 2, 1]), np.array([2.0, 2.0, -1.0]), 3, 1 / 3)
    >>> looks.row.tolist(), (looks.probability > 0.5).tolist()
    ([0, -1, 1, 2], [True, True, True, False])
    """
    n = int(chain[-1]) + 1 if len(chain) else 0
    first = np.searchsorted(chain, np.arange(n))
    last = np.searchsorted(chain, np.arange(n), side="right") - 1
    length = place[last] - place[first] + 1
    start = np.cumsum(length) - length
    owner = np.repeat(np.arange(n), length)
    at = start[chain] + place - place[first][chain]
    row = np.full(int(length.sum()), -1, np.int64)
    row[at] = np.arange(len(chain))
    odds = np.full(len(row), weight * miss)
    odds[at] = weight * log_odds
    odds[start] = log_odds[first]
    forward, ratio = np.empty(len(row)), np.ones(len(row))
    order = np.argsort(-length, kind="stable")
    alive = np.searchsorted(-length[order], -np.arange(int(length.max(initial=0))), side="left")
    before = np.full(n, 0.5)
    for t, count in enumerate(alive.tolist()):
        cells = start[order[:count]] + t
        before[:count] = forward[cells] = step(before[:count], odds[cells])
    after = n_looks - 1 - place[last]
    ending = np.maximum(END, after * weight * miss) if n_looks >= LEAST_LOOKS else np.zeros(n)
    ratio[start + length - 1] = np.exp(ending)
    for t in range(len(alive) - 2, -1, -1):
        cells = start[order[: alive[t + 1]]] + t
        ahead = ratio[cells + 1] * np.exp(np.clip(odds[cells + 1], -50, 50))
        ratio[cells] = (STAY * ahead + 1 - STAY) / ((1 - STAY) * ahead + STAY)
    both = forward * ratio
    number = np.arange(len(row)) - start[owner]
    return Looks(owner, place[first][owner] + number, row, forward, both / (both + 1 - forward))
