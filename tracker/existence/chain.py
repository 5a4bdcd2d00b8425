"""What a track says: the mean evidence of the looks at it, and how many independent looks they are worth.

The evidence of a find rises with its score, so that the states cannot be exchanged: clutter does not become a
defect by living long. A look that did not see the track speaks against a defect. What all looks at a track have in
common, a faint defect or a patch of mottle that is there in every frame, is not known better for being seen
again: the looks are correlated, and n of them are worth n / (1 + r (n - 1)), at most 1 / r. Looks long ago and
long after count less, so that a defect which is born where clutter was is judged by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints

CORRELATION = 0.7
"""Between looks at one track: the share of the variance of their logits that lies between tracks (drawn movies)."""
MEMORY = 0.9
"""What a look counts less for every look that lies between."""
MISS = -0.6
"""Log odds of a look in which it was not seen: it is 1.8 times as likely for clutter as for a defect."""
END_LOOKS = 1
"""Looks after the last observation that count as misses; later ones tell of the end of a life."""
LEAST_LOOKS = 6
"""With fewer looks at the specimen nothing is judged by what came after it was last seen."""
FOUND_AGAIN = 0.8
"""Where less than this share of the clear finds of a frame is found again in the next one, frames are too far
apart, or of different places: much of what is linked then is linked by chance, and nothing is concluded across."""
ENOUGH_CLEAR = 10
"""Clear finds of which a share is worth something; beyond that it must lie two standard errors below."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Every look at every track between its first and its last observation, track by track, in time.

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


def believed(evidence: Floats, looks: Floats) -> Floats:
    """Probability of a defect from summed evidence (log odds) and how many looks it was summed over.

    Examples
    --------
    The same evidence twice is not twice the evidence:

    >>> believed(np.array([2.0, 4.0]), np.array([1.0, 2.0])).round(2).tolist()
    [0.88, 0.91]
    """
    odds = np.clip(evidence / (1 + CORRELATION * (looks - 1)), -50.0, 50.0)
    return np.asarray(1 / (1 + np.exp(-odds)))


def few_again(clear: Ints, again: Ints) -> Bools:
    """Tell whether too few of the clear finds of a look are found again for the two to be of one place."""
    expected = FOUND_AGAIN * clear - 2 * np.sqrt(FOUND_AGAIN * (1 - FOUND_AGAIN) * clear)
    return np.asarray((clear >= ENOUGH_CLEAR) & (again < expected))


def breaks(chain: Ints, place: Ints, clear: Bools, n_looks: int) -> Bools:
    """Tell which looks share few defects with the one before, shape (n_looks,).

    Parameters
    ----------
    chain, place : ndarray of int64, shape (N,)
        Track and look of each find.
    clear : ndarray of bool, shape (N,)
        Whether a find speaks for a defect by itself.
    n_looks : int
        Looks at the specimen in all.

    Examples
    --------
    Ten defects, of which nine and then one are found again:

    >>> chain = np.concatenate([np.arange(10), np.arange(9), [0]])
    >>> place = np.repeat([0, 1, 2], [10, 9, 1])
    >>> breaks(chain, place, np.full(20, True), 3).tolist()
    [False, False, False]
    >>> breaks(np.append(chain, 30), np.append(place, 1), np.full(21, True), 3).tolist()
    [False, False, True]
    """
    key = chain * (n_looks + 1) + place
    again = np.isin(key + 1, key)
    n = np.bincount(place[clear], minlength=n_looks)
    few = few_again(n, np.bincount(place[clear & again], minlength=n_looks))
    return np.concatenate([[False], few[:-1]])[:n_looks]


def along_tracks(
    chain: Ints,
    place: Ints,
    log_odds: Floats,
    n_looks: int,
    *,
    miss: float = MISS,
    end_looks: int = END_LOOKS,
    apart: Bools | None = None,
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
    miss : float
        Log odds of a look in which it was not seen.
    end_looks : int
        How many looks after its last observation count as misses.
    apart : ndarray of bool, shape (n_looks,), optional
        Looks across whose beginning nothing is concluded, see `breaks`.

    Returns
    -------
    Looks

    Examples
    --------
    Seen well, missed once, seen well; and seen faintly once:

    >>> looks = along_tracks(np.array([0, 0, 1]), np.array([0, 2, 1]), np.array([2.0, 2.0, -1.0]), 3)
    >>> looks.row.tolist(), (looks.probability > 0.5).tolist()
    ([0, -1, 1, 2], [True, True, True, False])
    """
    n = int(chain[-1]) + 1 if len(chain) else 0
    first = np.searchsorted(chain, np.arange(n))
    last = np.searchsorted(chain, np.arange(n), side="right") - 1
    length = place[last] - place[first] + 1
    start = np.cumsum(length) - length
    owner = np.repeat(np.arange(n), length)
    look = place[first][owner] + np.arange(len(owner)) - start[owner]
    row = np.full(len(owner), -1, np.int64)
    row[start[chain] + place - place[first][chain]] = np.arange(len(chain))
    odds = np.where(row >= 0, log_odds[row], miss) if len(row) else np.zeros(0)
    apart = np.zeros(n_looks, bool) if apart is None else apart
    # evidence and looks that come from before, and from after, each look
    past, future = np.zeros((len(row), 2)), np.zeros((len(row), 2))
    mine = np.column_stack([odds, np.ones(len(odds))])
    order = np.argsort(-length, kind="stable")
    alive = np.searchsorted(-length[order], -np.arange(int(length.max(initial=0))), side="left")
    for t, count in enumerate(alive.tolist()[1:], 1):
        cells = start[order[:count]] + t
        kept = np.where(apart[look[cells]], 0.0, MEMORY)[:, None]
        past[cells] = kept * (past[cells - 1] + mine[cells - 1])
    if n_looks >= LEAST_LOOKS and n:
        future[start + length - 1] = _unseen(apart, n_looks, end_looks)[place[last]] * np.array([miss, 1.0])
    for t in range(len(alive) - 2, -1, -1):
        cells = start[order[: alive[t + 1]]] + t
        kept = np.where(apart[look[cells + 1]], 0.0, MEMORY)[:, None]
        future[cells] = kept * (future[cells + 1] + mine[cells + 1])
    until, everything = past + mine, past + mine + future
    return Looks(owner, look, row, believed(*until.T), believed(*everything.T))


def _unseen(apart: Bools, n_looks: int, end_looks: int) -> Floats:
    """How many looks count as misses after a last observation at each look, shape (n_looks, 1)."""
    weight = np.zeros(n_looks)
    together = np.ones(n_looks, bool)
    for k in range(1, min(end_looks, n_looks - 1) + 1):
        together[:-k] &= ~apart[k:]
        together[-k:] = False
        weight += MEMORY**k * together
    return weight[:, None]
