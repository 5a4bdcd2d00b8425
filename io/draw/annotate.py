"""Draw one tracked frame: outlines by class, ids, a footer with time, dose, scale bar and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from insitrack.io.arrays import BoolImage, Bytes, Ints
from insitrack.io.detections import Masks
from insitrack.io.draw.canvas import BLACK, NEUTRAL, Canvas, Contrast, stamp_size, video_colours
from insitrack.io.draw.footer import Footer
from insitrack.io.draw.palette import Colour, class_colours
from insitrack.io.errors import SettingsError
from insitrack.io.frames import MissingFrame
from insitrack.io.results import TrackedFrame

_CELL = 4
"""Side of the squares in which ids look for a free place, px."""
NOTES = {"damaged": "frame damaged", "gap": "no frame"}
"""What is written over the last image where a frame has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotationStyle:
    """How tracked frames are drawn.

    Parameters
    ----------
    max_ids : int
        Ids written in one frame, the oldest tracks first; 0 writes none. An id that would cover another is
        left out.
    max_side_px : int
        Longest side of the image, px; larger frames are shrunk by a whole factor.
    stroke_px : int or None
        Width of lines, px; ids grow with it. None takes 1 up to 1536 px, where the line is exactly the
        outermost pixels of the mask, and 2 above, so that lines survive on a screen that is smaller than the
        image.
    low_percentile, high_percentile : float
        Percentiles of the grey levels that become black and white, 0..100.
    contrast_memory : float
        Frames that the contrast takes to follow a change of the grey levels.
    colours : mapping of str to (red, green, blue)
        Colours of classes in place of the usual ones, 0..255.
    beside : bool
        Put the frame as it is to the left of the annotated one.
    timed : bool
        Write the time below the frame; a micrograph has none.

    Raises
    ------
    SettingsError
        If a value lies outside its range.
    """

    max_ids: int = 150
    max_side_px: int = 2048
    stroke_px: int | None = None
    low_percentile: float = 0.2
    high_percentile: float = 99.8
    contrast_memory: float = 50.0
    colours: Mapping[str, Colour] = field(default_factory=dict)
    beside: bool = False
    timed: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise SettingsError(
                f"low_percentile {self.low_percentile}, high_percentile {self.high_percentile}: expected 0 <="
                " low < high <= 100"
            )
        if self.stroke_px is not None and self.stroke_px < 1:
            raise SettingsError(f"stroke_px {self.stroke_px}: expected 1 or more")
        if self.max_side_px < 64 or self.max_ids < 0 or self.contrast_memory < 1:
            raise SettingsError(
                f"max_side_px {self.max_side_px}, max_ids {self.max_ids}, contrast_memory"
                f" {self.contrast_memory}: expected >= 64, >= 0, >= 1"
            )


def draw(
    tracked: TrackedFrame, style: AnnotationStyle | None = None, *, nm_per_px: float | None = None
) -> Bytes:
    """Draw one tracked frame.

    Parameters
    ----------
    tracked : TrackedFrame
        A processed frame and what was found in it.
    style : AnnotationStyle
        How.
    nm_per_px : float or None
        Width of a pixel, nm; None draws no scale bar.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
        Blue, green, red: the frame above, a footer below.

    Raises
    ------
    ValueError
        If `tracked` holds no image.

    Examples
    --------
    >>> from insitrack.io import Detections, Frame
    >>> from insitrack.io.results import Measures
    >>> frame, nothing = Frame(index=0, t_s=0.0, image=np.zeros((128, 256), np.uint8)), np.zeros(0)
    >>> measures = Measures(*[nothing] * 6, nothing.astype(bool), nothing, nothing)
    >>> tracked = TrackedFrame(frame, Detections.empty(0, 0.0, (128, 256)), measures, nothing.astype(int), nothing.astype(bool))
    >>> picture = draw(tracked, nm_per_px=0.5)
    >>> picture.shape[1], picture.shape[0] > 128
    (256, True)
    """
    canvas = Annotator(style, nm_per_px=nm_per_px).paint(tracked)
    if canvas is None:
        raise ValueError(f"frame {tracked.frame.index}: there is no image to draw")
    return canvas.bgr()


