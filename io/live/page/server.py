"""The server of a live run in the browser: page, frames, events and controls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

from insitrack.io.errors import SettingsError
from insitrack.io.live.page.newest import PictureChoice, choice_of
from insitrack.io.live.page.plot_routes import plot_routes
from insitrack.io.live.page.request import AT_ONCE, ViewerRequest, parse_request
from insitrack.io.pages.server import HEADERS, PageServer, posted

MOST_CLIENTS, MOST_BYTES = 32, 2048
_FOLDER = Path(__file__).parent
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self'{}; frame-ancestors 'none'"
_HEADERS = {**HEADERS, "Content-Security-Policy": _POLICY.format("")}


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

    def picture(self, choice: PictureChoice) -> bytes:
        """Return the newest frame as JPEG, or PNG; empty before the first."""
        ...

    def notes(self) -> bytes:
        """Return marks, and what was done last, as JSON."""
        ...

    def report(self) -> bytes:
        """Return the report; empty before the run has ended."""
        ...

    def ask(self, request: ViewerRequest) -> str:
        """Take what a viewer asks for; say what became of it, or raise `SettingsError`."""
        ...


class ViewServer(PageServer):
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
    page : str
        Name of the page beside this file.

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
        page: str = "page.html",
    ) -> None:
        def tell(error: BaseException) -> None:
            first = (str(error).splitlines() or [""])[0]
            failed(f"the page of the run ends ({type(error).__name__}: {first}); the run goes on without it")

        super().__init__(host=host, port=port, token=token, failed=tell)
        self._shown, self._page = shown, page
        self.n_viewers = self.n_reports = 0

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
        from starlette.routing import Route

        page = (_FOLDER / self._page).read_text(encoding="utf-8")

        def refused(request: Request) -> Any:
            return self.refusal(request, _HEADERS)

        async def index(request: Request) -> Response:
            once = secrets.token_urlsafe(16)  # only the script that the page brings runs, none put into it
            policy = {"Content-Security-Policy": _POLICY.format(f" 'nonce-{once}'")}
            signed = page.replace("<script>", f'<script nonce="{once}">')
            return refused(request) or HTMLResponse(signed, headers=_HEADERS | policy)

        async def picture(request: Request) -> Response:
            if denied := refused(request):
                return denied
            choice = choice_of(request.query_params)
            data = await run_in_threadpool(self._shown.picture, choice)
            kind = "image/png" if choice.lossless else "image/jpeg"
            return Response(data, 200 if data else 204, _HEADERS, kind)

        async def notes(request: Request) -> Response:
            if denied := refused(request):
                return denied
            return Response(await run_in_threadpool(self._shown.notes), 200, _HEADERS, "application/json")

        async def report(request: Request) -> Response:
            if denied := refused(request):
                return denied
            data = await run_in_threadpool(self._shown.report)
            self.n_reports += bool(data)
            name = {"Content-Disposition": "attachment; filename=report.html"}
            return Response(data, 200 if data else 404, {**_HEADERS, **name}, "text/html; charset=utf-8")

        async def events(request: Request) -> Response:
            if denied := refused(request):
                return denied
            if self.n_viewers >= MOST_CLIENTS:
                return JSONResponse({"error": f"more than {MOST_CLIENTS} viewers; close one"}, 503, _HEADERS)
            return StreamingResponse(self._events(request), media_type="text/event-stream", headers=_HEADERS)

        async def control(request: Request) -> Response:
            if denied := refused(request):
                return denied
            body, denied = await posted(request, MOST_BYTES, _HEADERS)
            if denied:
                return denied
            try:
                asked = parse_request(body)
                if asked.action in AT_ONCE:  # needs no thread, so that nobody waits for one to stop a run
                    words = self._shown.ask(asked)
                else:
                    words = await run_in_threadpool(self._shown.ask, asked)
            except SettingsError as error:
                return JSONResponse({"error": str(error)}, 400, _HEADERS)
            return JSONResponse({"done": True, "told": words}, headers=_HEADERS)

        gets = {"/": index, "/picture": picture, "/notes": notes, "/report": report, "/events": events}
        routes = [Route(path, answer) for path, answer in gets.items()]
        routes += plot_routes(self._shown.curves, refused, _HEADERS)
        return Starlette(routes=[*routes, Route("/control", control, methods=["POST"])])

    async def _events(self, request: Any) -> AsyncIterator[str]:
        """Tell one viewer what is new, tick by tick; one who does not listen holds up nobody else."""
        self.n_viewers += 1
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
            self.n_viewers -= 1
