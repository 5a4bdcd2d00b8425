"""A live run in the browser.

Newest frame, curves, counts, state and a few controls. It may lose frames, never data.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from insitrack.io.frames import Frame
from insitrack.io.live.page.curves import Curves
from insitrack.io.live.page.newest import NewestFrame, PictureChoice
from insitrack.io.live.page.request import ViewerRequest
from insitrack.io.live.page.requests import Done, Requests
from insitrack.io.live.page.server import ViewServer
from insitrack.io.live.status import LiveStatus
from insitrack.io.results import TrackedFrame, TrackSummary

_TICK_S, _LONG_TICK_S = 0.25, 1.0
_GOODBYE_S = 3.0
"""How long the report is offered to pages that are open when a run ends, s."""
_CURVES_EVERY_S = {"recent": 0.5, "whole": 2.0}


class Controls(Protocol):
    """What a viewer may do to a run, and what was done."""

    def __call__(self, wish: ViewerRequest) -> Done:
        """Do what a viewer asked for, or raise `SettingsError`."""
        ...

    def held(self) -> dict[str, Any]:
        """Return the settings that hold now."""
        ...

    def notes(self) -> dict[str, Any]:
        """Return the marks, and what was done last."""
        ...

    @property
    def notes_version(self) -> int:
        """Another number whenever there are other notes."""
        ...


class LiveView:
    """Sink that shows a live run to browsers; everything slow happens in threads of its own.

    Parameters
    ----------
    status : LiveStatus
        State of the run.
    name : str
        What is shown.
    controls : Controls
        Get what a viewer asked for, in the thread of the analysis, after a frame is written; what waits for no
        frame, such as a stop, comes from threads of the server.
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
        controls: Controls,
        *,
        nm_per_px: float | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._status, self._name, self._controls = status, name, controls
        self._lock = threading.Lock()
        self._newest = NewestFrame(nm_per_px)
        self._version = 0
        self._began_s = math.inf
        self._curves = Curves()
        self._requests = Requests(controls)
        self.over = False  # the page ends
        self._ended = ""  # no more frames: what happens now
        self._report: Path | None = None
        self._state: tuple[float, dict[str, Any]] = (-1.0, {})
        self._warn, self._warned = warn, False
        self._server = ViewServer(self, host=host, port=port, token=token, failed=warn)
        self.token, self.port, self.address = self._server.token, self._server.port, self._server.address

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Keep the newest frame and its row; do what viewers asked for."""
        try:
            self._requests.carry_out()
            self._keep(tracked)
        except Exception as error:  # nothing that happens in the view reaches the analysis
            if not self._warned:
                self._warned = True
                first = (str(error).splitlines() or [""])[0]
                self._warn(f"the page is not up to date ({type(error).__name__}: {first}); the run goes on")

    def _keep(self, tracked: TrackedFrame) -> None:
        """Keep a frame to be shown, and its rows for the curves."""
        self._curves.add(tracked)
        with self._lock:
            self._version += 1
            if isinstance(tracked.frame, Frame) and math.isfinite(tracked.frame.t_s):
                # by the frame that came with the least delay
                self._began_s = min(self._began_s, time.time() - tracked.frame.t_s)
                self._newest.take(tracked)

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is shown of finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = "no more frames; the tables are refined and the report is written"

    def close(self, status: str, report: Path) -> None:
        """Say how the run ended, give its report to those who look, and end the page.

        Parameters
        ----------
        status : str
            How it ended.
        report : Path
            Where its report is, if it has one.
        """
        self._ended, self._report = status, report if report.is_file() else None
        n_viewers = self._server.n_viewers
        self.over = True
        end_s = time.monotonic() + _GOODBYE_S
        while self._server.n_reports < n_viewers and self._report is not None and time.monotonic() < end_s:
            time.sleep(0.05)
        self._server.stop()

    def report(self) -> bytes:
        """Return the report, once it is there; nothing before."""
        try:
            return b"" if self._report is None else self._report.read_bytes()
        except OSError:
            return b""

    def message(self) -> str:
        """State of the run and last known values with their age, as JSON."""
        with self._lock:
            message: dict[str, Any] = {"version": self._version, "notes": self._controls.notes_version}
        message |= self._curves.readings()
        message |= {"status": self._status_now(), "name": self._name}
        message |= {"over": bool(self._ended), "ended": self._ended, "closed": self.over}
        message["report"] = self._report is not None
        began_s = round(self._began_s, 3) if math.isfinite(self._began_s) else None
        message |= {"held": self._controls.held(), "began_s": began_s}
        return json.dumps(message, allow_nan=False)

    def curves(self, span: str, each: bool) -> bytes:
        """Curves of the last minutes or of the whole run, see `Curves.data`."""
        often = 2.0 if self._status.behind else 1.0
        return self._curves.data(span, each, often * _CURVES_EVERY_S[span])

    def picture(self, choice: PictureChoice) -> bytes:
        """Newest frame as a viewer wants it, see `NewestFrame.picture`."""
        return self._newest.picture(choice, self.tick_s)

    def notes(self) -> bytes:
        """Return marks, and what was done last, as JSON."""
        return json.dumps(self._controls.notes(), allow_nan=False).encode("ascii")

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
