"""Found or missed, class right or wrong, against the overlap that is asked for.

"Find" scores ignore the class. "Type" scores come from the confusion matrix, in two readings: of the *pairs*
only, as Jacobs et al. 2022 (doi 10.1016/j.xcrp.2022.100876) publish them, and *strict*, where a missed defect
and a false detection count too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.segment.scores.average_precision import Ranked
from insitrack.segment.scores.matching import Method, Overlap, overlaps, pairs

CURVE = tuple(round(0.1 * step, 1) for step in range(1, 10))
"""Overlaps of the published curve of F1 against IoU."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One image: what was found, what is true, and how much they overlap.

    Parameters
    ----------
    name : str
        Name of the image.
    found, true : Detections
        N detections and M true defects.
    iou : ndarray of float64, shape (N, M)
        Overlap of each with each.
    """

    name: str
    found: Detections
    true: Detections
    iou: Floats

    def ranked(self) -> Ranked:
        """Return what average precision needs."""
        classes = [np.array(part.names(), np.str_) for part in (self.found, self.true)]
        return Ranked(self.iou, self.found.scores, *classes)


def compare(name: str, found: Detections, true: Detections, overlap: Overlap = "mask") -> Compared:
    """Overlap the detections of an image with its true defects."""
    return Compared(name, found, true, overlaps(found, true, overlap))


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often a defect of one class was found as another, over any number of images, and the scores.

    Parameters
    ----------
    classes : tuple of str
        K class names.
    counts : ndarray of int64, shape (K + 1, K + 1)
        Rows are true classes, columns found ones; the last row holds false detections, the last column missed
        defects.

    Examples
    --------
    >>> confusion = Confusion(("black_dot", "loop_111"), np.array([[4, 1, 1], [0, 3, 2], [1, 0, 0]]))
    >>> confusion.n_true, confusion.n_found, confusion.n_matched, round(confusion.f1, 3)
    (11, 9, 8, 0.8)
    """

    classes: tuple[str, ...]
    counts: Ints

    @property
    def n_true(self) -> int:
        """Labelled defects."""
        return int(self.counts[:-1].sum())

    @property
    def n_found(self) -> int:
        """Detections."""
        return int(self.counts[:, :-1].sum())

    @property
    def n_matched(self) -> int:
        """Pairs of both, whatever the classes."""
        return int(self.counts[:-1, :-1].sum())

    @property
    def precision(self) -> float:
        """Share of the detections that are real; NaN without detections."""
        return _ratio(self.n_matched, self.n_found)

    @property
    def recall(self) -> float:
        """Share of the labelled defects that were found; NaN without labels."""
        return _ratio(self.n_matched, self.n_true)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall ("find" F1); NaN where there is nothing at all."""
        return _ratio(2 * self.n_matched, self.n_true + self.n_found)

    @property
    def class_accuracy(self) -> float:
        """Share of the pairs that agree in class; NaN without pairs."""
        return _ratio(int(np.trace(self.counts[:-1, :-1])), self.n_matched)

    def of_class(self, name: str, *, strict: bool) -> tuple[float, float, float]:
        """Precision, recall and F1 of one class, of the pairs only or with everything missed and false."""
        counts = self.counts if strict else self.counts[:-1, :-1]
        i = self.classes.index(name)
        hits, found, true = int(counts[i, i]), int(counts[:, i].sum()), int(counts[i].sum())
        return _ratio(hits, found), _ratio(hits, true), _ratio(2 * hits, found + true)

    def type_f1(self, *, strict: bool) -> float:
        """Mean of the F1 of the classes, each with the same weight.

        Classes without a true defect are left out.
        """
        f1 = [
            self.of_class(name, strict=strict)[2]
            for i, name in enumerate(self.classes)
            if self.counts[i].sum()
        ]
        known = [value for value in f1 if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")

    def scores(self) -> dict[str, float]:
        """Every pooled number."""
        return {
            "n_true": self.n_true,
            "n_found": self.n_found,
            "n_matched": self.n_matched,
            "find_precision": self.precision,
            "find_recall": self.recall,
            "find_f1": self.f1,
            "class_accuracy": self.class_accuracy,
            "type_f1_pairs": self.type_f1(strict=False),
            "type_f1_strict": self.type_f1(strict=True),
        }


def classes_of(pictures: Iterable[Compared]) -> tuple[str, ...]:
    """Classes that occur among true defects or detections, the usual ones first and in their usual order."""
    names = {name for picture in pictures for part in (picture.true, picture.found) for name in part.names()}
    return (*(name for name in DEFECT_CLASSES if name in names), *sorted(names - set(DEFECT_CLASSES)))


def confusion(
    pictures: Sequence[Compared],
    least_iou: float = 0.3,
    method: Method = "hungarian",
    classes: tuple[str, ...] | None = None,
) -> Confusion:
    """Pair detections with true defects in every image and count the classes of the pairs.

    Parameters
    ----------
    pictures : sequence of Compared
        What was found and what is true.
    least_iou : float
        Overlap from which a pair counts.
    method : {"hungarian", "greedy"}
        See `insitrack.segment.scores.matching.pairs`.
    classes : tuple of str, optional
        Classes to list; by default those that occur.
    """
    names = classes_of(pictures) if classes is None else classes
    k = len(names)
    counts = np.zeros((k + 1, k + 1), np.int64)
    for picture in pictures:
        rows, columns = pairs(picture.iou, least_iou, method)
        true, found = (
            np.array([names.index(name) for name in part.names()], np.int64)
            for part in (picture.true, picture.found)
        )
        np.add.at(counts, (true[columns], found[rows]), 1)
        counts[:k, k] += np.bincount(np.delete(true, columns), minlength=k)
        counts[k, :k] += np.bincount(np.delete(found, rows), minlength=k)
    return Confusion(names, counts)


def curve(
    pictures: Sequence[Compared], ious: Sequence[float] = CURVE, method: Method = "hungarian"
) -> list[dict[str, float]]:
    """Pooled scores at each of several overlaps, for the curve of F1 against IoU."""
    classes = classes_of(pictures)
    return [{"iou": iou, **confusion(pictures, iou, method, classes).scores()} for iou in ious]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
