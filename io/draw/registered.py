"""The movie with the drift of the stage taken off: the specimen stands still, the frame moves."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.frames import Frame
from insitrack.io.results import TrackedFrame, TrackSummary


class RegisteredMovieSink:
    """Writes every processed frame moved back by its drift.

    What the camera did not see is black. 16-bit frames keep their upper 8 bits.

    Parameters
    ----------
    path : Path
        The movie, H.264.
    """

    def __init__(self, path: Path) -> None:
        self._writer = MovieWriter(path, codec="h264", playback_fps="timestamps", crf=16, index_first=True)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Write one frame."""
        frame = tracked.frame
        if not isinstance(frame, Frame):
            return
        dx, dy = (value if math.isfinite(value) else 0.0 for value in tracked.shift_px)
        image = (frame.image >> 8).astype(np.uint8) if frame.image.dtype == np.uint16 else frame.image
        height, width = frame.shape
        move = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
        self._writer.write(cv2.warpAffine(image, move, (width, height), flags=cv2.INTER_CUBIC), frame.t_s)

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is left to write."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)
