"""Masks of a network that draws them in its boxes, or not at all."""

from __future__ import annotations

import cv2
import numpy as np

from insitrack.io.arrays import BoolImage, Floats32


def pasted(soft: Floats32, box: Floats32) -> tuple[int, int, Floats32]:
    """Enlarge a mask from the network's cells to the pixels of its box, exactly as torchvision pastes it.

    Parameters
    ----------
    soft : ndarray of float32, shape (M, M)
        Probabilities in M x M cells that fill the box, 28 x 28 in torchvision's networks.
    box : ndarray of float32, shape (4,)
        x1 y1 x2 y2, px.

    Returns
    -------
    x, y : int
        Column and row of the first pixel; may lie outside the frame.
    drawn : ndarray of float32, shape (h, w)
        Probability at each pixel.
    """
    padded = np.pad(soft, 1)
    half = (box[2:] - box[:2]) * np.float32(0.5) * np.float32(len(padded) / len(soft))
    middle = (box[2:] + box[:2]) * np.float32(0.5)
    (x0, y0), (x1, y1) = (
        np.trunc(middle - half).astype(int).tolist(),
        np.trunc(middle + half).astype(int).tolist(),
    )
    return (
        x0,
        y0,
        np.asarray(
            cv2.resize(padded, (x1 - x0 + 1, y1 - y0 + 1), interpolation=cv2.INTER_LINEAR), np.float32
        ),
    )


def box_mask(box: Floats32, *, ellipse: bool) -> tuple[int, int, BoolImage]:
    """Mask that stands for a box: the ellipse inscribed in it, or all of it.

    Parameters
    ----------
    box : ndarray of float32, shape (4,)
        x1 y1 x2 y2, px.
    ellipse : bool
        A defect is round more often than square: its area is pi/4 of its box.

    Returns
    -------
    x, y : int
        Column and row of the first pixel.
    inside : ndarray of bool, shape (h, w)
        Pixels whose centre is inside.

    Examples
    --------
    >>> x, y, inside = box_mask(np.array([10, 20, 30, 40], np.float32), ellipse=True)
    >>> x, y, int(inside.sum())
    (10, 20, 316)
    """
    low, high = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 1e-3)
    across, down = ((np.arange(low[k], high[k]) + 0.5 - centre[k]) / half[k] for k in (0, 1))
    inside = (
        across[None] ** 2 + down[:, None] ** 2 <= 1
        if ellipse
        else (np.abs(across)[None] <= 1) & (np.abs(down)[:, None] <= 1)
    )
    return int(low[0]), int(low[1]), inside
