"""Where results go: the protocol of a sink, and the sink that writes the CSV tables row by row."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

import numpy as np

from insitrack.io.errors import RunError
from insitrack.io.frames import Frame
from insitrack.io.results import TrackedFrame, TrackSummary
from insitrack.io.tables.columns import DOUBTED, EVENTS, FRAMES, SERIES, STREAMED, SUMMARY, TABLES, TRACKS
from insitrack.io.tables.engine import Table
from insitrack.io.tables.outlines import masks


class Sink(Protocol):
    """Takes tracked frames, one after another, and keeps what it wants of them.

    Entering opens files, `write` is called once for every source frame in order, leaving closes the files and
    leaves something readable behind, also after an error.
    """

    def __enter__(self) -> Self: ...

    def write(self, tracked: TrackedFrame) -> None:
        """Take one source frame."""
        ...

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Take the tracks that were still alive after the last frame."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TableSink:
    """Writes `tracks.csv`, `series.csv`, `summary.csv`, `events.csv`, `frames.csv` and `masks.csv`.

    Flushed after every frame.

    Parameters
    ----------
    folder : Path
        An existing folder.
    append : bool
        Go on with the tables that are there.
    outlines : bool
        Write `masks.csv` too; detections made elsewhere have none.
    """

    def __init__(self, folder: Path, *, append: bool = False, outlines: bool = True) -> None:
        self.folder, self._append_to = folder, append
        self._tables = STREAMED if outlines else TABLES
        self._files: dict[str, TextIO] = {}

    def __enter__(self) -> Self:
        for table in self._tables.values():
            stream = (self.folder / table.file).open(
                "a" if self._append_to else "w", encoding="utf-8", newline="\n"
            )
            self._files[table.file] = stream
        if not self._append_to:
            try:
                self._append(*((table, table.header()) for table in self._tables.values()))
            except RunError:
                self.__exit__(None, None, None)
                raise
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Append the rows of one source frame to every table.

        Raises
        ------
        RunError
            If a table cannot be written any more: the disk is full, or gone.
        """
        self._append(
            (TRACKS, _track_rows(tracked) if len(tracked.track_ids) else ""),
            (DOUBTED, _doubted_rows(tracked)),
            (SERIES, SERIES.format_records(tracked.series)),
            (EVENTS, EVENTS.format_records(tracked.events)),
            (SUMMARY, SUMMARY.format_records(tracked.finished)),
            (masks.STREAM, masks.rows_of(tracked) if masks.STREAM.file in self._files else ""),
            (FRAMES, _frame_row(tracked)),
        )

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Append the tracks that were still alive after the last frame."""
        self._append((SUMMARY, SUMMARY.format_records(summaries)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._files.values():
            with suppress(OSError):  # what a full disk did not take has been reported
                stream.close()
        self._files.clear()

    def _append(self, *texts: tuple[Table, str]) -> None:
        """Write and flush, so that what was done is on disk."""
        try:
            for table, text in texts:
                if table.file in self._files:
                    self._files[table.file].write(text)
                    self._files[table.file].flush()
        except OSError as error:
            raise RunError(
                f"{self.folder}: the tables cannot be written any more ({error.strerror}); make room and run"
                " again"
            ) from error


def _track_rows(tracked: TrackedFrame) -> str:
    detections, measures = tracked.detections, tracked.measures
    n = len(tracked.track_ids)
    boxes = detections.boxes
    return TRACKS.format(
        {
            "frame": np.full(n, tracked.frame.index),
            "t_s": np.full(n, tracked.frame.t_s),
            "track_id": tracked.track_ids,
            "defect_class": detections.names(),
            "score": np.where(tracked.observed, detections.scores, np.nan),
            "x1_px": boxes[:, 0],
            "y1_px": boxes[:, 1],
            "x2_px": boxes[:, 2],
            "y2_px": boxes[:, 3],
            "observed": tracked.observed,
            "probability": tracked.probability,
            "causal_id": np.where(tracked.observed, tracked.track_ids, -1),
            **dict.fromkeys(("x_sd_px", "y_sd_px", "size_sd_nm"), np.full(n, np.nan)),
            **{name: getattr(measures, name) for name in measures.__slots__},
        }
    )


def _doubted_rows(tracked: TrackedFrame) -> str:
    doubted = tracked.doubted
    if doubted is None or not len(doubted.track_ids):
        return ""
    seen = np.ones(len(doubted.track_ids), bool)
    return _track_rows(
        TrackedFrame(
            tracked.frame,
            doubted.detections,
            doubted.measures,
            doubted.track_ids,
            seen,
            probability=doubted.probability,
        )
    )


def _frame_row(tracked: TrackedFrame) -> str:
    processed = isinstance(tracked.frame, Frame)
    height, width = tracked.frame.shape if isinstance(tracked.frame, Frame) else (np.nan, np.nan)
    return FRAMES.format(
        {
            "frame": [tracked.frame.index],
            "t_s": [tracked.frame.t_s],
            "status": ["processed" if isinstance(tracked.frame, Frame) else tracked.frame.status],
            "shift_x_px": [tracked.shift_px[0]],
            "shift_y_px": [tracked.shift_px[1]],
            "n_detections": [float(np.count_nonzero(tracked.observed)) if processed else np.nan],
            "drift_quality": [tracked.drift_quality],
            "field_px": [tracked.field_px],
            "width_px": [float(width)],
            "height_px": [float(height)],
            "view": [float(tracked.view)],
            "nm_per_px": [tracked.nm_per_px],
            "trust": [tracked.trust],
            "distrust": [" ".join(tracked.distrust)],
        }
    )
