"""A hash of what was really read: pixels of frame after frame, whatever became of the file meanwhile."""

from __future__ import annotations

import hashlib

import numpy as np

from insitrack.io.arrays import GreyImage


class PixelHash:
    """SHA-256 over all frames so far: each step hashes the one before and the pixels of a frame.

    The same frames give the same hash from a file and from a camera, in one go and cut off and resumed.

    Parameters
    ----------
    before : str
        Hash of the frames before, hex; empty at the beginning.

    Examples
    --------
    >>> frames = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    >>> whole = PixelHash()
    >>> steps = [whole.update(frame) for frame in frames]
    >>> PixelHash(steps[1]).update(frames[2]) == whole.value
    True
    """

    def __init__(self, before: str = "") -> None:
        self.value = before

    def update(self, image: GreyImage) -> str:
        """Take a frame; return the hash of all up to it.

        Parameters
        ----------
        image : ndarray of uint8 or uint16, shape (H, W)
            Its pixels.
        """
        step = hashlib.sha256(f"{self.value} {image.dtype.str} {image.shape}".encode())
        step.update(np.ascontiguousarray(image).data)
        self.value = step.hexdigest()
        return self.value
