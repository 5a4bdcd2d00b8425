"""The server of a page in the browser: who may ask, and for how long; in a thread of its own."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from insitrack.io.errors import SettingsError
from insitrack.io.pages.limits import BACKLOG, BODY_S, IDLE_S, Connections, limited_protocol

LOCAL = ("127.0.0.1", "localhost", "::1")
_LAST_WORD_S = 0.4
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src 'self' blob:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer of a page whose scripts are files; plotly.js writes styles into its own elements."""


class PageServer(ABC):
    """Serves a page to browsers, on this computer alone, or to whoever knows a token.

    Parameters
    ----------
    host, port : str, int
        Where it listens; port 0 takes a free one.
    token : str or None
        What a viewer must know; needed for any host but this computer, and made up there if None.
    failed : callable, optional
        Gets the error if the server ends by one.
    option : str
        The option that names host and port, for complaints.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        token: str | None,
        failed: Callable[[BaseException], None] = lambda error: None,
        option: str = "--view",
    ) -> None:
        self._failed = failed
        self._server: Any = None
        self.token = token if host in LOCAL else token or secrets.token_urlsafe(16)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)  # who comes before the server runs waits for it
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise SettingsError(
                f"{option} {host}:{port}: cannot be used ({getattr(error, 'strerror', error)}); choose another"
                " port"
            ) from error
        self.port = int(self._socket.getsockname()[1])
        literal = f"[{host}]" if ":" in host else host
        self.address = f"http://{literal}:{self.port}/" + (f"?token={self.token}" if self.token else "")
        self._thread = threading.Thread(target=self._serve, name="insitrack-page", daemon=True)

    @abstractmethod
    def _application(self) -> Any:
        """Make the ASGI application; every route asks `refusal` first."""

    def start(self) -> None:
        """Begin to answer."""
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads
            self._failed(error)

    def wait(self) -> None:
        """Return when the server ends."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.5)

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
        except BaseException as error:  # whatever it is, what is shown goes on
            self._failed(error)

    async def _answer(self) -> None:
        """Serve until the end; what goes wrong with one connection is that connection's affair."""
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        await self._server.serve(sockets=[self._socket])

    def refusal(self, request: Any, headers: dict[str, str] = HEADERS) -> Any:
        """Answer to a request that may not be answered; None where it may.

        Whoever asks shows the token in the address, or in the cookie that the page itself gave.
        """
        from starlette.responses import JSONResponse

        shown = request.query_params.get("token") or request.cookies.get(self.cookie, "")
        reason, status = self._refused(request.headers.get("host", ""), request.headers.get("origin"), shown)
        return JSONResponse({"error": reason}, status, headers) if reason else None

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token: cookies do not know ports."""
        return f"insitrack-{self.port}"

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


def listens_at(text: str, option: str = "--view") -> tuple[str, int]:
    """Host and port of HOST:PORT.

    Raises
    ------
    SettingsError
        If it is none.

    Examples
    --------
    >>> listens_at("127.0.0.1:8000")
    ('127.0.0.1', 8000)
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port[:6]) < 65536):
        raise SettingsError(f"{option} {text}: expected HOST:PORT, for example 127.0.0.1:8000")
    return host.strip("[]"), int(port)


async def posted(request: Any, most_bytes: int, headers: dict[str, str] = HEADERS) -> tuple[bytes, Any]:
    """Body of a request that changes something, and nothing; or nothing and the answer that refuses it.

    Parameters
    ----------
    request : starlette.requests.Request
        What was asked; only our own page sends its header.
    most_bytes : int
        What is longer is refused.
    headers : dict of str
        Of the answer.
    """
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse

    def no(reason: str, status: int) -> tuple[bytes, Any]:
        return b"", JSONResponse({"error": reason}, status, headers)

    if request.headers.get("x-insitrack") != "1":  # forms and links of other pages cannot send it
        return no("not from this page", 403)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > most_bytes:
                    return no(f"more than {most_bytes} bytes", 413)
    except ClientDisconnect:  # nobody is there to read an answer
        return no("the request is not whole", 400)
    except TimeoutError:
        return no(f"nothing complete within {BODY_S:g} s", 408)
    return bytes(body), None


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
