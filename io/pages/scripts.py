"""Code that pages are made of: files of ours by their names, and plotly.js as the installed package brings it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from insitrack.io.errors import OutputError

PLOTLY = "plotly.js"
SHARED = Path(__file__).with_name("code")
"""Modules that draw and edit outlines, of any page."""
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_KEPT = {"Cache-Control": "private, max-age=3600"}


def plotly_file() -> Path:
    """`plotly.min.js` of the installed package.

    Raises
    ------
    OutputError
        If plotly is not installed as its makers pack it.
    """
    found = find_spec("plotly")
    path = Path(found.origin or "").parent / "package_data" / "plotly.min.js" if found else Path()
    if not path.is_file():
        raise OutputError("plotly.min.js: not in the plotly package; install plotly again")
    return path


@cache
def packed(path: Path, *, gzipped: bool) -> bytes:
    """Return a file, packed by gzip for browsers that take it so: 1.5 in place of 4.8 MB, packed once."""
    data = path.read_bytes()
    return gzip.compress(data, 6, mtime=0) if gzipped else data


def file_routes(
    files: Mapping[str, Callable[[], Path]], refused: Callable[[Any], Any], headers: Mapping[str, str]
) -> list[Any]:
    """Make the routes of files that are the same for everybody.

    Parameters
    ----------
    files : mapping of str to callable
        Path in the address, and what says where the file lies; nothing else can be asked for.
    refused : callable
        Answers a request that may not be answered; None where it may.
    headers : mapping
        Of every answer.
    """
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def code(request: Request) -> Response:
        if denied := refused(request):
            return denied
        place = files[request.url.path[1:]]
        gzipped = "gzip" in request.headers.get("accept-encoding", "")
        path = await run_in_threadpool(place)
        data = await run_in_threadpool(packed, path, gzipped=gzipped)
        encoding = {"Content-Encoding": "gzip"} if gzipped else {}
        return Response(data, 200, {**headers, **_KEPT, **encoding}, _TYPES[path.suffix])

    return [Route(f"/{name}", code) for name in files]


def files_in(folders: Sequence[Path]) -> dict[str, Callable[[], Path]]:
    """Scripts and styles of folders, by their names."""
    found = [
        path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in (".js", ".css")
    ]
    return {path.name: partial(_itself, path) for path in found}


def _itself(path: Path) -> Path:
    return path
