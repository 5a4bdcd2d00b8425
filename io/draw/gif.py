"""A GIF of annotated frames, for slides and web pages."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2

from insitrack.io.draw.annotate import AnnotationStyle, Annotator
from insitrack.io.errors import OutputError
from insitrack.io.results import TrackedFrame, TrackSummary
from insitrack.io.write import replacing

MOST_FRAMES = 400
"""Frames of a GIF: it is put together in memory."""
_MS = (33, 200)


class GifSink:
    """Draws frames and writes them as a GIF that plays for ever.

    Parameters
    ----------
    path : Path
        The file.
    style : AnnotationStyle, optional
        How frames are drawn.
    nm_per_px : float or None
        Width of a pixel, nm; None draws no scale bar.
    width_px : int
        Width of the GIF, px; narrower frames stay as they are.
    """

    def __init__(
        self,
        path: Path,
        style: AnnotationStyle | None = None,
        *,
        nm_per_px: float | None = None,
        width_px: int = 640,
    ) -> None:
        self.path, self._width = path, width_px
        self._annotator = Annotator(style, nm_per_px=nm_per_px)
        self._pictures: list[Any] = []
        self._times: list[float] = []

    def __enter__(self) -> Self:
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Draw one frame.

        Raises
        ------
        OutputError
            If these are more frames than a GIF can hold.
        """
        from PIL import Image

        canvas = self._annotator.paint(tracked)
        if canvas is None:
            return
        if len(self._pictures) == MOST_FRAMES:
            raise OutputError(
                f"{self.path}: more than {MOST_FRAMES} frames; give --every, --start and --end, or write .mp4"
            )
        picture = cv2.cvtColor(canvas.bgr(), cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        if width > self._width:
            picture = cv2.resize(
                picture, (self._width, round(height * self._width / width)), interpolation=cv2.INTER_AREA
            )
        self._pictures.append(Image.fromarray(picture).quantize(128, dither=Image.Dither.NONE))
        self._times.append(tracked.frame.t_s)

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is drawn for finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._pictures:
            return
        first, *rest = self._pictures
        step_s = self._times[1] - self._times[0] if rest else 0.1
        with replacing(self.path) as part:
            first.save(
                part,
                format="GIF",
                save_all=True,
                append_images=rest,
                duration=min(max(round(1000 * step_s), _MS[0]), _MS[1]),
                loop=0,
            )
