"""Values of any type become grey levels of 8 or 16 bits, the same way over a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import GreyImage

_PERCENTILES = (0.1, 99.9)
_MARGIN = 0.25  # of the range between the percentiles, on either side: what is rarer than 0.1 % of the pixels stays unclipped


@dataclass(frozen=True)
class Levels:
    """How the values of a run become 8 or 16 bit grey levels, the same for every frame.

    Parameters
    ----------
    dtype : dtype
        Of the images.
    low, high : float
        Values that become 0 and 65535, where they are not 8 or 16 bit integers.
    n_frames : int
        Frames from which these come.
    """

    dtype: np.dtype[Any]
    low: float = 0.0
    high: float = 0.0
    n_frames: int = 0

    @classmethod
    def fitted(cls, samples: Sequence[NDArray[Any]]) -> Levels:
        """Fix the levels on frames of one type, shape (H, W) each."""
        dtype = samples[0].dtype
        if dtype.kind == "b" or (dtype.itemsize <= 2 and dtype.kind in "ui"):
            return cls(dtype)
        values = np.concatenate(
            [sample[::4, ::4].ravel() if sample.size > 1 << 16 else sample.ravel() for sample in samples]
        )
        values = values[np.isfinite(values)].astype(np.float64)
        if not values.size:
            return cls(dtype)
        low, high = np.percentile(values, _PERCENTILES)
        margin = _MARGIN * (high - low)
        return cls(
            dtype,
            float(max(values.min(), low - margin)),
            float(min(values.max(), high + margin)),
            len(samples),
        )

    def apply(self, picture: NDArray[Any]) -> GreyImage:
        """Return the grey levels of a frame of that type, uint8 or uint16, shape (H, W)."""
        kind, size = self.dtype.kind, self.dtype.itemsize
        native: Any = np.ascontiguousarray(picture, dtype=self.dtype.newbyteorder("="))
        if kind == "b":
            return np.asarray(native * np.uint8(255), np.uint8)
        if size <= 2 and kind == "u":
            kept: GreyImage = native
            return kept
        if size <= 2 and kind == "i":  # shifted, nothing lost
            half = 1 << (8 * size - 1)
            shifted: GreyImage = (native.astype(np.int32) + half).astype(np.uint8 if size == 1 else np.uint16)
            return shifted
        scaled = (native.astype(np.float64) - self.low) * (65535 / ((self.high - self.low) or 1.0))
        return np.asarray(np.clip(np.rint(np.nan_to_num(scaled, nan=0.0)), 0, 65535), np.uint16)

    def __str__(self) -> str:
        kind, size = self.dtype.kind, self.dtype.itemsize
        if size <= 2 and kind in "bui":
            return str(self.dtype.newbyteorder("=")) + (
                f", shifted by {1 << (8 * size - 1)}" if kind == "i" else ""
            )
        percentiles = "{:g} and {:g} % of the pixels of {} frames, widened by a quarter".format(
            *_PERCENTILES, self.n_frames
        )
        return f"{self.dtype}, {self.low:g} to {self.high:g} scaled to 16 bits ({percentiles})"
