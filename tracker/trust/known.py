"""What images that the shipped networks know look like: a model of the figures of their texture.

Two judges are averaged. One is a logistic regression on the figures and their squares, fitted on micrographs
and drawn movies against images of other kinds. The other compares the image with the middle of every kind,
known or not, in a space in which all kinds scatter alike (a linear discriminant with several kinds a side); it
also names the kind that the image is most like, and knows when it is far from all known ones. Both are fitted
by ``benchmarks/trust.py --fit`` and do not depend on the weights of a network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.arrays import Bools, Floats
from insitrack.io.errors import ModelError
from insitrack.segment.prepare.texture import NAMES

FARTHEST_FIGURE = 5.0
"""Figures farther from the mean of the known ones than so many standard deviations are taken as so far."""
SHARPNESS = 0.6
"""Weight of squared distances: figures are neither normal nor independent, and many."""
UNLIKE = "unlike"
"""The reason where an image is far from all known kinds, and not because it is like one that is not known."""
_PER_DISTANCE = 1.0  # log odds per unit of distance beyond the farthest known images


@dataclass(frozen=True, slots=True)
class KnownImages:
    """The fitted model.

    Parameters
    ----------
    mean, sd : ndarray of float64, shape (F,)
        Of the figures of known images.
    weight, square_weight : ndarray of float64, shape (F,)
        Of the standardised figures and of their squares.
    bias : float
        Log odds of an image whose figures are the mean ones.
    axes : ndarray of float64, shape (F, F)
        From standardised figures to a space in which every kind scatters by one in all directions.
    centres : ndarray of float64, shape (K, F)
        Middle of each kind there.
    known : ndarray of bool, shape (K,)
        Which kinds are known.
    reasons : tuple of str
        What each kind is called that is not known, see `insitrack.tracker.trust.reasons.REASONS`.
    farthest : float
        Distance from the nearest known kind at which known and unknown are even.
    offset : float
        Added to the log odds: how much likelier known images are than others before any look.
    """

    mean: Floats
    sd: Floats
    weight: Floats
    square_weight: Floats
    bias: float
    axes: Floats
    centres: Floats
    known: Bools
    reasons: tuple[str, ...]
    farthest: float
    offset: float = 0.0

    def judge(self, figures: Floats) -> tuple[float, str]:
        """Log odds that an image is of a known kind, and the reason that speaks most against it."""
        z = np.clip((figures - self.mean) / self.sd, -FARTHEST_FIGURE, FARTHEST_FIGURE)
        straight = self.bias + float((self.weight * z + self.square_weight * z * z).sum())
        squared = ((self.centres - self.axes @ z) ** 2).sum(axis=1)
        like = -0.5 * SHARPNESS * squared
        kinds = float(np.logaddexp.reduce(like[self.known]) - np.logaddexp.reduce(like[~self.known]))
        far = _PER_DISTANCE * (self.farthest - float(np.sqrt(squared[self.known].min())))
        weighed = self.offset + (straight + kinds) / 2
        nearest = int(np.flatnonzero(~self.known)[squared[~self.known].argmin()])
        return min(weighed, far), UNLIKE if far < min(weighed, 0.0) else self.reasons[nearest]


_ARRAYS = ("mean", "sd", "weight", "square_weight", "axes", "centres")


def read_known(path: Path) -> KnownImages:
    """Read a fitted model.

    Raises
    ------
    ModelError
        If it is none of this version's figures.
    """
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if tuple(facts["figures"]) != NAMES:
            raise ValueError("of other figures")
        array = {name: np.array(facts[name], np.float64) for name in _ARRAYS}
        return KnownImages(
            mean=array["mean"],
            sd=array["sd"],
            weight=array["weight"],
            square_weight=array["square_weight"],
            bias=float(facts["bias"]),
            axes=array["axes"],
            centres=array["centres"],
            known=np.array([one["known"] for one in facts["kinds"]], bool),
            reasons=tuple(str(one["reason"]) for one in facts["kinds"]),
            farthest=float(facts["farthest"]),
            offset=float(facts["offset"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: no model of known images ({error}); expected what benchmarks/trust.py --fit writes"
        ) from error


@cache
def load_known() -> KnownImages:
    """Read the model that comes with the shipped networks."""
    return read_known(Path(__file__).parent / "known.json")
