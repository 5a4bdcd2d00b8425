"""What one find says by itself: log odds of a defect from its score and from the scores of the whole movie.

A logistic curve of the score, so that a higher score never speaks against a defect. The scores of the movie are
taken for a mixture of clutter, which falls off exponentially from the least score, and of defects, a normal
distribution of the logit. All that such a mixture knows is where the two are equally frequent; how steeply
belief rises it cannot know, since both shapes are assumed. So it moves the even score, by a third of a logit at
most: a find that is clear by the calibration stays one in every movie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from insitrack.io.arrays import Floats
from insitrack.tracker.existence.settings import ExistenceConfig

_LEAST_LOGIT, _BIN = -5.0, 0.1
N_BINS = 100
_MIDDLES = _LEAST_LOGIT + _BIN * (np.arange(N_BINS, dtype=np.float64) + 0.5)
_STEPS = 100
_LEAST_SD = 0.3
MOST_SHIFT = 1 / 3
"""Logits by which a movie moves the even score at most, from 0.15 to 0.11 or 0.20."""
_MIXTURE_FINDS = 50
"""Finds at which a movie moves the even score by half of what its mixture says."""
_CLEAR = 0.5
"""Logits by which the mean defect of the mixture must lie above an even score: below, the mixture has split
clutter into two kinds and says nothing about defects."""


def logit(score: Floats) -> Floats:
    """Logarithm of the odds of a score, which is kept off 0 and 1."""
    score = np.clip(np.asarray(score, np.float64), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(score / (1 - score)))


def histogram(score: Floats) -> Floats:
    """Count finds in `N_BINS` bins of the logit: what is kept of the scores of a movie, however long it is."""
    place = np.clip((logit(score) - _LEAST_LOGIT) / _BIN, 0, N_BINS - 1).astype(np.int64)
    return np.bincount(place, minlength=N_BINS).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Clutter and defects among the scores of a movie.

    Parameters
    ----------
    floor : float
        Least logit.
    decay : float
        Rate at which clutter falls off above it, per logit.
    mean, sd : float
        Of the logits of defects.
    share : float
        Of defects among the finds.
    """

    floor: float
    decay: float
    mean: float
    sd: float
    share: float

    def log_odds(self, x: Floats) -> Floats:
        """Log odds of a defect at logits `x`."""
        clutter = np.log(self.decay) - self.decay * (x - self.floor)
        defect = norm.logpdf(x, self.mean, self.sd) - norm.logsf(self.floor, self.mean, self.sd)
        return np.asarray(np.log(self.share / (1 - self.share)) + defect - clutter)

    @property
    def even(self) -> float:
        """Logit below the mean defect at which clutter and defects are equally frequent; the least logit if none."""
        x = np.arange(self.floor, self.mean, 0.02)
        clutter = np.flatnonzero(self.log_odds(x) < 0)
        return float(x[clutter[-1]]) if len(clutter) else self.floor

    @classmethod
    def fitted(cls, counts: Floats) -> Mixture:
        """Fit by expectation and maximisation to a histogram of logits that is not empty."""
        used = np.flatnonzero(counts)
        x, n = np.asarray(_MIDDLES[used], np.float64), counts[used]
        floor, total = float(x[0] - _BIN / 2), float(n.sum())
        low, high = np.interp([0.7, 0.9], np.cumsum(n) / total, x)
        weak = x <= max(low, x[0])
        mean_all = float((n * x).sum() / total)
        spread = float(np.sqrt((n * (x - mean_all) ** 2).sum() / total))
        excess = float((n * (x - floor))[weak].sum() / n[weak].sum())
        now = cls(floor, 1 / max(excess, _BIN / 2), float(high), max(0.6 * spread, _LEAST_SD), 0.5)
        for _ in range(_STEPS):
            defect = n / (1 + np.exp(-np.clip(now.log_odds(x), -500, 500)))
            some, rest = max(float(defect.sum()), 1e-9), max(float((n - defect).sum()), 1e-9)
            mean = float((defect * x).sum()) / some
            now = cls(
                floor,
                rest / max(float(((n - defect) * (x - floor)).sum()), rest * _BIN / 2),
                mean,
                max(float(np.sqrt((defect * (x - mean) ** 2).sum() / some)), _LEAST_SD),
                float(np.clip(some / total, 0.01, 0.99)),
            )
        return now


@dataclass(frozen=True, slots=True)
class Evidence:
    """Log odds of a defect for single finds of one movie or micrograph.

    Parameters
    ----------
    even : float
        Logit at which a find is as often a defect as not.
    slope : float
        Rise of the log odds with the logit.
    """

    even: float
    slope: float

    @classmethod
    def of(cls, counts: Floats, config: ExistenceConfig) -> Evidence:
        """Learn from a histogram of scores; an empty one leaves the calibration as it is.

        Examples
        --------
        >>> scores = np.concatenate([np.full(300, 0.06), np.linspace(0.5, 0.9, 100)])
        >>> evidence = Evidence.of(histogram(scores), ExistenceConfig())
        >>> (evidence.log_odds(np.array([0.06, 0.12, 0.7])) > 0).tolist()
        [False, False, True]
        """
        usual, n = float(logit(np.array(config.even))), float(counts.sum())
        mixture = Mixture.fitted(counts) if np.count_nonzero(counts) > 1 else None
        shift = 0.0
        if mixture is not None and mixture.mean >= usual + _CLEAR:
            shift = float(np.clip(mixture.even - usual, -MOST_SHIFT, MOST_SHIFT)) * n / (n + _MIXTURE_FINDS)
        return cls(usual + shift, config.slope)

    def log_odds(self, score: Floats) -> Floats:
        """Log odds of a defect, shape (N,), for scores 0..1."""
        return np.asarray(self.slope * (logit(score) - self.even))
