"""A live run in the browser.

Newest picture, curves, counts, state and a few controls. It may lose pictures, never data.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from insitrack.io.draw.annotate import AnnotationStyle, draw
from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.errors import SettingsError
from insitrack.io.frames import Frame
from insitrack.io.live.status import LiveStatus
from insitrack.io.results import TrackedFrame, TrackSummary

LOCAL = ("127.0.0.1", "localhost", "::1")
MOST_CLIENTS, MOST_BYTES, _MOST_POINTS, _MOST_MARKS = 32, 2048, 3000, 200
_TICK_S, _LONG_TICK_S = 0.25, 1.0
_PAGE = Path(__file__).with_name("page.html")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class ViewerRequest:
    """Something that a viewer asked for.

    Parameters
    ----------
    action : str
        `pause`, `resume`, `stop`, `mark`, `dose_rate` or `thickness`.
    text : str
        Of a mark.
    value : float
        Dose rate, dpa/s, or thickness, nm.
    """

    action: str
    text: str = ""
    value: float = math.nan


def parse_request(body: bytes) -> ViewerRequest:
    """Read what a viewer sent.

    Raises
    ------
    SettingsError
        If it is not one of the things that can be asked for.

    Examples
    --------
    >>> parse_request(b'{"action": "mark", "text": "beam on"}')
    ViewerRequest(action='mark', text='beam on', value=nan)
    """
    try:
        asked = json.loads(body)
        action = asked["action"]
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError("expected JSON with an action") from error
    if action in ("pause", "resume", "stop"):
        return ViewerRequest(action)
    if action == "mark":
        text = str(asked.get("text", "")).strip()
        if not text or len(text) > 80 or not text.isprintable():
            raise SettingsError("a mark: expected up to 80 printable characters")
        return ViewerRequest(action, text)
    if action in ("dose_rate", "thickness"):
        value = asked.get("value")
        words = "zero or a positive number of dpa/s" if action == "dose_rate" else "a positive number of nm"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value < 0
            or (action == "thickness" and not value)
        ):
            raise SettingsError(f"{action.replace('_', ' ')} {value}: expected {words}")
        return ViewerRequest(action, value=float(value))
    raise SettingsError(
        f"action {str(action)[:40]!r}: expected pause, resume, stop, mark, dose_rate or thickness"
    )


class LiveView:
    """Sink that shows a live run to browsers; everything slow happens in threads of its own.

    Parameters
    ----------
    status : LiveStatus
        State of the run.
    name : str
        What is shown.
    wish : callable
        Gets what a viewer asked for, in the thread of the analysis, before the next frame is written; returns
        when and at which dose a mark was set, else None. `stop` and `resume` come at once, from the thread of
        the server.
    nm_per_px : float or None
        Width of a pixel, nm.
    host, port : str, int
        Where it listens; port 0 takes a free one.
    token : str or None
        What a viewer must know; needed for any host but this computer, and made up there if None.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """

    def __init__(
        self,
        status: LiveStatus,
        name: str,
        wish: Callable[[ViewerRequest], tuple[float, float] | None],
        *,
        nm_per_px: float | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
    ) -> None:
        import socket

        self._status, self._name, self._wish, self._nm_per_px = status, name, wish, nm_per_px
        self.token = token if host in LOCAL else token or secrets.token_urlsafe(16)
        self._lock = threading.Lock()
        self._newest: TrackedFrame | None = None
        self._version = 0
        self._rows: list[dict[str, float | None]] = []
        self._first_row = 0  # rows that were thinned out no longer count
        self._marks: list[dict[str, object]] = []
        self._classes: list[dict[str, object]] = []
        self._density = ("density_per_m3", "density (m⁻³)")
        self._wishes: list[ViewerRequest] = []
        self._over = False
        self._clients = 0
        self._drawn: dict[tuple[bool, bool], tuple[float, int, bytes]] = {}
        self._state: tuple[float, dict[str, Any]] = (-1.0, {})
        self._drawing = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(MOST_CLIENTS)  # who comes before the server runs waits for it
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise SettingsError(
                f"--view {host}:{port}: cannot be used ({getattr(error, 'strerror', error)}); choose another"
                " port"
            ) from error
        self.port = int(self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.port}/" + (f"?token={self.token}" if self.token else "")
        self._thread = threading.Thread(target=self._serve, name="insitrack-view", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def write(self, tracked: TrackedFrame) -> None:
        """Keep the newest frame and its row; do what viewers asked for."""
        with self._lock:
            wishes, self._wishes = self._wishes, []
        for one in wishes:
            place = self._wish(one)
            if place is not None and len(self._marks) < _MOST_MARKS:
                self._marks.append({"t": place[0], "dose": _known(place[1]), "text": one.text})
        row = self._row(tracked)
        with self._lock:
            self._version += 1
            if isinstance(tracked.frame, Frame):
                self._newest = tracked
            if row is not None:
                self._rows.append(row)
                if len(self._rows) > _MOST_POINTS:
                    self._first_row += len(self._rows) - len(self._rows[::2])
                    self._rows = self._rows[::2]

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is shown of finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()

    def _row(self, tracked: TrackedFrame) -> dict[str, float | None] | None:
        """Short form of the row of all classes; the single classes go into the table."""
        if not tracked.series:
            return None
        total = tracked.series[-1]
        if math.isfinite(total.density_per_m2) and not math.isfinite(total.density_per_m3):
            self._density = ("density_per_m2", "density (m⁻²)")
        elif math.isfinite(total.density_per_m3):
            self._density = ("density_per_m3", "density (m⁻³)")
        elif math.isnan(total.field_nm2):
            self._density = ("n", "defects in view")
        if math.isfinite(total.n):
            colours = class_colours([row.defect_class for row in tracked.series[:-1]])
            self._classes = [
                {
                    "name": row.defect_class,
                    "n": row.n,
                    "size": _known(row.size_nm),
                    "colour": hex_colour(colours[row.defect_class]),
                }
                for row in tracked.series[:-1]
            ]
        row: dict[str, float | None] = {"t": round(total.t_s, 4), "dose": _known(total.dose_dpa)}
        for short, name in (
            ("d", self._density[0]),
            ("hl", "hardening_linear_mpa"),
            ("hq", "hardening_quadrature_mpa"),
        ):
            row |= {short + end: _known(getattr(total, name + end)) for end in ("", "_lo", "_hi")}
        return row | {
            "s": _known(total.size_nm),
            "s_lo": _known(total.size_lo_nm),
            "s_hi": _known(total.size_hi_nm),
        }

    def _message(self, since: int) -> tuple[str, int]:
        """Everything that is new since a row, as JSON, and the number of the row that follows."""
        with self._lock:
            rows, first, version = self._rows, self._first_row, self._version
            fresh = rows[max(0, since - first) :] if since >= first else list(rows)
            message: dict[str, Any] = (
                {"rows": fresh} if since > first or (since and since == first) else {"history": fresh}
            )
            message |= {
                "version": version,
                "marks": list(self._marks),
                "classes": self._classes,
                "density_name": self._density[1],
            }
            following = first + len(rows)
        message |= {"status": self._status_now(), "name": self._name, "over": self._over}
        return json.dumps(message, allow_nan=False), following

    def _picture(self, outlines: bool, ids: bool) -> bytes:
        """JPEG of the newest frame; drawn at most once a tick, for all who look at it."""
        with self._drawing:
            tracked, version = self._newest, self._version
            if tracked is None:
                return b""
            drawn_s, drawn, data = self._drawn.get((outlines, ids), (-1.0, -1, b""))
            now = time.monotonic()
            if drawn != version and now - drawn_s >= self._tick_s:
                style = AnnotationStyle(max_side_px=1024, max_ids=150 if ids else 0)
                image = draw(
                    tracked if outlines else _without_defects(tracked), style, nm_per_px=self._nm_per_px
                )
                data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
                self._drawn[outlines, ids] = now, version, data
            return data

    @property
    def _tick_s(self) -> float:
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

    def _ask(self, wish: ViewerRequest) -> None:
        """Hand a wish on: at once where no frame may come to carry it."""
        if wish.action in ("stop", "resume", "pause"):
            self._wish(wish)
            return
        with self._lock:
            if len(self._wishes) < _MOST_MARKS:
                self._wishes.append(wish)

    def _serve(self) -> None:
        import uvicorn

        options = {
            "log_level": "critical",
            "access_log": False,
            "lifespan": "off",
            "timeout_graceful_shutdown": 1,
            "limit_concurrency": 4 * MOST_CLIENTS,
        }
        self._server = uvicorn.Server(uvicorn.Config(self._application(), **options))
        self._server.run(sockets=[self._socket])

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
        from starlette.routing import Route

        page = _PAGE.read_text(encoding="utf-8")

        def refused(request: Request) -> Response | None:
            given = request.query_params.get("token", "")
            if self.token and not hmac.compare_digest(given.encode(), self.token.encode()):
                return JSONResponse({"error": "the address needs its token"}, 403, _HEADERS)
            host = (request.url.hostname or "").strip("[]")
            if (
                not self.token and host not in LOCAL
            ):  # a page elsewhere must not reach in under a name of its own
                return JSONResponse({"error": "ask for 127.0.0.1"}, 403, _HEADERS)
            return None

        async def index(request: Request) -> Response:
            return refused(request) or HTMLResponse(page, headers=_HEADERS)

        async def picture(request: Request) -> Response:
            if denied := refused(request):
                return denied
            wanted = [request.query_params.get(name) != "0" for name in ("outlines", "ids")]
            data = await run_in_threadpool(self._picture, *wanted)
            return Response(data, 200 if data else 204, _HEADERS, "image/jpeg")

        async def events(request: Request) -> Response:
            if denied := refused(request):
                return denied
            if self._clients >= MOST_CLIENTS:
                return JSONResponse({"error": f"more than {MOST_CLIENTS} viewers; close one"}, 503, _HEADERS)
            return StreamingResponse(self._events(request), media_type="text/event-stream", headers=_HEADERS)

        async def control(request: Request) -> Response:
            if denied := refused(request):
                return denied
            if request.headers.get("x-insitrack") != "1":  # forms and links of other pages cannot send it
                return JSONResponse({"error": "not from this page"}, 403, _HEADERS)
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    return JSONResponse({"error": f"more than {MOST_BYTES} bytes"}, 413, _HEADERS)
            try:
                self._ask(parse_request(body))
            except SettingsError as error:
                return JSONResponse({"error": str(error)}, 400, _HEADERS)
            return JSONResponse({"done": True}, headers=_HEADERS)

        gets = [
            Route(path, answer) for path, answer in (("/", index), ("/picture", picture), ("/events", events))
        ]
        return Starlette(routes=[*gets, Route("/control", control, methods=["POST"])])

    async def _events(self, request: Any) -> AsyncIterator[str]:
        """Tell one viewer what is new, tick by tick; one who does not listen holds up nobody else."""
        self._clients += 1
        since, before = 0, ""
        try:
            while not await request.is_disconnected():
                text, since = self._message(since)
                if text != before:
                    before = text
                    yield f"data: {text}\n\n"
                if self._over:
                    return
                await asyncio.sleep(self._tick_s)
        finally:
            self._clients -= 1


def _without_defects(tracked: TrackedFrame) -> TrackedFrame:
    """Keep the picture alone."""
    none = np.zeros(0, np.int64)
    found, measured = tracked.detections.take(none), tracked.measures.take(none)
    return replace(tracked, detections=found, measures=measured, track_ids=none, observed=np.zeros(0, bool))


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
