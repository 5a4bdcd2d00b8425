"""Frames of a run as pictures for a browser: read ahead of whoever scrubs, within a limit of memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from insitrack.io.arrays import Bytes, Floats, GreyImage, Ints
from insitrack.io.errors import InsitrackError
from insitrack.io.frames import Frame, Source

MOST_BYTES = 512 << 20
_AHEAD, _SKIPPED, _QUALITY = 400, 24, 92
_PERCENTILES, _MARGIN = (0.1, 99.9), 0.1
_WAIT_S = 20.0
_NEAR_S = 2e-6
"""Tables keep times to 1 us."""


class FrameStore:
    """Encoded frames of a run by their place, read by one thread.

    Parameters
    ----------
    open_from : callable
        Opens the frames of the run from a time on, s.
    numbers : ndarray of int64, shape (P,)
        Number of the frame at each place, rising.
    t_s : ndarray of float64, shape (P,)
        Its time.
    most_bytes : int
        Memory for encoded frames; those farthest from where somebody looks are forgotten.
    """

    def __init__(
        self,
        open_from: Callable[[float], Source],
        numbers: Ints,
        t_s: Floats,
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._open, self._numbers, self._t_s, self._most = open_from, numbers, t_s, most_bytes
        self._kept: dict[int, bytes] = {}
        self._missing: set[int] = set()
        self._held, self._focus = 0, 0
        self._window: tuple[float, float] | None = None
        self._changed = threading.Condition()
        self._over = False
        self.problem = ""
        self._thread = threading.Thread(target=self._read, name="insitrack-frames", daemon=True)
        self._thread.start()

    def get(self, place: int) -> bytes:
        """Return a frame as JPEG; empty where it has no picture."""
        with self._changed:
            self._focus = place
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._known(place) or self._over, _WAIT_S)
            return self._kept.get(place, b"")

    def crop(self, place: int, box: tuple[int, int, int, int], side: int) -> bytes:
        """Return a part of a frame, x1 y1 x2 y2 in px, as JPEG of `side` px; empty where it has no picture."""
        data = self.get(place)
        if not data:
            return b""
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        x1, y1, x2, y2 = box
        padded = np.zeros((y2 - y1, x2 - x1), np.uint8)
        top, left = max(0, y1), max(0, x1)
        part = image[top : max(top, y2), left : max(left, x2)]
        padded[top - y1 : top - y1 + part.shape[0], left - x1 : left - x1 + part.shape[1]] = part
        return _jpeg(cv2.resize(padded, (side, side), interpolation=cv2.INTER_CUBIC))

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def _known(self, place: int) -> bool:
        return place in self._kept or place in self._missing

    def _next(self) -> int | None:
        """Place to read next: the first that is not known from where somebody looks on, then those before."""
        full = self._held >= self._most
        ahead = range(self._focus, min(len(self._numbers), self._focus + (_SKIPPED if full else _AHEAD)))
        found = next((place for place in ahead if not self._known(place)), None)
        if found is None and not full:
            found = next((place for place in range(len(self._numbers)) if not self._known(place)), None)
        return found

    def _read(self) -> None:
        source: Source | None = None
        items: Any = iter(())
        at = opened = -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._next() is not None)
                target = self._next()
                if self._over or target is None:
                    break
            try:
                # some sources begin at their beginning whatever they are asked for: they are read up to the place
                near = at <= target and min(target - at, abs(target - opened)) <= _SKIPPED
                if source is None or not near:
                    if source is not None:
                        source.close()
                    source = self._open(max(0.0, float(self._t_s[target]) - _NEAR_S))
                    items, at, opened = iter(source), 0, target
                at = self._take(next(items, None), target)
            except InsitrackError as error:
                self._fail(target, str(error))
                source, at = None, -1
            except Exception as error:  # whatever a decoder says, the page goes on without this frame
                self._fail(target, f"{type(error).__name__}: {error}")
                source, at = None, -1
        if source is not None:
            source.close()

    def _take(self, item: Any, target: int) -> int:
        """Keep what was read; return the place that comes next."""
        if item is None:  # nothing lies behind the end
            with self._changed:
                self._missing.update(range(target, len(self._numbers)))
                self._missing.difference_update(self._kept)
                self._changed.notify_all()
            return len(self._numbers)
        place = int(np.searchsorted(self._numbers, item.index))
        here = place < len(self._numbers) and self._numbers[place] == item.index
        data = self._encoded(item.image) if here and isinstance(item, Frame) else b""
        with self._changed:
            if data and place not in self._kept:
                self._kept[place] = data
                self._held += len(data)
                self._forget()
            elif here and not data:
                self._missing.add(place)
            if place > target and not self._known(target):  # the source does not have it
                self._missing.add(target)
            self._changed.notify_all()
        return place + 1 if here else place

    def _forget(self) -> None:
        while self._held > self._most and len(self._kept) > 2:
            far = max(self._kept, key=lambda place: abs(place - self._focus))
            self._held -= len(self._kept.pop(far))

    def _fail(self, place: int, why: str) -> None:
        with self._changed:
            self._missing.add(place)
            self.problem = self.problem or why
            self._changed.notify_all()

    def _encoded(self, image: GreyImage) -> bytes:
        """JPEG with one window of grey levels for the whole run, that of the first frame read."""
        if self._window is None:
            low, high = np.percentile(image[::4, ::4], _PERCENTILES).tolist()
            margin = _MARGIN * max(high - low, 1.0)
            self._window = low - margin, high + margin
        low, high = self._window
        gain = 255 / (high - low)
        if image.dtype == np.uint8:
            levels = np.clip(np.rint(gain * (np.arange(256) - low)), 0, 255).astype(np.uint8)
            return _jpeg(np.asarray(cv2.LUT(image, levels), np.uint8))
        inside = np.clip(image, max(0.0, low), high)
        return _jpeg(np.asarray(cv2.convertScaleAbs(inside, alpha=gain, beta=-gain * low), np.uint8))


def _jpeg(image: Bytes) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])
