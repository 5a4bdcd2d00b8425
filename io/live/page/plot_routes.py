"""What the plots of the page ask for: curves, our script, and plotly.js as the installed package brings it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError
from insitrack.io.live.page.curves import SPANS

PLOTS, PLOTLY = "plots.js", "plotly.js"
_KEPT = {"Cache-Control": "private, max-age=3600"}


def plot_routes(
    curves: Callable[[str, bool], bytes], refused: Callable[[Any], Any], headers: Mapping[str, str]
) -> list[Any]:
    """Make the routes that the plots need.

    Parameters
    ----------
    curves : callable
        Gives the curves of a span, of each class or of all together.
    refused : callable
        Answers a request that may not be answered; None where it may.
    headers : mapping
        Of every answer.
    """
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def data(request: Request) -> Response:
        if denied := refused(request):
            return denied
        span = request.query_params.get("span", "")
        if span not in SPANS:
            return JSONResponse({"error": f"span: expected {' or '.join(SPANS)}"}, 400, headers)
        body = curves(span, request.query_params.get("each") == "1")
        return Response(body, 200, headers, "application/octet-stream")

    async def code(request: Request) -> Response:
        if denied := refused(request):
            return denied
        packed = "gzip" in request.headers.get("accept-encoding", "")
        text = await run_in_threadpool(script, request.url.path[1:], packed=packed)
        encoding = {"Content-Encoding": "gzip"} if packed else {}
        return Response(text, 200, {**headers, **_KEPT, **encoding}, "text/javascript")

    return [Route("/curves", data), Route(f"/{PLOTS}", code), Route(f"/{PLOTLY}", code)]


@cache
def script(name: str, *, packed: bool) -> bytes:
    """Return a script, packed by gzip for browsers that take it so: 1.5 in place of 4.8 MB, packed once.

    Parameters
    ----------
    name : {"plots.js", "plotly.js"}
        Which.
    packed : bool
        Whether to pack it.

    Raises
    ------
    OutputError
        If plotly is not installed as its makers pack it.
    """
    path = Path(__file__).with_name(PLOTS) if name == PLOTS else _plotly()
    data = path.read_bytes()
    return gzip.compress(data, 6, mtime=0) if packed else data


def _plotly() -> Path:
    found = find_spec("plotly")
    path = Path(found.origin or "").parent / "package_data" / "plotly.min.js" if found else Path()
    if not path.is_file():
        raise OutputError("plotly.min.js: not in the plotly package; install plotly again")
    return path
