"""How good detections are: found or missed, class right or wrong, against the overlap that is asked for.

"Find" scores ignore the class. "Type" scores come from the confusion matrix, in two readings: of the *pairs*
only, as Jacobs et al. 2022 (doi 10.1016/j.xcrp.2022.100876) publish them, and *strict*, where a missed defect
and a false detection count too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from insitrack.io.arrays import Floats, Ints
from insitrack.io.detections import DEFECT_CLASSES, Detections, Masks
from insitrack.io.errors import SourceError
from insitrack.io.files.folder import IMAGE_SUFFIXES
from insitrack.io.frames import BoolImage, Frame
from insitrack.segment.labels.reader import read_picture
from insitrack.segment.networks.postprocess import inside_field
from insitrack.segment.prepare.grey import FieldConfig, FieldFinder, stretch_to_8_bit
from insitrack.segment.scores.average_precision import Ranked
from insitrack.segment.scores.matching import Method, Overlap, overlaps, pairs
from insitrack.segment.training.dataset import TRAINED_CLASSES, read_labels

Example = tuple[Frame, Detections]
Segment = Callable[[Frame, BoolImage | None], Detections]
CURVE = tuple(round(0.1 * step, 1) for step in range(1, 10))
"""Overlaps of the published curve of F1 against IoU."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One picture: what was found, what is true, and how much they overlap.

    Parameters
    ----------
    name : str
        Name of the picture.
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
    """Overlap the detections of a picture with its true defects."""
    return Compared(name, found, true, overlaps(found, true, overlap))


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often a defect of one class was found as another, over any number of pictures.

    And every score that follows.

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
    """Pair detections with true defects in every picture and count the classes of the pairs.

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


@dataclass(frozen=True, slots=True)
class Score:
    """What a model card says of one test set at one overlap.

    Parameters
    ----------
    confusion : Confusion
        Counts of pairs, misses and false detections.
    size_error : float
        Median over the pairs of the relative difference of the equivalent diameters; NaN without pairs.
    size_bias : float
        Median of the signed difference.
    """

    confusion: Confusion
    size_error: float
    size_bias: float

    @property
    def precision(self) -> float:
        """Share of the detections that are real."""
        return self.confusion.precision

    @property
    def recall(self) -> float:
        """Share of the labelled defects that were found."""
        return self.confusion.recall

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return self.confusion.f1

    def facts(self) -> dict[str, float]:
        """Everything, rounded."""
        counts = self.confusion
        values: dict[str, float] = {
            name: getattr(counts, name)
            for name in ("n_true", "n_found", "precision", "recall", "f1", "class_accuracy")
        }
        return {
            name: round(float(value), 4)
            for name, value in {**values, "size_error": self.size_error, "size_bias": self.size_bias}.items()
        }


def score(pictures: Iterable[tuple[Detections, Detections]], least_iou: float = 0.5) -> Score:
    """Score (found, true) detections of many pictures, counts pooled.

    Pairs by mask IoU, as many as can be made.
    """
    compared = [compare("", found, true) for found, true in pictures]
    ratios: list[float] = []
    for picture in compared:
        rows, columns = pairs(picture.iou, least_iou)
        ratios += np.sqrt(
            picture.found.masks.area_px()[rows] / np.maximum(1, picture.true.masks.area_px()[columns])
        ).tolist()
    errors = np.array(ratios) - 1
    middle = (
        (float(np.median(np.abs(errors))), float(np.median(errors)))
        if ratios
        else (float("nan"), float("nan"))
    )
    return Score(confusion(compared, least_iou), *middle)


def evaluate(
    segment: Segment, examples: Iterable[Example], ious: Sequence[float] = (0.3, 0.5)
) -> dict[str, dict[str, float]]:
    """Score a segmenter on labelled pictures at several overlaps, as `track` would run it.

    Overlays and borders left out.

    Parameters
    ----------
    segment : callable
        Takes a frame and its field, gives detections: a `Segmenter`, or `threshold_baseline`.
    examples : iterable of (Frame, Detections)
        Pictures and what is true of them.
    ious : sequence of float
        Overlaps from which a pair counts.

    Returns
    -------
    dict
        ``iou_0.5`` and so on, each with the facts of a `Score`.
    """
    found_and_true = [(segment(frame, field_of(frame)), true) for frame, true in examples]
    return {f"iou_{iou:g}": score(found_and_true, iou).facts() for iou in ious}


def field_of(frame: Frame, config: FieldConfig | None = None) -> BoolImage | None:
    """Where a single picture shows the specimen, found as `track` finds it, without memory of other pictures."""
    return FieldFinder(config).update(frame.image)


def labelled_pictures(folder: Path, classes: Sequence[str] = TRAINED_CLASSES) -> Iterator[Example]:
    """Pictures of a YOLO data set folder with their labels, ``images/**`` beside ``labels/**``.

    Raises
    ------
    SourceError
        If there are no pictures.
    """
    paths = sorted(path for path in (folder / "images").rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise SourceError(f"{folder}: no pictures in images/; expected a YOLO segmentation data set")
    for index, path in enumerate(paths):
        image, _ = read_picture(path)
        frame = Frame(index, float(index), image)
        label = (folder / "labels" / path.relative_to(folder / "images")).with_suffix(".txt")
        yield frame, read_labels(label, frame.shape, classes)


def threshold_baseline(
    frame: Frame,
    field: BoolImage | None = None,
    *,
    sigma_px: float = 2.0,
    background_px: float = 25.0,
    over: float = 2.0,
    least_px: int = 20,
) -> Detections:
    """Smooth, subtract the local mean, threshold, label: what anyone would try first, dark defects only.

    Parameters
    ----------
    frame : Frame
        The picture.
    field : ndarray of bool, shape (H, W), optional
        Where it shows the specimen.
    sigma_px, background_px : float
        Standard deviations of the smoothing and of the local mean, px.
    over : float
        Threshold in standard deviations of the difference.
    least_px : int
        Smallest area kept, px^2.
    """
    image = stretch_to_8_bit(frame.image, field).astype(np.float32)
    difference = cv2.GaussianBlur(image, (0, 0), background_px) - cv2.GaussianBlur(image, (0, 0), sigma_px)
    inside = (difference > over * difference.std()).astype(np.uint8)
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    crops, corners = [], []
    for i in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[i])
        if area >= least_px:
            crops.append(labelled[y : y + height, x : x + width] == i)
            corners.append((y, x))
    masks = Masks.from_crops(crops, corners)
    labels = np.full(len(masks), DEFECT_CLASSES.index("loop") + 1, np.int64)
    found = Detections(
        frame.index,
        frame.t_s,
        frame.shape,
        masks.boxes(),
        labels,
        np.ones(len(masks), np.float32),
        masks,
        DEFECT_CLASSES,
    )
    return inside_field(found, field)
