"""The server of a live run in the browser: page, frames, events and controls, in a thread of its own."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from insitrack.io.errors import SettingsError
from insitrack.io.live.page.limits import BACKLOG, BODY_S, IDLE_S, Connections, limited_protocol
from insitrack.io.live.page.plot_routes import plot_routes
from insitrack.io.live.page.request import AT_ONCE, ViewerRequest, parse_request

LOCAL = ("127.0.0.1", "localhost", "::1")
MOST_CLIENTS, MOST_BYTES = 32, 2048
_LAST_WORD_S = 0.4
_PAGE = Path(__file__).with_name("page.html")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Shown(Protocol):
    """What the server asks of the run that it shows."""

    over: bool

    @property
    def tick_s(self) -> float:
        """Time between two looks at the run, s."""
        ...

    def message(self) -> str:
        """Return the state of the run and its readings as JSON."""
        ...

    def curves(self, span: str, each: bool) -> bytes:
        """Return the curves of a span, of each class or of all together."""
        ...

    def picture(self, outlines: bool, ids: bool) -> bytes:
        """Return the newest frame as JPEG; empty before the first."""
        ...

    def ask(self, request: ViewerRequest) -> str:
        """Take what a viewer asks for; say what became of it, or raise `SettingsError`."""
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
    failed : callable, optional
        Gets one line if the server ends by an error; the run goes on without its page.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """

    def __init__(
        self,
        shown: Shown,
        *,
        host: str,
        port: int,
        token: str | None,
        failed: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._shown, self._failed = shown, failed
        self._server: Any = None
        self.token = token if host in LOCAL else token or secrets.token_urlsafe(16)
        self._clients = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)  # who comes before the server runs waits for it
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
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads
            self._tell(error)

    def stop(self) -> None:
        """Answer no more; viewers get the last message, and who does not listen holds up nobody."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=_LAST_WORD_S)
        if self._server is not None and self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(timeout=_LAST_WORD_S)
        self._socket.close()

    def _serve(self) -> None:
        try:
            import uvicorn

            options: dict[str, Any] = {
                "log_level": "critical",
                "access_log": False,
                "lifespan": "off",
                "ws": "none",
                "timeout_graceful_shutdown": 1,
                "timeout_keep_alive": IDLE_S,
                "backlog": BACKLOG,
                "h11_max_incomplete_event_size": 1 << 14,
            }
            connections = Connections()
            # the cap below HTTP comes first; this one would refuse the operator as well
            options["limit_concurrency"] = 2 * connections.most
            config = uvicorn.Config(
                self._application(), http=limited_protocol(connections), loop="asyncio", **options
            )
            self._server = uvicorn.Server(config)
            asyncio.run(self._answer())
        except BaseException as error:  # whatever it is, the run goes on
            self._tell(error)

    async def _answer(self) -> None:
        """Serve until the end; what goes wrong with one connection is that connection's affair."""
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        await self._server.serve(sockets=[self._socket])

    def _tell(self, error: BaseException) -> None:
        first = (str(error).splitlines() or [""])[0]
        self._failed(
            f"the page of the run ends ({type(error).__name__}: {first}); the run goes on without it"
        )

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import ClientDisconnect, Request
        from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
        from starlette.routing import Route

        page = _PAGE.read_text(encoding="utf-8")

        def refused(request: Request) -> Response | None:
            reason, status = self._refused(
                request.headers.get("host", ""),
                request.headers.get("origin"),
                request.query_params.get("token", ""),
            )
            return JSONResponse({"error": reason}, status, _HEADERS) if reason else None

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
            try:
                async with asyncio.timeout(BODY_S):
                    async for part in request.stream():
                        body += part
                        if len(body) > MOST_BYTES:
                            return JSONResponse({"error": f"more than {MOST_BYTES} bytes"}, 413, _HEADERS)
            except ClientDisconnect:  # nobody is there to read an answer
                return JSONResponse({"error": "the request is not whole"}, 400, _HEADERS)
            except TimeoutError:
                return JSONResponse({"error": f"nothing complete within {BODY_S:g} s"}, 408, _HEADERS)
            try:
                asked = parse_request(body)
                if asked.action in AT_ONCE:  # needs no thread, so that nobody waits for one to stop a run
                    words = self._shown.ask(asked)
                else:
                    words = await run_in_threadpool(self._shown.ask, asked)
            except SettingsError as error:
                return JSONResponse({"error": str(error)}, 400, _HEADERS)
            return JSONResponse({"done": True, "told": words}, headers=_HEADERS)

        gets = {"/": index, "/picture": picture, "/events": events}
        routes = [Route(path, answer) for path, answer in gets.items()]
        routes += plot_routes(self._shown.curves, refused, _HEADERS)
        return Starlette(routes=[*routes, Route("/control", control, methods=["POST"])])

    def _refused(self, host: str, origin: str | None, token: str) -> tuple[str, int]:
        """Why a request is not answered, and the status; nothing and 200 where it is."""
        name = host_name(host)
        if name is None:
            return f"Host {host[:40]!r}: expected NAME or NAME:PORT", 400
        if self.token and not hmac.compare_digest(token.encode(), self.token.encode()):
            return "the address needs its token", 403
        if not self.token and name not in LOCAL:  # a page elsewhere must not reach in under a name of its own
            return "ask for 127.0.0.1", 403
        if origin is not None and origin != f"http://{host}":
            return "asked by a page of another origin", 403
        return "", 200

    async def _events(self, request: Any) -> AsyncIterator[str]:
        """Tell one viewer what is new, tick by tick; one who does not listen holds up nobody else."""
        self._clients += 1
        before = ""
        try:
            while not await request.is_disconnected():
                text = self._shown.message()
                if text != before:
                    before = text
                    yield f"data: {text}\n\n"
                if self._shown.over:
                    return
                await asyncio.sleep(self._shown.tick_s)
        finally:
            self._clients -= 1


def host_name(host: str) -> str | None:
    """Name in a Host header, in small letters; None where there is none.

    Examples
    --------
    >>> host_name("127.0.0.1:8000"), host_name("[::1]:80"), host_name("[::1"), host_name("a:b"), host_name("")
    ('127.0.0.1', '::1', None, None, None)
    """
    if not host.isascii() or any(sign in host for sign in "/?#@\\ \t%"):
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # refuses what is no number
        return parts.hostname
    except ValueError:
        return None
