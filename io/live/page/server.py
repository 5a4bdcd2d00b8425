"""The server of a live run in the browser: page, pictures, events and controls, in a thread of its own."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from insitrack.io.errors import SettingsError
from insitrack.io.live.page.request import ViewerRequest, parse_request

LOCAL = ("127.0.0.1", "localhost", "::1")
MOST_CLIENTS, MOST_BYTES = 32, 2048
_PAGE = Path(__file__).with_name("page.html")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Shown(Protocol):
    """What the server asks of the run that it shows."""

    over: bool

    @property
    def tick_s(self) -> float:
        """Time between two looks at the run, s."""
        ...

    def message(self, since: int) -> tuple[str, int]:
        """Return what is new since a row, as JSON, and the number of the row that follows."""
        ...

    def picture(self, outlines: bool, ids: bool) -> bytes:
        """Return the newest frame as JPEG; empty before the first."""
        ...

    def ask(self, request: ViewerRequest) -> None:
        """Take what a viewer asks for."""
        ...


class ViewServer:
    """Serves a live run to browsers.

    Parameters
    ----------
    shown : Shown
        The run.
    host, port : str, int
        Where it listens; port 0 takes a free one.
    token : str or None
        What a viewer must know; needed for any host but this computer, and made up there if None.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """

    def __init__(self, shown: Shown, *, host: str, port: int, token: str | None) -> None:
        self._shown = shown
        self.token = token if host in LOCAL else token or secrets.token_urlsafe(16)
        self._clients = 0
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
        literal = f"[{host}]" if ":" in host else host
        self.address = f"http://{literal}:{self.port}/" + (f"?token={self.token}" if self.token else "")
        self._thread = threading.Thread(target=self._serve, name="insitrack-view", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()

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
            data = await run_in_threadpool(self._shown.picture, *wanted)
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
                self._shown.ask(parse_request(body))
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
                text, since = self._shown.message(since)
                if text != before:
                    before = text
                    yield f"data: {text}\n\n"
                if self._shown.over:
                    return
                await asyncio.sleep(self._shown.tick_s)
        finally:
            self._clients -= 1
