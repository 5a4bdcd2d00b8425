"""Average precision as the COCO evaluation defines it.

It uses 101 recalls and IoU 0.50 to 0.95, and is the mean over thresholds and classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import Floats

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps from which a pair counts."""

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Detections and true defects of one image, as far as their ranking needs them.

    Parameters
    ----------
    iou : ndarray of float64, shape (N, M)
        Overlap of N detections with M true defects.
    scores : ndarray of float, shape (N,)
        Confidence of the detections.
    found_classes, true_classes : ndarray of str, shape (N,) and (M,)
        Class names.
    """

    iou: Floats
    scores: NDArray[np.float32]
    found_classes: NDArray[np.str_]
    true_classes: NDArray[np.str_]

    def of_class(self, name: str | None, most: int | None) -> tuple[Floats, Floats]:
        """Scores in falling order and overlaps of the `most` strongest detections of a class.

        None takes all classes as one.
        """
        found = np.arange(len(self.scores)) if name is None else np.flatnonzero(self.found_classes == name)
        true = (
            np.arange(len(self.true_classes)) if name is None else np.flatnonzero(self.true_classes == name)
        )
        scores = self.scores[found].astype(np.float64)
        order = np.argsort(-scores, kind="stable")[:most]
        return scores[order], self.iou[np.ix_(found[order], true)]


def average_precision(
    pictures: Sequence[Ranked], name: str | None = None, *, most: int | None = None
) -> Floats:
    """Average precision of one class at each of the ten IoU thresholds, as pycocotools computes it.

    Parameters
    ----------
    pictures : sequence of Ranked
        Detections and true defects, image by image.
    name : str, optional
        Class; without it all defects count as one class ("find").
    most : int, optional
        Only so many detections of an image, the strongest, take part; COCO takes 100, too few for a dense
        micrograph.

    Returns
    -------
    ndarray of float64, shape (10,)
        NaN where the class does not occur among the true defects.

    References
    ----------
    Lin et al., Microsoft COCO, ECCV 2014, doi 10.1007/978-3-319-10602-1_48; the rules are those of
    pycocotools.

    Examples
    --------
    >>> one = np.array(["void"])
    >>> average_precision([Ranked(np.array([[0.76]]), np.ones(1, np.float32), one, one)], "void").round(2).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    parts = [picture.of_class(name, most) for picture in pictures]
    n_true = sum(iou.shape[1] for _, iou in parts)
    if not n_true:
        return np.full(len(THRESHOLDS), np.nan)
    scores = np.concatenate([scores for scores, _ in parts])
    hits = np.concatenate([_hits(iou) for _, iou in parts], axis=1)[:, np.argsort(-scores, kind="stable")]
    return np.array([_interpolated(row, n_true) for row in hits])


def mean_average_precision(pictures: Sequence[Ranked], *, most: int | None = None) -> dict[str, float]:
    """AP, AP50 and AP75: means over the classes that occur among the true defects.

    Returns
    -------
    dict of str to float
        `ap`, `ap50`, `ap75`; NaN where there are no true defects.
    """
    names = sorted({name for picture in pictures for name in picture.true_classes.tolist()})
    if not names:
        return dict.fromkeys(("ap", "ap50", "ap75"), float("nan"))
    by_class = np.array([average_precision(pictures, name, most=most) for name in names])
    return {
        "ap": float(by_class.mean()),
        "ap50": float(by_class[:, 0].mean()),
        "ap75": float(by_class[:, 5].mean()),
    }


def _hits(iou: Floats) -> NDArray[np.bool_]:
    """Find for each threshold which detections, the strongest first.

    Take the best true defect that is still free.
    """
    hits = np.zeros((len(THRESHOLDS), len(iou)), bool)
    if not iou.size:
        return hits
    for t, least in enumerate(THRESHOLDS):
        free = iou.copy()
        for row in range(len(iou)):
            # among equal overlaps the last one wins, as in pycocotools
            column = free.shape[1] - 1 - int(free[row, ::-1].argmax())
            if free[row, column] >= least:
                hits[t, row] = True
                free[:, column] = -1.0
    return hits


def _interpolated(hits: NDArray[np.bool_], n_true: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or a higher one."""
    true, false = np.cumsum(hits), np.cumsum(~hits)
    recall, precision = true / n_true, true / np.maximum(true + false, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(best, 0.0)[np.minimum(place, len(best))].mean())
