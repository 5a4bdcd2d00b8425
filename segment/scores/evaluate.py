"""A segmenter scored on labelled images: counts, sizes, and the facts that a model card gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insitrack.io.arrays import BoolImage
from insitrack.io.detections import Detections
from insitrack.io.errors import SourceError
from insitrack.io.files.folder import IMAGE_SUFFIXES
from insitrack.io.frames import Frame
from insitrack.segment.labels.pictures import read_picture
from insitrack.segment.labels.yolo import TRAINED_CLASSES, read_labels
from insitrack.segment.prepare.field import field_of
from insitrack.segment.scores.confusion import Confusion, compare, confusion
from insitrack.segment.scores.matching import pairs

Example = tuple[Frame, Detections]
Segment = Callable[[Frame, BoolImage | None], Detections]


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
    """Score (found, true) detections of many images, counts pooled.

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
    """Score a segmenter on labelled images at several overlaps, as `track` would run it.

    Overlays and borders are left out.

    Parameters
    ----------
    segment : callable
        Takes a frame and its field, gives detections: a `Segmenter`, or `threshold_baseline`.
    examples : iterable of (Frame, Detections)
        Images and what is true of them.
    ious : sequence of float
        Overlaps from which a pair counts.

    Returns
    -------
    dict
        ``iou_0.5`` and so on, each with the facts of a `Score`.
    """
    found_and_true = [(segment(frame, field_of(frame)), true) for frame, true in examples]
    return {f"iou_{iou:g}": score(found_and_true, iou).facts() for iou in ious}


def labelled_pictures(folder: Path, classes: Sequence[str] = TRAINED_CLASSES) -> Iterator[Example]:
    """Images of a YOLO data set folder with their labels, ``images/**`` beside ``labels/**``.

    Raises
    ------
    SourceError
        If there are no images.
    """
    paths = sorted(path for path in (folder / "images").rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise SourceError(f"{folder}: no images in images/; expected a YOLO segmentation data set")
    for index, path in enumerate(paths):
        image, _ = read_picture(path)
        frame = Frame(index, float(index), image)
        label = (folder / "labels" / path.relative_to(folder / "images")).with_suffix(".txt")
        yield frame, read_labels(label, frame.shape, classes)
