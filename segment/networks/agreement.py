"""What several views of one frame say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from insitrack.io.arrays import Floats
from insitrack.io.detections import Detections
from insitrack.segment.prepare.find_view import same_in
from insitrack.segment.prepare.view import View

_WEIGHT = 0.4  # of the other views, on logits
_LEAST = 0.02  # probability of what the other views do not show at all, and of what is not there for certain
_OWN = 2.0  # weight of the classes of the first view: a larger view knows laths better, a smaller one loops
_STEP = 1.41
_LARGEST = 2.0  # beyond it a view costs eight times the frame, and one view alone counts


def neighbours(view: View) -> list[View]:
    """Return the views whose agreement is weighed with that of a view: half an octave smaller and larger.

    Examples
    --------
    >>> neighbours(View(1.0))
    [View(scale=0.709, inverted=False), View(scale=1.41, inverted=False)]
    >>> neighbours(View(2.0))
    []
    """
    if view.scale >= _LARGEST:
        return []
    return [replace(view, scale=scale) for scale in (round(view.scale / _STEP, 3), view.scale * _STEP)]


def agreed(views: Sequence[Detections], least_score: float) -> Detections:
    """Score the detections of the first view by what all views together say.

    Parameters
    ----------
    views : sequence of Detections
        What the network found in a frame in each view, px of the frame.
    least_score : float
        Detections with less are dropped.

    Returns
    -------
    Detections
        Strongest first. The logit of a score is 0.6 of that in the first view and 0.4 of the best that
        another view has for the same defect (IoU of boxes from 0.4): on pictures left out of the training,
        where a defect is found in one view only, people mostly did not outline it
        (``benchmarks/views.md``). The probabilities of the classes are means over the views that show the defect,
        weighted by score, twice that of the first view.
    """
    first, *others = views
    own = np.asarray(first.scores, np.float64)
    likely = None if first.class_probability is None else _OWN * own[:, None] * first.class_probability
    best = np.zeros(len(first))
    for other in others:
        row, score = same_in(first, other)
        best = np.maximum(best, score)
        if likely is not None and other.class_probability is not None and len(other):
            likely += score[:, None] * other.class_probability[row]
    out = first
    if others:
        logit = (1 - _WEIGHT) * _logit(own) + _WEIGHT * _logit(best)
        out = replace(out, scores=(1 / (1 + np.exp(-logit))).astype(np.float32))
    if others and likely is not None:
        classes = (likely / likely.sum(axis=1, keepdims=True).clip(1e-9)).astype(np.float32)
        labels = np.asarray(classes.argmax(axis=1) + 1, np.int64)
        out = replace(out, class_probability=classes, labels=labels)
    order = np.argsort(-out.scores, kind="stable")
    return out.take(order[out.scores[order] >= least_score])


def _logit(probability: Floats) -> Floats:
    inside = probability.clip(_LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside / (1 - inside)))
