"""COCO run lengths, plain and compressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from insitrack.io.arrays import BoolImage


def rle_mask(rle: Mapping[str, Any]) -> BoolImage:
    """Decode COCO run lengths, plain or compressed.

    Parameters
    ----------
    rle : mapping
        `size` (height, width) and `counts`, a list or a string of pycocotools; runs follow the columns, the
        first is background.

    Returns
    -------
    ndarray of bool, shape (H, W)

    Raises
    ------
    ValueError
        If the runs do not add up to the size.

    Examples
    --------
    >>> rle_mask({"size": [2, 3], "counts": [1, 2, 3]}).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    >>> rle_mask({"size": [2, 3], "counts": "123"}).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    height, width = (int(side) for side in rle["size"])
    counts = rle["counts"]
    runs = np.array(_decompressed(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths add up to {runs.sum()}, the picture has {height} x {width} pixels")
    return np.asarray(np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T, bool)


def _decompressed(text: str | bytes) -> list[int]:
    """Decode pycocotools' string.

    5 bits a letter, the lowest first; from the third run on as difference to the last but one.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for letter in text.encode("ascii") if isinstance(text, str) else text:
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value, shift = 0, 0
    return runs
