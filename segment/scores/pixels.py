"""Pixel by pixel: which pixels of the image belong to a defect, in truth and as found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Floats
from insitrack.io.detections import Detections

COMPARISON_COLOURS = {"TP": (64, 224, 208), "TN": (0, 0, 0), "FP": (255, 0, 0), "FN": (255, 255, 0)}
"""Red, green and blue of DefectNet's comparison maps: turquoise, black, red and yellow (Roberts et al.
2019, doi
10.1038/s41598-019-49105-0, names the colours; the shades are those of HTML)."""


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Pixels that were rightly and wrongly given to a class.

    Parameters
    ----------
    tp, fp, fn, tn : int
        Pixels in both, found only, true only, and in neither.

    Examples
    --------
    >>> counts = PixelCounts(tp=30, fp=10, fn=20, tn=40)
    >>> counts.accuracy, counts.precision, counts.recall, counts.iu
    (0.7, 0.75, 0.6, 0.5)
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def total(self) -> int:
        """All pixels."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> float:
        """Share of all pixels that are right."""
        return _ratio(self.tp + self.tn, self.total)

    @property
    def precision(self) -> float:
        """Share of the pixels found that are right."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the true pixels that were found."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def iu(self) -> float:
        """Intersection over union of the two areas."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    def scores(self) -> dict[str, float]:
        """Return the four columns of DefectNet's table."""
        return {
            "pixel_accuracy": self.accuracy,
            "pixel_precision": self.precision,
            "pixel_recall": self.recall,
            "pixel_iu": self.iu,
        }


def covered(detections: Detections, name: str | None = None) -> BoolImage:
    """Pixels of all defects of a class, or of all defects, bool (H, W)."""
    out = np.zeros(detections.shape, bool)
    masks, names = detections.masks, detections.names()
    for i, (y, x) in enumerate(masks.corners.tolist()):
        if name is None or names[i] == name:
            height, width = masks.sizes[i].tolist()
            y0, x0 = max(y, 0), max(x, 0)
            part = out[y0 : max(y + height, 0), x0 : max(x + width, 0)]
            part |= masks.crop(i)[y0 - y : y0 - y + part.shape[0], x0 - x : x0 - x + part.shape[1]]
    return out


def pixel_counts(
    found: Detections, true: Detections, names: Iterable[str | None]
) -> dict[str | None, PixelCounts]:
    """Pixels of one image by class; the class None stands for all defects together."""
    out = {}
    for name in names:
        a, b = covered(found, name), covered(true, name)
        tp, n_found, n_true = (int(np.count_nonzero(part)) for part in (a & b, a, b))
        out[name] = PixelCounts(tp, n_found - tp, n_true - tp, a.size - n_found - n_true + tp)
    return out


def counts_of(pictures: Sequence[Mapping[str | None, PixelCounts]], name: str | None) -> list[PixelCounts]:
    """Return the counts of a class in each image; where it is in neither, every pixel is background."""
    return [one.get(name) or PixelCounts(tn=one[None].total) for one in pictures]


def pixel_rows(
    pictures: Sequence[Mapping[str | None, PixelCounts]], names: Sequence[str]
) -> list[dict[str, str | float]]:
    """Pixel scores of each class, and DefectNet's "overall".

    Parameters
    ----------
    pictures : sequence of mapping
        Counts of each image, as `pixel_counts` gives them, None among the classes.
    names : sequence of str
        Classes.

    Returns
    -------
    list of dict
        One row per class, one `overall` and one `any`, in which the class does not matter. Each has
        `n_pictures_labelled`, where the class is labelled, and every score three times: `NAME_pooled`, all
        pixels of all images; `NAME_mean` and `NAME_sd`, mean and standard deviation (n - 1) over the
        images in which it is defined. `overall` is the unweighted mean of the labelled classes; its deviation
        is that of the images' own means over classes (Roberts et al. 2019, doi 10.1038/s41598-019-49105-0,
        table 1).
    """
    keys = tuple(PixelCounts().scores())
    counts = {name: counts_of(pictures, name) for name in names}
    rows = {name: _pixel_row(name, one) for name, one in counts.items()}
    real = [name for name in names if rows[name]["n_pictures_labelled"]]
    overall: dict[str, str | float] = {"defect_class": "overall", "n_pictures_labelled": _labelled(pictures)}
    for key in keys:
        each = [[counts[name][i].scores()[key] for name in real] for i in range(len(pictures))]
        overall[f"{key}_pooled"] = _known_mean([float(rows[name][f"{key}_pooled"]) for name in real])
        overall[f"{key}_mean"] = _known_mean([float(rows[name][f"{key}_mean"]) for name in real])
        overall[f"{key}_sd"] = _known_sd([_known_mean(values) for values in each])
    return [*rows.values(), overall, _pixel_row("any", counts_of(pictures, None))]


def comparison_map(found: Detections, true: Detections) -> NDArray[np.uint8]:
    """Image of the pixels that are right and wrong, whatever the class, uint8 (H, W, 3) red green blue.

    Examples
    --------
    >>> comparison_map(Detections.empty(0, 0.0, (1, 2)), Detections.empty(0, 0.0, (1, 2))).tolist()
    [[[0, 0, 0], [0, 0, 0]]]
    """
    a, b = covered(found), covered(true)
    palette = np.array([COMPARISON_COLOURS[key] for key in ("TN", "FP", "FN", "TP")], np.uint8)
    return np.asarray(palette[a.astype(np.uint8) + 2 * b.astype(np.uint8)], np.uint8)


def _pixel_row(name: str, counts: Sequence[PixelCounts]) -> dict[str, str | float]:
    row: dict[str, str | float] = {"defect_class": name}
    row["n_pictures_labelled"] = sum(one.tp + one.fn > 0 for one in counts)
    for key, value in sum(counts, PixelCounts()).scores().items():
        values = [one.scores()[key] for one in counts]
        row |= {f"{key}_pooled": value, f"{key}_mean": _known_mean(values), f"{key}_sd": _known_sd(values)}
    return row


def _labelled(pictures: Sequence[Mapping[str | None, PixelCounts]]) -> int:
    return sum(one[None].tp + one[None].fn > 0 for one in pictures)


def _known(values: Sequence[float]) -> Floats:
    array = np.array(values, np.float64)
    return array[np.isfinite(array)]


def _known_mean(values: Sequence[float]) -> float:
    known = _known(values)
    return float(known.mean()) if known.size else float("nan")


def _known_sd(values: Sequence[float]) -> float:
    known = _known(values)
    return float(known.std(ddof=1)) if known.size > 1 else float("nan")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
