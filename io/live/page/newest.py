"""The newest frame as viewers want to see it: drawn at most once a tick for all who want the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from insitrack.io.arrays import Bools
from insitrack.io.draw.annotate import AnnotationStyle, draw
from insitrack.io.results import TrackedFrame

_SHOWN_PX, _WHOLE_PX = 1024, 8192
_MOST_IDS, _MOST_KEPT, _MOST_HIDDEN = 150, 12, 32


@dataclass(frozen=True, slots=True)
class PictureChoice:
    """How a viewer wants to see the newest frame.

    Parameters
    ----------
    outlines, ids : bool
        Whether they are drawn.
    hidden : frozenset of str
        Classes whose defects are not drawn.
    whole : bool
        Every pixel of it, and not at most 1024 a side.
    lossless : bool
        PNG in place of JPEG.
    """

    outlines: bool = True
    ids: bool = True
    hidden: frozenset[str] = frozenset()
    whole: bool = False
    lossless: bool = False


def choice_of(query: Mapping[str, str]) -> PictureChoice:
    """Read a choice from an address; what is not said is as on a page that was just opened.

    Examples
    --------
    >>> choice_of({"ids": "0", "hide": "void"}) == PictureChoice(ids=False, hidden=frozenset({"void"}))
    True
    """
    hidden = [name for name in query.get("hide", "").split(",") if name][:_MOST_HIDDEN]
    on = {name: query.get(name) == "1" for name in ("whole", "lossless")}
    return PictureChoice(query.get("outlines") != "0", query.get("ids") != "0", frozenset(hidden), **on)


class NewestFrame:
    """Keeps the newest frame, and its pictures as long as they are fresh; from any thread.

    Parameters
    ----------
    nm_per_px : float or None
        Width of a pixel, nm.
    """

    def __init__(self, nm_per_px: float | None) -> None:
        self._nm_per_px = nm_per_px
        self._frame: TrackedFrame | None = None
        self._number = 0
        self._drawn: dict[PictureChoice, tuple[float, int, bytes]] = {}
        self._drawing = threading.Lock()

    def take(self, tracked: TrackedFrame) -> None:
        """Keep a frame that was processed."""
        self._frame, self._number = tracked, self._number + 1

    def picture(self, choice: PictureChoice, tick_s: float) -> bytes:
        """Draw it, at most once a tick for the same choice; nothing before the first frame."""
        with self._drawing:
            tracked, number = self._frame, self._number
            if tracked is None:
                return b""
            # names that do not occur ask for no picture of their own
            choice = replace(choice, hidden=choice.hidden & set(tracked.detections.class_names))
            drawn_s, drawn, data = self._drawn.pop(choice, (-1.0, -1, b""))
            now = time.monotonic()
            if drawn != number and now - drawn_s >= tick_s:
                drawn_s, drawn, data = now, number, self._draw(tracked, choice)
            self._drawn[choice] = drawn_s, drawn, data
            while len(self._drawn) > _MOST_KEPT:
                self._drawn.pop(next(iter(self._drawn)))
            return data

    def _draw(self, tracked: TrackedFrame, choice: PictureChoice) -> bytes:
        names = tracked.detections.names()
        kept = np.array([choice.outlines and name not in choice.hidden for name in names], bool)
        style = AnnotationStyle(
            max_side_px=_WHOLE_PX if choice.whole else _SHOWN_PX, max_ids=_MOST_IDS if choice.ids else 0
        )
        image = draw(_only(tracked, kept), style, nm_per_px=self._nm_per_px)
        if choice.lossless:
            return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()
        return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def _only(tracked: TrackedFrame, kept: Bools) -> TrackedFrame:
    """Keep some of the defects of a frame."""
    rows = np.flatnonzero(kept)
    found, measured = tracked.detections.take(rows), tracked.measures.take(rows)
    arrays = {name: getattr(tracked, name)[rows] for name in ("track_ids", "observed", "probability")}
    return replace(tracked, detections=found, measures=measured, **arrays)
