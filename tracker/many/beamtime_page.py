"""The page of a beam time: runs side by side while they go on, and reports of those that ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from insitrack.io.pages.scripts import file_routes, files_in
from insitrack.io.pages.server import HEADERS, PageServer
from insitrack.tracker.many.beamtime import BeamTime

_PAGE = Path(__file__).with_name("page")
_REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval';"
    " style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src data:"
)
"""A report may come from somebody else: it runs by itself, and reaches nothing of this page."""


class BeamTimeServer(PageServer):
    """Serves a beam time to browsers.

    Parameters
    ----------
    shown : BeamTime
        What is shown.
    host, port : str, int
        Where it listens; port 0 takes a free one.
    token : str or None
        See `PageServer`.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """

    def __init__(self, shown: BeamTime, *, host: str, port: int, token: str | None = None) -> None:
        super().__init__(host=host, port=port, token=token)
        self._shown = shown

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, JSONResponse, Response
        from starlette.routing import Route

        page = (_PAGE / "beamtime.html").read_text(encoding="utf-8")

        async def index(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            answer = HTMLResponse(page, headers=HEADERS)
            if self.token:
                answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return answer

        async def runs(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            facts = await run_in_threadpool(self._shown.look)
            return Response(json.dumps(facts, allow_nan=False), 200, HEADERS, "application/json")

        async def report(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            path = self._shown.report(request.query_params.get("run", ""))
            try:
                data = b"" if path is None else await run_in_threadpool(path.read_bytes)
            except OSError:
                data = b""
            if not data:
                return JSONResponse({"error": "no report of that run"}, 404, HEADERS)
            headers = {**HEADERS, "Content-Security-Policy": _REPORT_POLICY}
            return Response(data, 200, headers, "text/html; charset=utf-8")

        routes = [Route("/", index), Route("/runs", runs), Route("/report", report)]
        return Starlette(routes=[*routes, *file_routes(files_in([_PAGE]), self.refusal, HEADERS)])
