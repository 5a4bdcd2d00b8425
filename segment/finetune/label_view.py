"""How labelled images are best shown to the network: the labels tell it better than a look at the images.

`track` detects scale and polarity from what the network is surest of. Where somebody has outlined the defects,
the scale is the one at which the base model finds most of them, and the polarity that of the outlines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insitrack.io.detections import Detections
from insitrack.segment.base import SegmentConfig
from insitrack.segment.finetune.data import not_too_small
from insitrack.segment.finetune.starting_point import Base
from insitrack.segment.labels.reader import LabelledPicture
from insitrack.segment.prepare.field import field_of
from insitrack.segment.prepare.find_view import BRIGHT_SHARE, LOOK_FRAMES, SCALES, brighter
from insitrack.segment.prepare.grey import stretch_to_8_bit
from insitrack.segment.prepare.view import View
from insitrack.segment.scores.evaluate import score

_TRIED_PICTURES = 12
_CONFIDENCE = 0.05
_CUTS = (0.05, 0.08, 0.12, 0.18, 0.27, 0.4)
_IOU = 0.3
_LEAST_F1 = 0.1  # below it the base model says nothing about the scale
_LEAST_LABELS = 5


def view_of_labels(
    base: Base, pictures: Sequence[LabelledPicture], scale: float | str, contrast: str
) -> View:
    """Choose scale and polarity for the images of one series.

    Parameters
    ----------
    base : Base
        The model that is trained further.
    pictures : sequence of LabelledPicture
        Images of one series; the first few are tried.
    scale : float or "auto"
        Given scale, or `auto`: the one of `SCALES` at which the base model, at its best confidence, reaches the
        highest F1 against the labels at an IoU of 0.3; but none at which the small ones would vanish, see
        `not_too_small`. What `track` detects where there are too few labels, or none is found at any scale.
    contrast : {"auto", "dark", "bright"}
        Given polarity, or `auto`: bright where three quarters of the outlined areas are brighter than what is
        around them.
    """
    truths = [picture.truth for picture in pictures]
    inverted = contrast == "bright" if contrast != "auto" else _mostly_bright(pictures)
    if not isinstance(scale, str):
        return View(scale, inverted)
    best = _best_scale(base, pictures[:_TRIED_PICTURES], inverted)
    if best is None:
        best = _detected(base, pictures[:LOOK_FRAMES], inverted)
    return View(not_too_small(best, truths), inverted)


def _mostly_bright(pictures: Sequence[LabelledPicture]) -> bool:
    which = [brighter(stretch_to_8_bit(picture.image), picture.truth) for picture in pictures]
    known = np.concatenate(which) if which else np.zeros(0, bool)
    return bool(len(known) and known.mean() >= BRIGHT_SHARE)


def _best_scale(base: Base, pictures: Sequence[LabelledPicture], inverted: bool) -> float | None:
    """Scale at which most labels are found; None where nothing can be said."""
    if sum(len(picture.truth) for picture in pictures) < _LEAST_LABELS:
        return None
    reached = {}
    for scale in SCALES:
        polarity = "bright" if inverted else "dark"
        config = SegmentConfig(scale=scale, looks=1, contrast=polarity, confidence=_CONFIDENCE)
        segment = base.segmenter(config)
        if segment is None:
            return None
        found = [(segment(one.frame, field_of(one.frame)), one.truth) for one in pictures]
        reached[scale] = max(_f1(found, cut) for cut in _CUTS)
    best = max(reached, key=reached.__getitem__)  # of equal ones the largest, which comes first
    return best if reached[best] >= _LEAST_F1 else None


def _f1(pairs: Sequence[tuple[Detections, Detections]], cut: float) -> float:
    f1 = score([(found.take(found.scores >= cut), true) for found, true in pairs], _IOU).f1
    return 0.0 if np.isnan(f1) else f1


def _detected(base: Base, pictures: Sequence[LabelledPicture], inverted: bool) -> float:
    """Scale that `track` would detect on the images."""
    segment = base.segmenter(SegmentConfig(contrast="bright" if inverted else "dark"))
    if segment is None:
        return 1.0
    for _ in segment.stream((one.frame, field_of(one.frame), None) for one in pictures):
        pass
    return float(segment.describe()["view"]["scale"])
