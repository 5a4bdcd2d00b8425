"""What came of a training: whether it is better than its start, and what its scores mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from insitrack.io.arrays import Bools, Floats
from insitrack.segment.base import DEFAULT_CONFIDENCE, Segmenter
from insitrack.segment.prepare.field import field_of
from insitrack.segment.scores.evaluate import Example
from insitrack.segment.scores.matching import pairs

CANDIDATE = 0.03
"""Least score of the finds that the meaning of scores is learnt from."""
_IOU = 0.3
_ODDS_PER_LOGIT = 1.2
_SD_LOGITS = 0.7  # how far the even score may lie from that of the start before a dozen finds have spoken
_LEAST, _MOST = 0.03, 0.8


@dataclass(frozen=True, slots=True)
class Finetuned:
    """What came of a training.

    Parameters
    ----------
    model : Path
        The exported network; its card and checkpoint lie beside it.
    before, after : dict
        Scores on the held-out images, by ``iou_0.3`` and ``iou_0.5``, of the base model and of the newly trained
        one; `before` is empty where training began from random weights.
    warnings : tuple of str
        What the user should know.
    kept_start : bool
        The training was worse than its start on the held-out images: `model` holds the weights of the start.
    """

    model: Path
    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    warnings: tuple[str, ...]
    kept_start: bool = False


def is_worse(before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether the mean F1 over the overlaps has fallen; nothing found counts as 0.

    Examples
    --------
    >>> old = {"iou_0.3": {"f1": 0.5}, "iou_0.5": {"f1": 0.3}}
    >>> is_worse(old, {"iou_0.3": {"f1": 0.55}, "iou_0.5": {"f1": 0.2}}), is_worse(old, old), is_worse({}, old)
    (True, False, False)
    """
    if not before:
        return False
    old, new = (
        float(np.nan_to_num([one["f1"] for one in scores.values()]).mean()) for scores in (before, after)
    )
    return new < old - 1e-9


def scores_mean(
    segment: Segmenter, examples: Sequence[Example], start: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Find the score at which a find is as likely a defect as not, from the held-out images.

    Parameters
    ----------
    segment : Segmenter
        The new model, with finds down to `CANDIDATE`.
    examples : sequence of (Frame, Detections)
        Images that were not trained on, and their labels.
    start : mapping
        `calibration` of the model that training began from, as its card has it.
    source : str
        Name of the labels, for `learnt_on`.

    Returns
    -------
    dict
        `calibration` of the new card: that of the start with another `even_score`.
    """
    scores, right = [], []
    for frame, true in examples:
        found = segment(frame, field_of(frame))
        good = np.zeros(len(found), bool)
        good[pairs(found.masks.iou(true.masks), _IOU)[0]] = True
        scores.append(np.asarray(found.scores, np.float64))
        right.append(good)
    odds = float(start.get("odds_per_logit", _ODDS_PER_LOGIT))
    even = even_score(
        np.concatenate(scores) if scores else np.zeros(0),
        np.concatenate(right) if right else np.zeros(0, bool),
        float(start.get("even_score", DEFAULT_CONFIDENCE)),
        odds,
    )
    learnt = f"{len(examples)} held-out images of {source} (even_score)"
    if "learnt_on" in start:
        learnt += f"; all else on what its start learnt it from: {start['learnt_on']}"
    return {
        **{key: value for key, value in start.items() if key != "learnt_on"},
        "even_score": round(even, 3),
        "odds_per_logit": odds,
        "learnt_on": learnt,
    }


def even_score(score: Floats, right: Bools, prior: float, odds_per_logit: float) -> float:
    """Score at which a find is as likely right as wrong, kept near `prior` where there are few finds.

    Logistic regression of the logit of the score with a given slope; a normal prior on the logit of the even
    score, 0.7 wide.

    Parameters
    ----------
    score : ndarray of float64, shape (N,)
        Scores of finds.
    right : ndarray of bool, shape (N,)
        Whether somebody labelled them.
    prior : float
        Even score of the start.
    odds_per_logit : float
        Slope: log odds of being right, per logit of the score.

    Examples
    --------
    >>> even_score(np.zeros(0), np.zeros(0, bool), 0.2, 1.2)
    0.2
    >>> surer = np.linspace(0.05, 0.9, 200)
    >>> round(even_score(surer, surer > 0.4, 0.2, 8.0), 1)
    0.4
    """
    if not len(score):
        return prior
    x, middle = _logit(score), float(_logit(np.array([prior]))[0])
    signs = np.where(right, 1.0, -1.0)

    def loss(even: float) -> float:
        likelihood = np.logaddexp(0, -signs * odds_per_logit * (x - even)).sum()
        return float(likelihood + ((even - middle) / _SD_LOGITS) ** 2 / 2)

    low, high = _logit(np.array([_LEAST, _MOST]))
    best = minimize_scalar(loss, bounds=(float(low), float(high)), method="bounded")
    return float(1 / (1 + np.exp(-best.x)))


def _logit(score: Floats) -> Floats:
    score = np.clip(score, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(score / (1 - score)))


def shown_gain(result: Finetuned) -> str:
    """Scores before and after in one line."""
    parts = []
    for kind in result.after:
        old = f"{result.before[kind]['f1']:.2f} -> " if result.before else ""
        of = (
            f" at IoU {kind.removeprefix('iou_')}" if kind.startswith("iou_") else f" of the length of {kind}"
        )
        parts.append(f"F1 {old}{result.after[kind]['f1']:.2f}{of}")
    return ", ".join(parts)
