"""What a segmenter says of one frame: boxes, classes, scores and masks, in the schema of Mask R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insitrack.io.arrays import Ints
from insitrack.io.errors import SettingsError, nearest

DEFECT_CLASSES: tuple[str, ...] = (
    "black_dot",
    "loop_111",
    "loop_100",
    "dislocation",
    "precipitate",
    "void",
    "loop",
    "defect",
)
"""Names of labels 1..8; 0 is background. `loop` is a loop whose type the imaging condition does not show."""

UNTYPED = "defect"
"""A defect whose class cannot be told: it counts, and in the hardening its strength is uncertain."""


def check_class(setting: str, name: str) -> None:
    """Refuse a name that is no defect class, in a setting that goes by class.

    Raises
    ------
    SettingsError
        Naming the nearest class.

    Examples
    --------
    >>> check_class("link.patience_by_class", "loop_111")
    """
    if name not in DEFECT_CLASSES:
        near = nearest(name, DEFECT_CLASSES)
        hint = f"did you mean {near}? " if near else ""
        raise SettingsError(f"{setting}.{name}: no such class; {hint}Known are {', '.join(DEFECT_CLASSES)}")


Indices = NDArray[np.int64] | NDArray[np.bool_] | slice


@dataclass(frozen=True, slots=True)
class Masks:
    """Instance masks, each stored only inside its own box.

    300 defects in a 1024 x 1024 frame take 315 MB as full-frame masks and 0.16 MB as crops.

    Parameters
    ----------
    pixels : ndarray of bool, shape (sum of h * w,)
        The crops one after another, each in row order.
    corners : ndarray of int32, shape (N, 2)
        Row and column (y, x) of each crop's first pixel.
    sizes : ndarray of int32, shape (N, 2)
        Height and width (h, w) of each crop.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> masks = Masks.from_crops([np.ones((2, 3), bool)], [(10, 20)])
    >>> masks.area_px().tolist(), masks.dense((16, 32)).sum().item()
    ([6], 6)
    """

    pixels: NDArray[np.bool_]
    corners: NDArray[np.int32]
    sizes: NDArray[np.int32]
    offsets: Ints = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.corners.shape != self.sizes.shape or self.corners.ndim != 2 or self.corners.shape[1] != 2:
            raise ValueError(
                f"masks: expected corners and sizes of one shape (N, 2), got {self.corners.shape} and"
                f" {self.sizes.shape}"
            )
        offsets = np.zeros(len(self.sizes) + 1, np.int64)
        np.cumsum(np.multiply(*self.sizes.T, dtype=np.int64), out=offsets[1:])
        if self.pixels.dtype != np.bool_ or self.pixels.shape != (offsets[-1],):
            raise ValueError(
                f"masks: expected {offsets[-1]} bool pixels, got {self.pixels.dtype} {self.pixels.shape}"
            )
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def empty(cls) -> Masks:
        """No masks at all."""
        return cls(np.zeros(0, bool), np.zeros((0, 2), np.int32), np.zeros((0, 2), np.int32))

    @classmethod
    def from_crops(cls, crops: Sequence[NDArray[np.bool_]], corners: ArrayLike) -> Masks:
        """Join crops of any sizes; `corners` is (N, 2), y then x."""
        if not crops:
            return cls.empty()
        sizes = np.array([crop.shape for crop in crops], np.int32)
        pixels = np.concatenate([np.ascontiguousarray(crop, dtype=bool).ravel() for crop in crops])
        return cls(pixels, np.asarray(corners, np.int32).reshape(-1, 2), sizes)

    @classmethod
    def from_dense(cls, dense: NDArray[np.bool_]) -> Masks:
        """Crop full-frame masks, shape (N, H, W), to what they cover.

        An empty mask becomes a 1 x 1 crop of False.
        """
        crops, corners = [], []
        for mask in np.asarray(dense, bool):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            y0, y1 = (rows[0], rows[-1] + 1) if rows.size else (0, 1)
            x0, x1 = (columns[0], columns[-1] + 1) if columns.size else (0, 1)
            crops.append(mask[y0:y1, x0:x1])
            corners.append((y0, x0))
        return cls.from_crops(crops, corners)

    def __len__(self) -> int:
        return len(self.sizes)

    def crop(self, i: int) -> NDArray[np.bool_]:
        """Mask `i` inside its own box, a view of shape (h, w)."""
        height, width = self.sizes[i]
        return self.pixels[self.offsets[i] : self.offsets[i + 1]].reshape(height, width)

    def take(self, rows: Indices) -> Masks:
        """Return the masks at `rows`, in that order."""
        chosen = np.arange(len(self))[rows]
        if not len(chosen):
            return Masks.empty()
        cuts = np.flatnonzero(np.diff(chosen) != 1)  # what lies one after another is taken in one piece
        first, last = chosen[np.append(0, cuts + 1)], chosen[np.append(cuts, len(chosen) - 1)]
        pieces = zip(self.offsets[first].tolist(), self.offsets[last + 1].tolist(), strict=True)
        return Masks(
            np.concatenate([self.pixels[start:end] for start, end in pieces]),
            self.corners[chosen],
            self.sizes[chosen],
        )

    def then(self, others: Masks) -> Masks:
        """Return these masks and then the others."""
        return Masks(
            *(
                np.concatenate([getattr(self, name), getattr(others, name)])
                for name in ("pixels", "corners", "sizes")
            )
        )

    def shifted(self, dy: int, dx: int) -> Masks:
        """Return the same masks moved by whole pixels."""
        return Masks(self.pixels, self.corners + np.array([dy, dx], np.int32), self.sizes)

    def area_px(self) -> Ints:
        """Pixels in each mask, int64, shape (N,)."""
        sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.pixels, dtype=np.int64)])
        return np.asarray(sums[self.offsets[1:]] - sums[self.offsets[:-1]])

    def boxes(self) -> NDArray[np.float32]:
        """Boxes of the crops, float32 (N, 4), x1 y1 x2 y2, px."""
        y, x = self.corners[:, 0], self.corners[:, 1]
        return np.stack([x, y, x + self.sizes[:, 1], y + self.sizes[:, 0]], axis=1).astype(np.float32)

    def dense(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Full-frame masks, bool (N, H, W); what lies outside the frame is cut. Large.

        Ask only when you must.
        """
        out = np.zeros((len(self), *shape), bool)
        for i, (y, x) in enumerate(self.corners):
            height, width = self.sizes[i]
            y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y + height, shape[0]), min(x + width, shape[1])
            if y1 > y0 and x1 > x0:
                out[i, y0:y1, x0:x1] = self.crop(i)[y0 - y : y1 - y, x0 - x : x1 - x]
        return out

    def overlap_px(self, i: int, other: Masks, j: int, offset: tuple[int, int] = (0, 0)) -> int:
        """Pixels shared by mask `i` of these and mask `j` of `other`, which is moved by rows and columns before."""
        (y, x), (h, w) = self.corners[i].tolist(), self.sizes[i].tolist()
        (v, u), (b, a) = other.corners[j].tolist(), other.sizes[j].tolist()
        v, u = v + offset[0], u + offset[1]
        top, left, bottom, right = max(y, v), max(x, u), min(y + h, v + b), min(x + w, u + a)
        if bottom <= top or right <= left:
            return 0
        mine = self.crop(i)[top - y : bottom - y, left - x : right - x]
        return int(np.count_nonzero(mine & other.crop(j)[top - v : bottom - v, left - u : right - u]))

    def iou(self, other: Masks) -> NDArray[np.float64]:
        """Intersection over union of every pair, float64 (N, M)."""
        out = np.zeros((len(self), len(other)))
        if not out.size:
            return out
        areas, other_areas = self.area_px(), other.area_px()
        low = np.maximum(self.corners[:, None], other.corners[None])
        high = np.minimum((self.corners + self.sizes)[:, None], (other.corners + other.sizes)[None])
        for i, j in zip(*np.nonzero((high > low).all(axis=2)), strict=True):
            shared = self.overlap_px(int(i), other, int(j))
            out[i, j] = shared / max(1, areas[i] + other_areas[j] - shared)
        return out

    def rle(self, i: int, shape: tuple[int, int]) -> dict[str, Any]:
        """Mask `i` as COCO's uncompressed run lengths: column order, counting from a run of zeros."""
        full = self.take(np.array([i])).dense(shape)[0].ravel(order="F")
        edges = np.flatnonzero(np.diff(full)) + 1
        runs = np.diff(np.concatenate([[0], edges, [full.size]]))
        counts = runs.tolist() if not full[0] else [0, *runs.tolist()]
        return {"size": [int(shape[0]), int(shape[1])], "counts": counts}


