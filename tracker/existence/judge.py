"""Existence of the finds and gaps of whole tracks, with hindsight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.tracker.existence.chain import MISS, USUAL_TEMPERING, Looks, along_tracks, tempering
from insitrack.tracker.existence.evidence import Evidence, histogram, logit
from insitrack.tracker.existence.settings import ExistenceConfig

SEEN, MISSED = 0.7, -0.5
"""Log odds of a look where every find is believed: three finds make a track, seen in 0.4 of its looks."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What was learnt from all tracks of a run, to judge them by.

    Parameters
    ----------
    n_looks : int
        Looks at the specimen.
    weight : float
        Tempering of all but the first find of a track.
    evidence : Evidence or None
        What a find says by itself; None: nothing (a least confidence was asked for, or the finds were made
        elsewhere), and the looks alone count.
    """

    n_looks: int
    weight: float = USUAL_TEMPERING
    evidence: Evidence | None = None

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
            return cls(n_looks)
        return cls(n_looks, tempering(chain, place, logit(score)), Evidence.of(histogram(score), config))

    @property
    def keep(self) -> float:
        """Least probability of what is believed."""
        return 0.5 if self.evidence is None else self.evidence.config.keep

    def along(self, chain: Ints, place: Ints, score: Floats) -> Looks:
        """Judge every look at tracks; the arguments are those of `of`."""
        if self.evidence is None:
            odds, miss = np.full(len(chain), SEEN), MISSED
        else:
            odds, miss = self.evidence.log_odds(score), MISS
        return along_tracks(chain, place, odds, self.n_looks, self.weight, miss)