class Annotator:
    """Draws the frames of one movie, one after another, all of one size.

    Parameters
    ----------
    style : AnnotationStyle, optional
        How.
    nm_per_px : float or None
        Width of a pixel, nm; None draws no scale bar.
    """

    def __init__(self, style: AnnotationStyle | None = None, *, nm_per_px: float | None = None) -> None:
        self.style = style or AnnotationStyle()
        self.nm_per_px = nm_per_px
        self._contrast = Contrast(
            (self.style.low_percentile, self.style.high_percentile), self.style.contrast_memory
        )
        self._last: tuple[Canvas, Footer, int] | None = None

    def paint(self, tracked: TrackedFrame) -> Canvas | None:
        """Draw one frame.

        A frame that is damaged or was never delivered repeats the last image, darker and without colour,
        and says why.

        Returns
        -------
        Canvas or None
            None for a frame that was skipped or dropped, and before the first image.
        """
        if isinstance(tracked.frame, MissingFrame):
            return self._paint_missing(tracked.frame)
        image, shrink = tracked.frame.image, math.ceil(max(tracked.frame.shape) / self.style.max_side_px)
        luma = self._contrast.stretch(image)
        if shrink > 1:
            luma = np.asarray(
                cv2.resize(
                    luma, (luma.shape[1] // shrink, luma.shape[0] // shrink), interpolation=cv2.INTER_AREA
                )
            )
        height, width = luma.shape
        names = tracked.detections.class_names
        palette = video_colours({**class_colours(names), **self._of(names)}.values())
        footer = Footer.fit(names, height, width + width % 2)
        canvas = Canvas.blank(footer.bottom, width + width % 2)
        canvas.luma[:height, :width] = luma
        plain = canvas.copy() if self.style.beside else None
        place = _Place(
            (height, width), shrink, self.style.stroke_px or (1 if max(height, width) <= 1536 else 2)
        )
        lines = _paint_outlines(canvas, tracked, place, palette)
        _paint_ids(canvas, tracked, lines, place, self.style.max_ids)
        scale = self.nm_per_px if tracked.view == 0 else tracked.nm_per_px
        nm_per_px = scale * shrink if scale and math.isfinite(scale) else None
        footer.paint(canvas, tracked, nm_per_px, palette, timed=self.style.timed)
        if plain is not None:
            canvas = plain.beside(canvas)
        self._last = (canvas, footer, height)
        return canvas

    def _of(self, names: tuple[str, ...]) -> dict[str, Colour]:
        """Colours of the style for classes that the movie has."""
        return {name: colour for name, colour in self.style.colours.items() if name in names}

    def _paint_missing(self, frame: MissingFrame) -> Canvas | None:
        if self._last is None or frame.status not in NOTES:
            return None
        shown, footer, height = self._last
        canvas = shown.copy()
        canvas.luma[:height] = BLACK + (canvas.luma[:height] - BLACK) // 2
        for plane in canvas.chroma:
            plane[:] = NEUTRAL
        footer.note(canvas, frame.t_s, NOTES[frame.status])
        return canvas


def outlines(masks: Masks) -> tuple[Ints, Ints, Ints, Ints]:
    """Pixels of each mask that lie on its outer border.

    Returns
    -------
    x, y : ndarray of int64, shape (P,)
        Pixels, in the order of a walk around each mask; holes are not outlined.
    owner : ndarray of int64, shape (P,)
        Mask of each pixel.
    step : ndarray of int64, shape (P,)
        Place of the pixel in its walk, from 0.

    Examples
    --------
    >>> x, y, owner, step = outlines(Masks.from_crops([np.ones((3, 3), bool)], [(10, 20)]))
    >>> sorted(zip(x.tolist(), y.tolist()))[:4]
    [(20, 10), (20, 11), (20, 12), (21, 10)]
    """
    walks: list[NDArray[np.int32]] = []
    owners: list[int] = []
    pixels, starts = masks.pixels.view(np.uint8), masks.offsets.tolist()
    for i, (height, width) in enumerate(masks.sizes.tolist()):
        crop = pixels[starts[i] : starts[i + 1]].reshape(height, width)
        found, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        walks += found
        owners += [i] * len(found)
    if not walks:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing, nothing
    lengths = np.array([len(walk) for walk in walks])
    owner = np.repeat(np.array(owners), lengths)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    points = np.concatenate(walks).reshape(-1, 2).astype(np.int64) + masks.corners[owner, ::-1]
    return points[:, 0], points[:, 1], owner, step


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the specimen is drawn.

    Height and width, by which factor it is shrunk, and how wide lines are, px.
    """

    size: tuple[int, int]
    shrink: int
    stroke: int


def _paint_outlines(
    canvas: Canvas, tracked: TrackedFrame, place: _Place, palette: NDArray[np.uint8]
) -> BoolImage:
    """Outline every mask in the colour of its class, dashed where it was not seen in this frame.

    Return the cells with lines.
    """
    detections, size, shrink, stroke = tracked.detections, place.size, place.shrink, place.stroke
    cells = np.zeros((size[0] // _CELL + 1, size[1] // _CELL + 1), bool)
    x, y, owner, step = outlines(detections.masks)
    drawn = tracked.observed[owner] | (step // (shrink * stroke) % 7 < 4)
    colours = palette[detections.labels[owner[drawn]] - 1]
    x, y = x[drawn] // shrink, y[drawn] // shrink
    for dx, dy in product(range(stroke), repeat=2):
        inside = (x + dx >= 0) & (y + dy >= 0) & (x + dx < size[1]) & (y + dy < size[0])
        canvas.dots(x[inside] + dx, y[inside] + dy, colours[inside])
        cells[y[inside] // _CELL, x[inside] // _CELL] = True
    return cells


def _paint_ids(canvas: Canvas, tracked: TrackedFrame, lines: BoolImage, place: _Place, most: int) -> None:
    """Write ids beside the boxes, oldest tracks first, right or left.

    An id that would cover a line or another id is left out.
    """
    size, scale, written = place.size, 0.4 * place.stroke, 0
    ids = np.zeros_like(lines)
    boxes = (tracked.detections.boxes // place.shrink).astype(np.int64).tolist()
    for i in np.argsort(tracked.track_ids, kind="stable")[: 2 * most].tolist():
        if written >= most:
            break
        words = str(tracked.track_ids[i])
        tall, wide = stamp_size(words, scale)
        left, top, right, _ = boxes[i]
        y = min(max(top - tall // 3, 0), size[0] - tall)
        for x in (right + 1, left - wide - 1):
            if x < 0 or y < 0 or x + wide > size[1]:
                continue
            rows, first, last = slice(y // _CELL, (y + tall) // _CELL + 1), x // _CELL, (x + wide) // _CELL
            if not (lines[rows, first + 1 : last].any() or ids[rows, first : last + 1].any()):
                ids[rows, first : last + 1] = True
                canvas.stamp(words, x, y, scale)
                written += 1
                break
