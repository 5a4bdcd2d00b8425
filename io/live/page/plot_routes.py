"""What the page of a live run is made of: curves, our scripts, and plotly.js as the installed package brings it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from insitrack.io.live.page.curves import SPANS
from insitrack.io.pages.scripts import PLOTLY, file_routes, files_in, plotly_file


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

    files = {**files_in([Path(__file__).parent]), PLOTLY: plotly_file}
    return [Route("/curves", data), *file_routes(files, refused, headers)]
