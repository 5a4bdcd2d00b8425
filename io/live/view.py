"""A live run in the browser.

Newest frame, curves, counts, state and a few controls. It may lose frames, never data.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from insitrack.io.draw.annotate import AnnotationStyle, draw
from insitrack.io.frames import Frame
from insitrack.io.live.page.curves import Curves, known
from insitrack.io.live.page.request import ViewerRequest
from insitrack.io.live.page.requests import Done, Requests
from insitrack.io.live.page.server import ViewServer
from insitrack.io.live.status import LiveStatus
from insitrack.io.results import TrackedFrame, TrackSummary

_MOST_MARKS = 200
_TICK_S, _LONG_TICK_S = 0.25, 1.0
_CURVES_EVERY_S = {"recent": 0.5, "whole": 2.0}


class LiveView:
    """Sink that shows a live run to browsers; everything slow happens in threads of its own.

    Parameters
    ----------
    status : LiveStatus
        State of the run.
    name : str
        What is shown.
    answer : callable
        Gets what a viewer asked for, in the thread of the analysis, after a frame is written; returns what was
        done, or raises `SettingsError`. What is done `AT_ONCE` comes from the thread of the server.
    held : callable, optional
        Gives the settings that hold now, for the page.
    nm_per_px : float or None
        Width of a pixel, nm.
    host, port : str, int
        Where it listens; port 0 takes a free one.
    token : str or None
        What a viewer must know; needed for any host but this computer, and made up there if None.
    warn : callable, optional
        Gets one line where something fails here; the run goes on.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """

    def __init__(
        self,
        status: LiveStatus,
        name: str,
        answer: Callable[[ViewerRequest], Done],
        *,
        held: Callable[[], dict[str, Any]] = dict,
        nm_per_px: float | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._status, self._name, self._nm_per_px = status, name, nm_per_px
        self._held = held
        self._lock = threading.Lock()
        self._newest: TrackedFrame | None = None
        self._version = 0
        self._curves = Curves()
        self._marks: list[dict[str, object]] = []
        self._requests = Requests(answer)
        self.over = False
        self._drawn: dict[tuple[bool, bool], tuple[float, int, bytes]] = {}
        self._state: tuple[float, dict[str, Any]] = (-1.0, {})
        self._drawing = threading.Lock()
        self._warn, self._warned = warn, False
        self._server = ViewServer(self, host=host, port=port, token=token, failed=warn)
        self.token, self.port, self.address = self._server.token, self._server.port, self._server.address

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Keep the newest frame and its row; do what viewers asked for."""
        try:
            self._carry_out()
            self._keep(tracked)
        except Exception as error:  # nothing that happens in the view reaches the analysis
            if not self._warned:
                self._warned = True
                first = (str(error).splitlines() or [""])[0]
                self._warn(f"the page is not up to date ({type(error).__name__}: {first}); the run goes on")

    def _carry_out(self) -> None:
        for done in self._requests.carry_out():
            if done.place is not None and len(self._marks) < _MOST_MARKS:
                self._marks.append({"t": done.place[0], "dose": known(done.place[1]), "text": done.words})

    def _keep(self, tracked: TrackedFrame) -> None:
        """Keep a frame to be shown, and its rows for the curves."""
        self._curves.add(tracked)
        with self._lock:
            self._version += 1
            if isinstance(tracked.frame, Frame):
                self._newest = tracked

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is shown of finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over = True
        self._server.stop()

    def message(self) -> str:
        """State of the run, last known values with their age and marks, as JSON."""
        with self._lock:
            message: dict[str, Any] = {"version": self._version, "marks": list(self._marks)}
        message |= self._curves.readings()
        message |= {"status": self._status_now(), "name": self._name, "over": self.over, "held": self._held()}
        return json.dumps(message, allow_nan=False)

    def curves(self, span: str, each: bool) -> bytes:
        """Curves of the last minutes or of the whole run, see `Curves.data`."""
        often = 2.0 if self._status.behind else 1.0
        return self._curves.data(span, each, often * _CURVES_EVERY_S[span])

    def picture(self, outlines: bool, ids: bool) -> bytes:
        """JPEG of the newest frame; drawn at most once a tick, for all who look at it."""
        with self._drawing:
            tracked, version = self._newest, self._version
            if tracked is None:
                return b""
            drawn_s, drawn, data = self._drawn.get((outlines, ids), (-1.0, -1, b""))
            now = time.monotonic()
            if drawn != version and now - drawn_s >= self.tick_s:
                style = AnnotationStyle(max_side_px=1024, max_ids=150 if ids else 0)
                image = draw(
                    tracked if outlines else _without_defects(tracked), style, nm_per_px=self._nm_per_px
                )
                data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
                self._drawn[outlines, ids] = now, version, data
            return data

    @property
    def tick_s(self) -> float:
        """Time between two looks at the run, s.

        Longer where the machine does not keep up, for viewers must not slow the analysis.
        """
        return _LONG_TICK_S if self._status.behind else _TICK_S

    def _status_now(self) -> dict[str, Any]:
        """State of the run, worked out once for all viewers of one moment."""
        now = time.monotonic()
        if now - self._state[0] >= _TICK_S / 2:
            self._state = now, self._status.now()
        return self._state[1]

    def ask(self, request: ViewerRequest) -> str:
        """Take what a viewer asks for, and say what became of it; see `Requests.ask`."""
        return self._requests.ask(request)


def _without_defects(tracked: TrackedFrame) -> TrackedFrame:
    """Keep the frame without defects."""
    none = np.zeros(0, np.int64)
    found, measured = tracked.detections.take(none), tracked.measures.take(none)
    return replace(tracked, detections=found, measures=measured, track_ids=none, observed=np.zeros(0, bool))
