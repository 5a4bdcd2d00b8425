"""What a network says of one image before it is made detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the network says of one image, strongest first.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        x1 y1 x2 y2, px of the image.
    labels : ndarray of int64, shape (N,)
        1..K.
    scores : ndarray of float32, shape (N,)
        Probability of that class, 0..1.
    soft : ndarray of float32, shape (N, M, M), or None
        Probability of being inside, in M x M cells that fill the box; None where the network draws no masks.
    n_over_cap : int
        Detections beyond the cap.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    soft: NDArray[np.float32] | None
    n_over_cap: int
