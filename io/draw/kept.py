"""The frames of a camera, kept without loss beside the tables, and read back as the frames of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.draw.threaded import ThreadedSink
from insitrack.io.errors import OutputError, SourceError
from insitrack.io.files.movie import MovieSource
from insitrack.io.frames import Calibration, Frame, MissingFrame
from insitrack.io.results import TrackedFrame
from insitrack.io.tables.columns import FRAMES
from insitrack.io.tables.run_folder import RAW
from insitrack.io.write import PART

_WAITING = 32
_NEAR_S = 6e-4
"""Matroska keeps times to 1 ms."""


class KeptFramesSink(ThreadedSink[Frame]):
    """Writes every processed frame into ``raw/``, lossless (FFV1), in a thread of its own.

    A file is named after its first frame; a run that goes on after a cut begins another.

    Parameters
    ----------
    folder : Path
        Output folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__("kept frames", _WAITING)
        self._folder = folder / RAW

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(exist_ok=True)
            for left in self._folder.glob(f"*.mkv{PART}"):  # of a run that was cut off: it plays up to there
                left.replace(left.with_suffix(""))
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be written ({error.strerror}); choose another folder"
            ) from error
        return super().__enter__()

    def write(self, tracked: TrackedFrame) -> None:
        """Hand one frame to the thread; a camera waits while too many are not on disk.

        Raises
        ------
        OutputError
            If an earlier frame could not be written.
        """
        self._raise_error()
        if isinstance(tracked.frame, Frame):
            self._waiting.put(tracked.frame)

    def _process(self, items: Iterator[Frame]) -> None:
        """Write until the end; a frame of another size or depth begins another file."""
        writer: MovieWriter | None = None
        kind: tuple[Any, ...] = ()
        try:
            for frame in items:
                if writer is None or kind != (frame.image.dtype, frame.shape):
                    if writer is not None:
                        writer.close()
                    path = self._folder / f"{frame.index:09d}.mkv"
                    writer = MovieWriter(path, codec="ffv1", playback_fps="timestamps")
                    kind = (frame.image.dtype, frame.shape)
                writer.write(frame.image, frame.t_s)
        finally:
            if writer is not None:
                writer.close()


class KeptFrames:
    """Frames of a finished run whose camera was kept: every row of ``frames.csv``, with its image.

    Parameters
    ----------
    folder : Path
        Output folder of the run.

    Raises
    ------
    SourceError
        If no frames were kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = sorted((folder / RAW).glob("*.mkv"))
        if not self._files:
            raise SourceError(
                f"{folder / RAW}: holds no kept frames; give the movie, or run with output.raw = true"
            )
        self._rows = FRAMES.read(folder / FRAMES.file, ("frame", "t_s", "status"))
        self.name, self.time_origin = str(folder / RAW), "frames.csv"
        self.n_frames: int | None = len(self._rows)
        self.calibration = Calibration()
        self.warnings: list[str] = []
        self.refused, self.levels = "", None

    def __iter__(self) -> Iterator[Frame | MissingFrame]:
        pictures = self._pictures()
        held = next(pictures, None)
        for frame, t_s, status in self._rows[["frame", "t_s", "status"]].itertuples(index=False):
            if status != "processed":
                yield MissingFrame(frame, t_s, status)
                continue
            while held is not None and held[0] < t_s - _NEAR_S:  # written, but cut from the tables by a crash
                held = next(pictures, None)
            if held is None or held[0] > t_s + _NEAR_S:
                yield MissingFrame(frame, t_s, "gap", "its frame was not kept")
                continue
            yield Frame(frame, t_s, held[1])
            held = next(pictures, None)

    def _pictures(self) -> Iterator[tuple[float, Any]]:
        """Give times of the run, s, and frames."""
        number = self._rows["frame"].to_numpy(np.int64)
        for path in self._files:
            at = int(np.searchsorted(number, int(path.stem)))
            if at == len(number):
                continue
            start_s = float(self._rows["t_s"].iloc[at])
            for item in MovieSource(path):
                if isinstance(item, Frame):
                    yield start_s + item.t_s, item.image

    def samples(self) -> Iterator[Frame]:
        """Give the first frame."""
        yield from (item for item in self if isinstance(item, Frame))

    def describe(self) -> dict[str, Any]:
        """Where the frames lie."""
        return {"kind": "kept", "path": self.name}

    def close(self) -> None:
        """Nothing to release."""
