"""How good detections are: precision, recall and F1 against mask IoU, class accuracy and size error.

``python -m insitrack.segment.evaluate FOLDER --model loops`` scores a model and a smooth-and-threshold baseline on the
pictures and labels of a YOLO segmentation data set.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from insitrack.io.detections import DEFECT_CLASSES, Detections, Ints, Masks
from insitrack.io.errors import SourceError
from insitrack.io.frames import Frame
from insitrack.segment.dataset import TRAINED_CLASSES, read_labels
from insitrack.segment.preprocess import stretch_to_8_bit

Example = tuple[Frame, Detections]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over all pictures at one IoU threshold, and what follows from them.

    Parameters
    ----------
    n_true, n_found, n_matched : int
        Labelled defects, detections, and pairs of both. Class is ignored: this is the "find" score.
    n_same_class : int
        Pairs that agree in class.
    size_error : float
        Median over the pairs of the relative difference of the equivalent diameters; NaN without pairs.
    size_bias : float
        Median of the signed difference.

    Examples
    --------
    >>> Score(n_true=10, n_found=8, n_matched=6, n_same_class=3, size_error=0.1, size_bias=0.0).f1
    0.6666666666666666
    """

    n_true: int
    n_found: int
    n_matched: int
    n_same_class: int
    size_error: float
    size_bias: float

    @property
    def precision(self) -> float:
        """Share of the detections that are real; NaN without detections."""
        return self.n_matched / self.n_found if self.n_found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the labelled defects that were found; NaN without labels."""
        return self.n_matched / self.n_true if self.n_true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where there is nothing at all."""
        total = self.n_true + self.n_found
        return 2 * self.n_matched / total if total else float("nan")

    @property
    def class_accuracy(self) -> float:
        """Share of the pairs that agree in class; NaN without pairs."""
        return self.n_same_class / self.n_matched if self.n_matched else float("nan")

    def facts(self) -> dict[str, float]:
        """Everything, rounded, for a model card."""
        names = ("n_true", "n_found", "precision", "recall", "f1", "class_accuracy", "size_error", "size_bias")
        return {name: round(float(getattr(self, name)), 4) for name in names}


def matched(found: Masks, true: Masks, least_iou: float) -> tuple[Ints, Ints]:
    """Pair masks one to one so that the sum of their IoU is largest; pairs below `least_iou` are dropped.

    Returns
    -------
    rows, columns : ndarray of int64
        Rows of `found` and of `true`, pair by pair.
    """
    iou = found.iou(true)
    rows, columns = linear_sum_assignment(np.where(iou >= least_iou, iou, 0.0), maximize=True)
    good = iou[rows, columns] >= least_iou
    return rows[good].astype(np.int64), columns[good].astype(np.int64)


def score(pairs: Iterable[tuple[Detections, Detections]], least_iou: float = 0.5) -> Score:
    """Score (found, true) detections of many pictures, counts pooled.

    Parameters
    ----------
    pairs : iterable of (Detections, Detections)
        What was found and what is true, picture by picture.
    least_iou : float
        Mask IoU from which a pair counts.
    """
    n_true = n_found = n_same = 0
    ratios: list[float] = []
    for found, true in pairs:
        rows, columns = matched(found.masks, true.masks, least_iou)
        n_true, n_found = n_true + len(true), n_found + len(found)
        n_same += sum(found.class_names[a - 1] == true.class_names[b - 1] for a, b in zip(found.labels[rows], true.labels[columns], strict=True))
        ratios += np.sqrt(found.masks.area_px()[rows] / np.maximum(1, true.masks.area_px()[columns])).tolist()
    errors = np.array(ratios) - 1
    middle = (float(np.median(np.abs(errors))), float(np.median(errors))) if ratios else (float("nan"), float("nan"))
    return Score(n_true, n_found, len(ratios), int(n_same), *middle)


def threshold_baseline(frame: Frame, *, sigma_px: float = 2.0, background_px: float = 25.0, over: float = 2.0, least_px: int = 20) -> Detections:
    """Smooth, subtract the local mean, threshold, label: what anyone would try first, dark defects only.

    Parameters
    ----------
    frame : Frame
        The picture.
    sigma_px, background_px : float
        Standard deviations of the smoothing and of the local mean, px.
    over : float
        Threshold in standard deviations of the difference.
    least_px : int
        Smallest area kept, px^2.
    """
    image = stretch_to_8_bit(frame.image).astype(np.float32)
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
    return Detections(frame.index, frame.t_s, frame.shape, masks.boxes(), labels, np.ones(len(masks), np.float32), masks, DEFECT_CLASSES)


def labelled_pictures(folder: Path, classes: Sequence[str] = TRAINED_CLASSES) -> Iterator[Example]:
    """Pictures of a YOLO data set folder with their labels, ``images/**`` beside ``labels/**``.

    Raises
    ------
    SourceError
        If there are no pictures.
    """
    paths = sorted(path for path in (folder / "images").rglob("*") if path.suffix in (".png", ".jpg", ".tif"))
    if not paths:
        raise SourceError(f"{folder}: no pictures in images/; expected a YOLO segmentation data set")
    for index, path in enumerate(paths):
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        label = (folder / "labels" / path.relative_to(folder / "images")).with_suffix(".txt")
        yield Frame(index, float(index), image), read_labels(label, image.shape, classes)


def evaluate(segment: Callable[[Frame], Detections], examples: Iterable[Example], ious: Sequence[float] = (0.3, 0.5)) -> dict[str, dict[str, float]]:
    """Score a segmenter on labelled pictures at several IoU thresholds."""
    pairs = [(segment(frame), true) for frame, true in examples]
    return {f"iou_{iou:g}": score(pairs, iou).facts() for iou in ious}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print scores of a model and of the baseline."""
    from insitrack.segment.base import load_segmenter

    parser = argparse.ArgumentParser(description="score a model on labelled pictures")
    parser.add_argument("folder", type=Path, help="YOLO segmentation data set")
    parser.add_argument("--model", default="loops", help="name of a shipped model or path of an .onnx file")
    given = parser.parse_args(arguments)
    examples = list(labelled_pictures(given.folder))
    for name, segment in ((given.model, load_segmenter(given.model)), ("threshold", threshold_baseline)):
        for iou, facts in evaluate(segment, examples).items():
            print(name, iou, " ".join(f"{key} {value:g}" for key, value in facts.items()))


if __name__ == "__main__":
    main()
