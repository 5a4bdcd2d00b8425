"""Labelled defects as somebody drew them, by outline, pixels or box, and how an outline is filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from insitrack.io.arrays import BoolImage
from insitrack.segment.labels.run_lengths import rle_mask

Points = NDArray[np.float64]
Shape = tuple[int, int]
Cut = tuple[BoolImage, tuple[int, int]]
UNNAMED = "defect"
"""Class of labels in a form that names no classes."""
_MOST_PX = 1_000_000  # a coordinate beyond this is no place in an image
_FINE = 8  # sub-pixels per pixel, along each axis


def fill_outline(points: ArrayLike, shape: Shape) -> Cut | None:
    """Fill a closed outline to the nearest pixel, inside its own box.

    Parameters
    ----------
    points : array_like of float, shape (K, 2)
        x and y, px; pixel (0, 0) covers [0, 1) x [0, 1).
    shape : tuple of int
        Height and width of the image, px; what lies outside is cut.

    Returns
    -------
    (ndarray of bool, (y, x)) or None
        Mask and its first pixel: pixels that are at least half inside, and of an outline thinner than that
        those with the most inside; None where the outline lies outside the image.

    Examples
    --------
    >>> crop, corner = fill_outline([[2.0, 2.0], [8.0, 2.0], [8.0, 8.0], [2.0, 8.0]], (10, 10))
    >>> crop.sum().item(), corner
    (36, (2, 2))
    """
    outline = np.asarray(points, np.float64).reshape(-1, 2)
    if len(outline) < 3:
        return None
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0).tolist()
    x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, (shape[1], shape[0])).tolist()
    if x1 <= x0 or y1 <= y0:
        return None
    fine = np.zeros(((y1 - y0) * _FINE, (x1 - x0) * _FINE), np.uint8)
    cv2.fillPoly(fine, [np.round(((outline - (x0, y0)) * _FINE - 0.5) * 16).astype(np.int32)], 255, shift=4)
    inside = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    mask = np.asarray(inside >= max(1, min(128, int(inside.max()))), bool)
    return _trimmed(mask, (y0, x0))


def _trimmed(mask: BoolImage, corner: tuple[int, int]) -> Cut | None:
    """Cut a mask to what it covers."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], (
        corner[0] + int(rows[0]),
        corner[1] + int(columns[0]),
    )


def exact_masks(
    shape: Shape, polygons: Sequence[NDArray[Any]], color: int, downsample_ratio: int = 1
) -> NDArray[np.uint8]:
    """Fill polygons to the nearest pixel of the reduced mask, in the form that the trainer calls.

    What ultralytics does by itself cuts the corners to whole pixels and fills their pixels too, which makes a
    defect of 10 px about 1 px wider once an image has been magnified; the network would learn that as a bias
    of 10 % in size.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image, px.
    polygons : sequence of ndarray of float, shape (K, 2)
        Contours, px.
    color : int
        Value of the inside.
    downsample_ratio : int
        Pixels of the image per pixel of the mask, along each axis.

    Returns
    -------
    ndarray of uint8, shape (N, H // downsample_ratio, W // downsample_ratio)

    Examples
    --------
    >>> square = np.array([[2.0, 2.0], [8.0, 2.0], [8.0, 8.0], [2.0, 8.0]])
    >>> exact_masks((10, 10), [square], 1).sum().item()
    36
    """
    small = (shape[0] // downsample_ratio, shape[1] // downsample_ratio)
    out = np.zeros((len(polygons), *small), np.uint8)
    for mask, polygon in zip(out, polygons, strict=True):
        cut = fill_outline(np.asarray(polygon, np.float64) / downsample_ratio, small)
        if cut is not None:
            crop, (y, x) = cut
            mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop * np.uint8(color)
    return out


def ellipse_points(centre: tuple[float, float], radii: tuple[float, float], angle_rad: float = 0.0) -> Points:
    """Outline of an ellipse, px (x, y); the angle runs from the x axis towards the y axis, which points down."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    along, across = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.stack([centre[0] + along * cos - across * sin, centre[1] + along * sin + across * cos], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One labelled defect: an outline of one or more parts, or pixels, or nothing but a box.

    Parameters
    ----------
    name : str
        What the laboratory calls its class.
    parts : tuple of ndarray of float64, shape (K, 2)
        Outlines, px (x, y); the defect is all of them together.
    pixels : (ndarray of bool, (y, x)), optional
        Mask and its first pixel.
    box : tuple of float, optional
        x1 y1 x2 y2, px, where nobody drew more.
    runs : mapping, optional
        COCO run lengths, expanded only where they are of the size of the image.

    Raises
    ------
    ValueError
        If a coordinate is not a number, or lies a million pixels away.
    """

    name: str
    parts: tuple[Points, ...] = ()
    pixels: Cut | None = None
    box: tuple[float, float, float, float] | None = None
    runs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        corners = () if self.box is None else (_corners(self.box),)
        for points in (*self.parts, *corners):
            if points.size and not np.abs(points).max() <= _MOST_PX:  # false for what is no number, too
                raise ValueError(f"a coordinate that is no number of pixels from -{_MOST_PX} to {_MOST_PX}")

    def mask(self, shape: Shape) -> Cut | None:
        """Pixels of the defect, of a box those inside it; None where it lies outside the image."""
        if self.pixels is not None:
            return self.pixels
        if self.runs is not None:
            cut = _trimmed(rle_mask(self.runs, shape), (0, 0))
            return None if cut is None else (cut[0].copy(), cut[1])
        outlines = self.parts if self.box is None else (_corners(self.box),)
        cuts = [cut for points in outlines if (cut := fill_outline(points, shape)) is not None]
        if len(cuts) < 2:
            return cuts[0] if cuts else None
        low = np.min([corner for _, corner in cuts], axis=0)
        high = np.max([np.add(corner, crop.shape) for crop, corner in cuts], axis=0)
        joined = np.zeros(high - low, bool)
        for crop, corner in cuts:
            y, x = np.subtract(corner, low)
            joined[y : y + crop.shape[0], x : x + crop.shape[1]] |= crop
        return joined, (int(low[0]), int(low[1]))


def _corners(box: tuple[float, float, float, float]) -> Points:
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Labels of one image, not yet filled.

    Parameters
    ----------
    labels : Path
        File that holds them.
    picture : Path
        The image.
    names : frozenset of str
        Classes in it, as the laboratory calls them.
    draw : callable
        Gives the labelled defects of an image of a certain height and width, px.
    frame : int
        Number of the image in its file, from 0.
    shape : tuple of int, optional
        Height and width that the labels say the image has, px.
    """

    labels: Path
    picture: Path
    names: frozenset[str]
    draw: Callable[[Shape], list[Drawn]]
    frame: int = 0
    shape: Shape | None = None


def sheet_of(
    labels: Path, picture: Path, drawn: Sequence[Drawn], *, frame: int = 0, shape: Shape | None = None
) -> Sheet:
    """Labels that are in px already."""
    return Sheet(labels, picture, frozenset(one.name for one in drawn), lambda _: list(drawn), frame, shape)
