"""Where drawn frames go: the annotated movie, and the first and last frame of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import cv2

from insitrack.io.draw.annotate import NOTES, AnnotationStyle, Annotator, draw
from insitrack.io.draw.movie_writer import MovieWriter
from insitrack.io.draw.threaded import ThreadedSink
from insitrack.io.frames import Frame
from insitrack.io.results import TrackedFrame, TrackSummary


class AnnotatedMovieSink(ThreadedSink[TrackedFrame]):
    """Writes the annotated movie; drawing and encoding run in a thread of their own.

    Parameters
    ----------
    path : Path
        The movie, for example `annotated.mp4`.
    nm_per_px : float or None
        Width of a pixel, nm; None draws no scale bar.
    style : AnnotationStyle, optional
        How frames are drawn.
    when_behind : {"wait", "drop"}
        What happens when frames come faster than they can be encoded: the run waits, or frames are left out
        of the movie (never out of the tables).
    n_before : int
        Frames of the movie that were made before the run was cut off.

    Attributes
    ----------
    n_dropped : int
        Frames left out.
    n_pictures : int
        Frames of the movie so far, those that wait to be drawn included.
    """

    def __init__(
        self,
        path: Path,
        *,
        nm_per_px: float | None = None,
        style: AnnotationStyle | None = None,
        when_behind: Literal["wait", "drop"] = "wait",
        n_before: int = 0,
    ) -> None:
        super().__init__("annotated movie", 8)
        self.path = path
        self.n_dropped = 0
        self.n_pictures = n_before
        self._begun = False
        self._annotator = Annotator(style, nm_per_px=nm_per_px)
        self._when_behind = when_behind

    def write(self, tracked: TrackedFrame) -> None:
        """Hand one frame to the thread.

        Raises
        ------
        OutputError
            If an earlier frame could not be written.
        """
        self._raise_error()
        if self._when_behind == "drop" and self._waiting.full():
            self.n_dropped += 1
            return
        self._waiting.put(tracked)
        frame = tracked.frame
        self._begun = self._begun or isinstance(frame, Frame)
        self.n_pictures += self._begun and (isinstance(frame, Frame) or frame.status in NOTES)

    def _process(self, items: Iterator[TrackedFrame]) -> None:
        """Draw and encode until the end."""
        with MovieWriter(self.path) as movie:
            for tracked in items:
                canvas = self._annotator.paint(tracked)
                if canvas is not None:
                    movie.write(canvas.bgr(), tracked.frame.t_s)


class PictureSink:
    """Keeps the first and the last processed frame, and draws them when asked.

    Parameters
    ----------
    nm_per_px : float or None
        Width of a pixel, nm; None draws no scale bar.
    style : AnnotationStyle, optional
        How frames are drawn.
    first : TrackedFrame, optional
        First frame of a run that goes on.
    timed : bool
        Write the time below the frames.
    """

    def __init__(
        self,
        *,
        nm_per_px: float | None = None,
        style: AnnotationStyle | None = None,
        first: TrackedFrame | None = None,
        timed: bool = True,
    ) -> None:
        self._nm_per_px, self._timed = nm_per_px, timed
        self._style = style
        self._kept: dict[str, TrackedFrame] = {} if first is None else {"first": first}

    @property
    def first(self) -> TrackedFrame | None:
        """First processed frame, if there was one."""
        return self._kept.get("first")

    def __enter__(self) -> Self:
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Keep the frame if it is the first, else as the last so far."""
        if isinstance(tracked.frame, Frame):
            self._kept["last" if "first" in self._kept else "first"] = tracked

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is drawn for finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def pictures(self, final: Callable[[Frame], TrackedFrame] | None = None) -> dict[str, bytes]:
        """Return PNG files `first` and `last`; a single frame gives `first` only, none gives nothing.

        Parameters
        ----------
        final : callable, optional
            Gives a frame with the defects to draw; without it, those that came with the frame are drawn.
        """
        drawn = {}
        for name, kept in self._kept.items():
            tracked = final(kept.frame) if final is not None and isinstance(kept.frame, Frame) else kept
            drawn[name] = draw(tracked, self._chosen(tracked), nm_per_px=self._nm_per_px)
        return {name: cv2.imencode(".png", picture)[1].tobytes() for name, picture in drawn.items()}

    def _chosen(self, tracked: TrackedFrame) -> AnnotationStyle:
        """Lines wide enough for a page, which shows two frames side by side."""
        stroke_px = 1 if tracked.detections.shape[1] <= 700 else 2
        return self._style or AnnotationStyle(stroke_px=stroke_px, timed=self._timed)
