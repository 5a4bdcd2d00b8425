"""COCO run lengths, plain and compressed, checked before they are expanded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from insitrack.io.arrays import BoolImage, Ints
from insitrack.io.tables.outlines.rle import run_lengths

_MOST_SIDE_PX = 2**20


def check_runs(rle: Mapping[str, Any]) -> tuple[tuple[int, int], Ints]:
    """Read run lengths without expanding them.

    Parameters
    ----------
    rle : mapping
        `size` (height, width) and `counts`, a list or a string of pycocotools; runs follow the columns, the
        first is background.

    Returns
    -------
    size : (int, int)
        Height and width of the image, px.
    runs : ndarray of int64
        Lengths in turn of background and defect, px.

    Raises
    ------
    ValueError
        If the runs do not add up to the size.
    """
    height, width = (int(side) for side in rle["size"])
    if not (0 < height <= _MOST_SIDE_PX and 0 < width <= _MOST_SIDE_PX):
        raise ValueError(f"run lengths of an image of {height} x {width} pixels")
    counts = rle["counts"]
    runs = np.array(run_lengths(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths do not add up to the {height} x {width} pixels of the image")
    return (height, width), runs


def rle_mask(rle: Mapping[str, Any], shape: tuple[int, int] | None = None) -> BoolImage:
    """Decode COCO run lengths, plain or compressed.

    Parameters
    ----------
    rle : mapping
        See `check_runs`.
    shape : tuple of int, optional
        Height and width of the image; run lengths of another size are not expanded.

    Returns
    -------
    ndarray of bool, shape (H, W)

    Raises
    ------
    ValueError
        If the runs do not add up to the size, or the size is not that of the image.

    Examples
    --------
    >>> rle_mask({"size": [2, 3], "counts": [1, 2, 3]}).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    >>> rle_mask({"size": [2, 3], "counts": "123"}).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    (height, width), runs = check_runs(rle)
    if shape is not None and (height, width) != tuple(shape):
        raise ValueError(f"run lengths of {height} x {width} pixels in an image of {shape[0]} x {shape[1]}")
    return np.asarray(np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T, bool)
