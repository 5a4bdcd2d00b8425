"""Existence of the finds and gaps of whole tracks, with hindsight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Bools, Floats, Ints
from insitrack.tracker.existence.chain import END_LOOKS, MISS, Looks, along_tracks, breaks
from insitrack.tracker.existence.evidence import Evidence, histogram
from insitrack.tracker.existence.settings import ExistenceConfig

SEEN, MISSED, UNSEEN_LOOKS = 0.7, -0.5, 4
"""Log odds of a look where every find is believed, and looks after the last one that count as missed: three finds
make a track, seen in 0.4 of its looks."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What was learnt from all tracks of a run, to judge them by.

    Parameters
    ----------
    n_looks : int
        Looks at the specimen.
    apart : ndarray of bool, shape (n_looks,)
        Looks that share few defects with the one before; each side of them is judged by itself.
    evidence : Evidence or None
        What a find says by itself; None: nothing (a least confidence was asked for, or the finds were made
        elsewhere), and the looks alone count.
    keep : float
        Least probability of what is believed.
    """

    n_looks: int
    apart: Bools
    evidence: Evidence | None = None
    keep: float = 0.5

    @classmethod
    def of(
        cls, chain: Ints, place: Ints, score: Floats, n_looks: int, config: ExistenceConfig | None
    ) -> Judge:
        """Learn from tracks.

        Parameters
        ----------
        chain, place : ndarray of int64, shape (N,)
            Track and look of each find, as in `along_tracks`.
        score : ndarray of float64, shape (N,)
            Scores of the finds, 0..1.
        n_looks : int
            Looks at the specimen.
        config : ExistenceConfig or None
            How finds become defects; None where scores are not judged.
        """
        if config is None:
            return cls(n_looks, breaks(chain, place, np.ones(len(chain), bool), n_looks))
        evidence = Evidence.of(histogram(score), config)
        apart = breaks(chain, place, evidence.log_odds(score) > 0, n_looks)
        return cls(n_looks, apart, evidence, config.keep)

    def along(self, chain: Ints, place: Ints, score: Floats) -> Looks:
        """Judge every look at tracks; the arguments are those of `of`."""
        if self.evidence is None:
            odds, miss, end_looks = np.full(len(chain), SEEN), MISSED, UNSEEN_LOOKS
        else:
            odds, miss, end_looks = self.evidence.log_odds(score), MISS, END_LOOKS
        return along_tracks(
            chain, place, odds, self.n_looks, miss=miss, end_looks=end_looks, apart=self.apart
        )
