"""What the detector misses and finds by mistake, in the intervals of numbers and densities.

How many defects people outline for each that is found scatters from experiment to experiment like the exponential
of a normal variable. Its mean and spread come with the model, from experiments that were left out; they widen
intervals and move no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.io.detections import UNTYPED
from insitrack.io.intervals import Z_95
from insitrack.tracker.series.counting import detector_factor
from insitrack.tracker.series.settings import SeriesConfig

UNKNOWN_LOG_SD = 1.0
"""Standard deviation of ln(true / found) on frames of a kind that the model does not know."""


@dataclass(frozen=True, slots=True)
class DetectorError:
    """How far the number of defects may lie from the number found.

    Parameters
    ----------
    log_bias, log_sd : ndarray of float64, shape (K,)
        Mean and standard deviation of ln(true / found) of each class.
    type_log_sd : float
        Further standard deviation of one class alone, for defects that are taken for another class.
    trust : ndarray of float64, shape (T,), or None
        Probability that a frame is of a kind that the model knows: variances are mixed with that of an unknown one;
        NaN, and None, for frames that it knows.

    Examples
    --------
    >>> half_or_double = DetectorError(np.zeros(1), np.array([np.log(2) / Z_95]), 0.0)
    >>> n, low, high = (np.full((1, 2), end) for end in (1e9, 1e9, 1e9))
    >>> [(end / n).round(2).tolist()[0] for end in half_or_double.widened(n, low, high)]
    [[0.5, 0.5], [2.0, 2.0]]
    """

    log_bias: Floats
    log_sd: Floats
    type_log_sd: float
    trust: Floats | None = None

    @classmethod
    def of(cls, config: SeriesConfig, class_names: tuple[str, ...]) -> DetectorError:
        """Read it from settings; precision and recall given for a class take the place of the model's own."""
        bias, sd, kind = np.zeros(len(class_names)), np.zeros(len(class_names)), 0.0
        usual = config.bands == "detector"
        for i, name in enumerate(class_names):
            precision = config.detector_precision.get(name, config.detector_precision.get("all"))
            recall = config.detector_recall.get(name, config.detector_recall.get("all"))
            if precision is not None and recall is not None:
                sd[i] = detector_factor(precision, recall, config.detector_labels)[1]
            elif usual:
                bias[i], sd[i] = (
                    _of_class(values, name) for values in (config.detector_log_bias, config.detector_log_sd)
                )
                kind = config.detector_type_log_sd
        return cls(bias, sd, kind)

    def widened(self, n: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Add the detector's error to intervals of counting.

        Parameters
        ----------
        n, low, high : ndarray of float64, shape (T, K + 1)
            Numbers and the ends of their intervals, all together in the last place.

        Returns
        -------
        low, high : ndarray of float64, shape (T, K + 1)
            Errors of the classes of one frame go together, so that those of all are their mean. Where nothing of
            a class is found among others its upper end is that of counting; where nothing at all is found, it is
            widened by the largest error of a class.
        """
        k = len(self.log_sd)
        if not k or not (self.log_sd.any() or self.log_bias.any() or self.type_log_sd):
            return low, high
        part = n[:, :k]
        total = part.sum(axis=1, keepdims=True)
        share = part / np.where(total > 0, total, 1.0)
        none = total[:, 0] == 0
        mean = np.log(np.where(none, 1.0, (share * np.exp(self.log_bias)).sum(axis=1)))
        spread = share @ self.log_sd
        worst = int(np.argmax(self.log_bias + Z_95 * self.log_sd))
        mean = np.where(none, self.log_bias[worst], mean)
        spread = np.where(none, self.log_sd[worst], spread)
        bias = np.column_stack([np.broadcast_to(self.log_bias, part.shape), mean])
        own = np.hypot(self.log_sd, self.type_log_sd)
        sd = np.column_stack([np.broadcast_to(own, part.shape), spread])
        if self.trust is not None:
            known = np.where(np.isnan(self.trust), 1.0, self.trust)[:, None]
            sd = np.maximum(sd, np.sqrt(known * sd**2 + (1 - known) * UNKNOWN_LOG_SD**2))
        sd = Z_95 * sd
        some = n > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            below = np.where(low > 0, np.log(n / low), np.inf)
            above = np.log(high / n)
            least = n * np.exp(bias - np.hypot(sd, below))
            most = n * np.exp(bias + np.hypot(sd, above))
        nothing = high * np.where(np.arange(k + 1) == k, np.exp(np.maximum(bias + sd, 0.0)), 1.0)
        nothing = np.where(none[:, None], nothing, high)
        return np.where(some, np.minimum(least, n), low), np.where(some, np.maximum(most, n), nothing)


def _of_class(values: Mapping[str, float], name: str) -> float:
    """Value of a class, or of all; where the class cannot be told it is the median of the classes."""
    if name == UNTYPED and name not in values and values:
        return float(np.median(list(values.values())))
    return values.get(name, values.get("all", 0.0))
