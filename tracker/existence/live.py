"""The same while a movie runs: what is known after each frame, from that frame and those before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.io.results import TrackSummary
from insitrack.tracker.existence.chain import MEMORY, MISS, believed, few_again
from insitrack.tracker.existence.evidence import N_BINS, Evidence, histogram
from insitrack.tracker.existence.judge import MISSED, SEEN
from insitrack.tracker.existence.settings import ExistenceConfig

_RELEARN = 1.25
"""The movie's scores are looked at again when there are so many times more of them."""


@dataclass(frozen=True, slots=True)
class ExistenceSnapshot:
    """Everything that is remembered after a frame.

    Parameters
    ----------
    counts, learnt_counts : ndarray of float64
        Histogram of the movie's scores, now and when it was last learnt from.
    ids, announced : ndarray of int64
        Tracks that are alive, and those of them that have been believed.
    evidence, looks : ndarray of float64
        What the looks at each track that is alive say in sum, and how many there were; older ones count less.
    clear : ndarray of int64
        Tracks whose find in the last frame spoke for a defect by itself.
    """

    counts: Floats
    learnt_counts: Floats
    ids: Ints
    announced: Ints
    evidence: Floats
    looks: Floats
    clear: Ints


class LiveExistence:
    """Probability of each track that is alive, frame by frame; memory grows with the tracks in view only.

    Parameters
    ----------
    config : ExistenceConfig or None
        How finds become defects; None: every find is believed, and only gaps are judged.

    Examples
    --------
    >>> live = LiveExistence(ExistenceConfig())
    >>> [round(float(live.update(np.array([1]), np.array([0.6]))[0]), 2) for _ in range(3)]
    [0.93, 0.95, 0.96]
    """

    def __init__(self, config: ExistenceConfig | None) -> None:
        self.config = config
        self._counts, self._learnt_counts = np.zeros(N_BINS), np.zeros(N_BINS)
        self._learnt = None if config is None else Evidence.of(self._counts, config)
        self._ids, self._announced = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._evidence, self._looks = np.zeros(0), np.zeros(0)
        self._clear = np.zeros(0, np.int64)

    @property
    def keep(self) -> float:
        """Least probability of what is believed; what was seen always is where scores are not judged."""
        return 0.5 if self.config is None else self.config.keep

    def update(self, ids: Ints, scores: Floats) -> Floats:
        """Take what was seen in one more frame.

        Parameters
        ----------
        ids : ndarray of int64, shape (N,)
            Tracks that were seen, each once; 0 for a find without a track.
        scores : ndarray of float64, shape (N,)
            Their scores.

        Returns
        -------
        ndarray of float64, shape (N,)
            Probability of each.
        """
        scores = np.asarray(scores, np.float64)
        self._learn(scores)
        if self._learnt is None:
            log_odds, miss = np.full(len(ids), SEEN), MISSED
        else:
            log_odds, miss = self._learnt.log_odds(scores), MISS
        again = np.count_nonzero(_among(self._clear, np.sort(ids))[0])
        if few_again(np.array(len(self._clear)), np.array(again)):
            self._ids, self._evidence, self._looks = self._ids[:0], self._evidence[:0], self._looks[:0]
        self._clear = np.asarray(ids[(log_odds > 0) & (ids > 0)], np.int64)
        known, place = _among(ids, self._ids)
        unseen = np.ones(len(self._ids), bool)
        unseen[place] = False
        self._evidence = MEMORY * self._evidence + miss * unseen
        self._looks = MEMORY * self._looks + 1
        self._evidence[place] += log_odds[known]
        now = believed(log_odds, np.ones(len(ids)))
        now[known] = believed(self._evidence[place], self._looks[place])
        new = np.flatnonzero(~known & (ids > 0))
        if len(new):
            joined = np.concatenate([self._ids, ids[new]])
            order = np.argsort(joined, kind="stable")
            self._ids = joined[order]
            self._evidence = np.concatenate([self._evidence, log_odds[new]])[order]
            self._looks = np.concatenate([self._looks, np.ones(len(new))])[order]
        return now

    def of(self, ids: Ints) -> Floats:
        """Probability of tracks that are alive, seen in the last frame or not."""
        known, place = _among(ids, self._ids)
        answer = np.zeros(len(ids))  # forgotten tracks are worth nothing until they are found again
        answer[known] = believed(self._evidence[place], self._looks[place])
        return answer

    def announce(self, ids: Ints) -> Ints:
        """Note that tracks are believed; return those of them that were not before."""
        new = np.unique(ids[~self.announced(ids)])
        if len(new):
            self._announced = np.sort(np.concatenate([self._announced, new]))
        return np.asarray(new)

    def announced(self, ids: Ints) -> Bools:
        """Tell which tracks have ever been believed."""
        return _among(ids, self._announced)[0]

    def known(self, tracks: tuple[TrackSummary, ...]) -> tuple[TrackSummary, ...]:
        """Return those of some tracks that have ever been believed."""
        ids = np.array([track.track_id for track in tracks], np.int64)
        return tuple(
            track for track, known in zip(tracks, self.announced(ids).tolist(), strict=True) if known
        )

    def forget(self, ids: Ints) -> None:
        """Drop tracks that have ended."""
        if not len(ids):
            return
        ids = np.sort(ids)
        alive = ~_among(self._ids, ids)[0]
        self._ids, self._evidence, self._looks = self._ids[alive], self._evidence[alive], self._looks[alive]
        self._announced = self._announced[~_among(self._announced, ids)[0]]

    def new_view(self, ended: tuple[TrackSummary, ...]) -> tuple[TrackSummary, ...]:
        """Forget every track, for the next frame shows another view; return those that have been believed."""
        known = self.known(ended)
        self.forget(np.array([track.track_id for track in ended], np.int64))
        self._clear = self._clear[:0]
        return known

    def snapshot(self) -> ExistenceSnapshot:
        """Return everything that is remembered after the last frame."""
        return ExistenceSnapshot(
            self._counts.copy(),
            self._learnt_counts.copy(),
            self._ids.copy(),
            self._announced.copy(),
            self._evidence.copy(),
            self._looks.copy(),
            self._clear.copy(),
        )

    def restore(self, snapshot: ExistenceSnapshot) -> None:
        """Go on from where another one was."""
        self._counts, self._learnt_counts = snapshot.counts.copy(), snapshot.learnt_counts.copy()
        self._ids, self._announced = snapshot.ids.copy(), snapshot.announced.copy()
        self._evidence, self._looks = snapshot.evidence.copy(), snapshot.looks.copy()
        self._clear = snapshot.clear.copy()
        if self.config is not None:
            self._learnt = Evidence.of(self._learnt_counts, self.config)

    def _learn(self, scores: Floats) -> None:
        self._counts = self._counts + histogram(scores)
        if self.config is not None and self._counts.sum() > _RELEARN * self._learnt_counts.sum():
            self._learnt, self._learnt_counts = Evidence.of(self._counts, self.config), self._counts


def _among(ids: Ints, known: Ints) -> tuple[Bools, Ints]:
    """Tell which ids are among some that rise, and the places of those."""
    place = np.searchsorted(known, ids)
    place[place == len(known)] = 0
    there = known[place] == ids if len(known) else np.zeros(len(ids), bool)
    return there, place[there]