@dataclass(frozen=True, slots=True)
class Detections:
    """Everything found in one frame, row by row, in the schema of Mask R-CNN.

    Parameters
    ----------
    frame_index : int
        Number of the frame in its source.
    t_s : float
        Time of the frame, s.
    shape : tuple of int
        Height and width of the frame, px.
    boxes : ndarray of float32, shape (N, 4)
        x1 y1 x2 y2, px; x right, y down, pixel (0, 0) covers [0, 1) x [0, 1).
    labels : ndarray of int64, shape (N,)
        1..K, the place in `class_names` plus one; 0 would be background.
    scores : ndarray of float32, shape (N,)
        Confidence, 0..1.
    masks : Masks
        One per row.
    class_names : tuple of str
        Names of labels 1..K.
    n_over_cap : int
        Detections that a cap on their number threw away; 0 when it was not hit.
    class_probability : ndarray of float32, shape (N, K), or None
        Probability of each class, given that it is a defect; None where only the labels are known.

    Raises
    ------
    ValueError
        If the arrays disagree in length or a label lies outside 1..K.
    """

    frame_index: int
    t_s: float
    shape: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: Ints
    scores: NDArray[np.float32]
    masks: Masks
    class_names: tuple[str, ...] = DEFECT_CLASSES
    n_over_cap: int = 0
    class_probability: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if (
            self.boxes.shape != (n, 4)
            or self.labels.shape != (n,)
            or self.scores.shape != (n,)
            or len(self.masks) != n
        ):
            raise ValueError(
                f"frame {self.frame_index}: expected N boxes (N, 4), labels (N,), scores (N,) and N masks, "
                f"got {self.boxes.shape}, {self.labels.shape}, {self.scores.shape}, {len(self.masks)}"
            )
        of_classes = self.class_probability
        if of_classes is not None and of_classes.shape != (n, len(self.class_names)):
            raise ValueError(
                f"frame {self.frame_index}: expected a probability of each of {len(self.class_names)} classes for"
                f" {n} detections, got {of_classes.shape}"
            )
        if n and (self.labels.min() < 1 or self.labels.max() > len(self.class_names)):
            raise ValueError(
                f"frame {self.frame_index}: labels must lie in 1..{len(self.class_names)}, got"
                f" {self.labels.min()}..{self.labels.max()}"
            )

    @classmethod
    def empty(
        cls,
        frame_index: int,
        t_s: float,
        shape: tuple[int, int],
        class_names: tuple[str, ...] = DEFECT_CLASSES,
    ) -> Detections:
        """Return a frame in which nothing was found."""
        return cls(
            frame_index,
            t_s,
            shape,
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.int64),
            np.zeros(0, np.float32),
            Masks.empty(),
            class_names,
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def names(self) -> list[str]:
        """Class name of each row."""
        return [self.class_names[label - 1] for label in self.labels]

    def take(self, rows: Indices) -> Detections:
        """Return the rows asked for, in that order."""
        return Detections(
            self.frame_index,
            self.t_s,
            self.shape,
            self.boxes[rows],
            self.labels[rows],
            self.scores[rows],
            self.masks.take(rows),
            self.class_names,
            self.n_over_cap,
            None if self.class_probability is None else self.class_probability[rows],
        )

    def then(self, others: Detections) -> Detections:
        """Return these rows and then those of `others`; frame, time and classes stay these."""
        of_classes, more = self.class_probability, others.class_probability
        return replace(
            self,
            class_probability=(
                None if of_classes is None or more is None else np.concatenate([of_classes, more])
            ),
            boxes=np.concatenate([self.boxes, others.boxes]),
            labels=np.concatenate([self.labels, others.labels]),
            scores=np.concatenate([self.scores, others.scores]),
            masks=self.masks.then(others.masks),
        )

    def to_maskrcnn(self) -> dict[str, NDArray[Any]]:
        """Prediction in torchvision's form.

        Boxes (N, 4), labels (N,), scores (N,), masks float32 (N, 1, H, W).
        """
        dense = self.masks.dense(self.shape)[:, None].astype(np.float32)
        return {
            "boxes": self.boxes.copy(),
            "labels": self.labels.copy(),
            "scores": self.scores.copy(),
            "masks": dense,
        }

    @classmethod
    def from_maskrcnn(
        cls,
        prediction: dict[str, Any],
        *,
        frame_index: int,
        t_s: float,
        class_names: tuple[str, ...] = DEFECT_CLASSES,
        threshold: float = 0.5,
    ) -> Detections:
        """Read torchvision's form, tensors or arrays; soft masks count as inside from `threshold` up."""
        prediction = {
            key: value.detach().cpu() if hasattr(value, "detach") else value
            for key, value in prediction.items()
        }
        soft = np.asarray(prediction["masks"])
        soft = soft[:, 0] if soft.ndim == 4 else soft
        height, width = soft.shape[-2:]
        return cls(
            frame_index,
            t_s,
            (int(height), int(width)),
            np.asarray(prediction["boxes"], np.float32).reshape(-1, 4),
            np.asarray(prediction["labels"], np.int64),
            np.asarray(prediction["scores"], np.float32),
            Masks.from_dense(soft >= threshold),
            class_names,
        )
