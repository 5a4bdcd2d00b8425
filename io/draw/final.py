"""Frames with the defects of the final tables: what is drawn last shows what the tables say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.io.frames import Frame, MissingFrame
from insitrack.io.results import Measures, SeriesRow, TrackedFrame
from insitrack.io.tables.columns import FRAMES, SERIES
from insitrack.io.tables.outlines.masks import MASKS, FrameMasks, classes_in, masks_by_frame
from insitrack.io.tables.sink import Sink

_SHOWN = ("frame", "t_s", "defect_class", "dose_dpa", "n")
_UNKNOWN = {field.name: float("nan") for field in fields(SeriesRow)}


class FinalFrames:
    """Puts the defects of a finished run on its frames, which are asked for in the order of time.

    Parameters
    ----------
    folder : Path
        Output folder of a run, with ``masks.parquet`` and ``series.csv``.
    class_names : sequence of str
        Classes of the model, which choose the colours; classes that only an edit knows follow them.
    only : sequence of str
        Classes to show; empty: all.
    frames : tuple of int, optional
        First and last frame that will be asked for: only what they need is read.
    """

    def __init__(
        self,
        folder: Path,
        class_names: Sequence[str],
        *,
        only: Sequence[str] = (),
        frames: tuple[int, int] | None = None,
    ) -> None:
        self.class_names = shown_classes(folder, class_names)
        self._only = frozenset(only)
        self._masks = masks_by_frame(folder / MASKS.file, frames)
        self._series = _series_by_frame(folder)
        self._next_masks = next(self._masks, None)
        self._next_series = next(self._series, None)
        self._later_views = _later_views(folder)

    def of(self, frame: Frame | MissingFrame) -> TrackedFrame:
        """Return a frame with what the tables say of it."""
        view, nm_per_px = self._later_views.get(frame.index, (0, float("nan")))
        return replace(self._of(frame), view=view, nm_per_px=nm_per_px)

    def _of(self, frame: Frame | MissingFrame) -> TrackedFrame:
        masks, series = self._masks_of(frame.index), self._series_of(frame.index)
        shape = frame.shape if isinstance(frame, Frame) else (0, 0)
        if masks is None or isinstance(frame, MissingFrame):
            nothing = Detections.empty(frame.index, frame.t_s, shape, self.class_names)
            return TrackedFrame(
                frame, nothing, Measures.nothing(), np.zeros(0, np.int64), np.zeros(0, bool), series=series
            )
        shown = [i for i, name in enumerate(masks.names) if not self._only or name in self._only]
        rows = np.array(shown, np.int64)
        labels = np.array([self.class_names.index(masks.names[i]) + 1 for i in shown], np.int64)
        chosen, unknown = masks.masks.take(rows), np.full(len(rows), np.nan)
        found = Detections(
            frame.index,
            frame.t_s,
            shape,
            chosen.boxes(),
            labels,
            unknown.astype(np.float32),
            chosen,
            self.class_names,
        )
        no = np.zeros(len(rows), bool)
        measures = Measures(
            **{**dict.fromkeys(Measures.__slots__, unknown), "on_edge": no, "on_exclusion_edge": no}
        )
        return TrackedFrame(
            frame,
            found,
            measures,
            masks.track_ids[rows],
            masks.observed[rows],
            series=series,
            probability=masks.probability[rows],
        )

    def _masks_of(self, index: int) -> FrameMasks | None:
        while self._next_masks is not None and self._next_masks.frame < index:
            self._next_masks = next(self._masks, None)
        found = self._next_masks
        return found if found is not None and found.frame == index else None

    def _series_of(self, index: int) -> tuple[SeriesRow, ...]:
        while self._next_series is not None and self._next_series[0] < index:
            self._next_series = next(self._series, None)
        if self._next_series is None or self._next_series[0] != index:
            return ()
        rows = self._next_series[1]
        return tuple(row for row in rows if not self._only or row.defect_class in (*self._only, "all"))


def _later_views(folder: Path) -> dict[int, tuple[int, float]]:
    """View and scale, nm, of the frames that are not of the first view."""
    table = FRAMES.read(folder / FRAMES.file, ["frame", "view", "nm_per_px"])
    later = table[(table["view"] > 0).to_numpy()]
    views = zip(later["view"].astype(int).tolist(), later["nm_per_px"].tolist(), strict=True)
    return dict(zip(later["frame"].tolist(), views, strict=True))


def shown_classes(folder: Path, class_names: Sequence[str]) -> tuple[str, ...]:
    """Classes of a run: those of its model, and behind them those that only its tables have."""
    known = tuple(class_names) or DEFECT_CLASSES
    return (*known, *sorted(classes_in(folder / MASKS.file) - set(known)))


def _series_by_frame(folder: Path) -> Iterator[tuple[int, tuple[SeriesRow, ...]]]:
    """Rows of ``series.csv``, frame by frame, with what a footer shows."""
    waiting: list[SeriesRow] = []
    for piece in SERIES.chunks(folder / SERIES.file, _SHOWN):
        for frame, t_s, name, dose, n in piece[list(_SHOWN)].itertuples(index=False):
            if waiting and waiting[0].frame != frame:
                yield waiting[0].frame, tuple(waiting)
                waiting = []
            known = {"frame": frame, "t_s": t_s, "defect_class": name, "dose_dpa": dose, "n": n}
            waiting.append(SeriesRow(**{**_UNKNOWN, **known}))
    if waiting:
        yield waiting[0].frame, tuple(waiting)


def final_frame(folder: Path, frame: Frame, class_names: Sequence[str]) -> TrackedFrame:
    """Return one frame of a finished run with what its tables say of it."""
    return FinalFrames(folder, class_names, frames=(frame.index, frame.index)).of(frame)


def draw_frames(
    items: Iterable[Frame | MissingFrame],
    final: FinalFrames,
    sinks: Sequence[Sink],
    *,
    n_frames: int | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Give frames of a source, with their final defects, to sinks that draw.

    Parameters
    ----------
    items : iterable of Frame or MissingFrame
        Frames, in order.
    final : FinalFrames
        What the tables say.
    sinks : sequence of Sink
        Open sinks.
    n_frames : int, optional
        Frames of the run: what follows them was not looked at.
    stop : threading.Event, optional
        Set it to end early.
    progress : callable, optional
        Gets the number of frames so far.

    Returns
    -------
    int
        Frames that were given.
    """
    n = 0
    for item in items:
        if (n_frames is not None and item.index >= n_frames) or (stop is not None and stop.is_set()):
            break
        tracked = final.of(item)
        for sink in sinks:
            sink.write(tracked)
        n += 1
        if progress is not None:
            progress(n)
    return n
