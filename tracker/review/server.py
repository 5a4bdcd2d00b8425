"""What the page of a review asks for, and who may ask."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.errors import InsitrackError
from insitrack.io.pages.scripts import PLOTLY, SHARED, file_routes, files_in, plotly_file
from insitrack.io.pages.server import HEADERS, PageServer, posted
from insitrack.tracker.review.frames import FrameStore
from insitrack.tracker.review.session import Session
from insitrack.tracker.review.state import CURVES, places

_PAGE = Path(__file__).with_name("page")
_MOST_BYTES = 1 << 20
_SNAPSHOT_PX, _LEAST_SIDE_PX = 128, 8


class ReviewServer(PageServer):
    """Serves one review to browsers.

    Parameters
    ----------
    session : Session
        The review.
    frames : FrameStore or None
        Its frames; None where the movie is not there.
    no_frames : str
        Why there are none.
    host, port, token
        As for `PageServer`.
    """

    def __init__(
        self,
        session: Session,
        frames: FrameStore | None,
        no_frames: str = "",
        *,
        host: str,
        port: int,
        token: str | None,
        failed: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        super().__init__(host=host, port=port, token=token, failed=failed)
        self._session, self._frames, self._no_frames = session, frames, no_frames
        self._numbers, self._t_s, self._status = places(session.made.frames)
        self._lock = threading.Lock()

    @property
    def n_edits(self) -> int:
        """Edits that are made."""
        return len(self._session.edits)

    def facts(self) -> dict[str, Any]:
        """Say what does not change while a run is reviewed."""
        session = self._session
        sizes = session.made.frames[["width_px", "height_px"]].max()
        found = set(session.made.now["defect_class"])
        own = (session.manifest.get("model") or {}).get("classes") or ()
        colours = class_colours(session.classes)
        return {
            "name": session.run.resolve().name,
            "numbers": self._numbers.tolist(),
            "t_s": np.round(np.nan_to_num(self._t_s, nan=-1.0), 6).tolist(),
            "status": self._status,
            "width": int(sizes["width_px"]) if np.isfinite(sizes["width_px"]) else 512,
            "height": int(sizes["height_px"]) if np.isfinite(sizes["height_px"]) else 512,
            "classes": [
                {"name": name, "colour": hex_colour(colours[name]), "own": name in own or name in found}
                for name in session.classes
            ],
            "nm_per_px": (session.manifest.get("calibration") or {}).get("nm_per_px"),
            "curves": {name: list(words) for name, words in CURVES.items()},
            "no_frames": self._no_frames,
        }

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, Response
        from starlette.routing import Route

        page = (_PAGE / "review.html").read_text(encoding="utf-8")

        async def index(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            answer = HTMLResponse(page, headers=HEADERS)
            if self.token:
                answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return answer

        def asked(answer: Callable[[Request], Response]) -> Any:
            async def route(request: Request) -> Response:
                return self.refusal(request) or await run_in_threadpool(answer, request)

            return route

        async def post(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            body, denied = await posted(request, _MOST_BYTES)
            return denied or await run_in_threadpool(self._change, request.url.path[1:], body)

        gets = {
            "run": lambda request: self._json(self.facts()),
            "state": lambda request: self._json(self._session.state()),
            "frame": self._frame,
            "outlines": self._outlines,
            "tracks": self._tracks,
            "life": self._life,
            "snapshot": self._snapshot,
            "curves": self._curves,
        }
        routes = [Route("/", index), *(Route(f"/{name}", asked(answer)) for name, answer in gets.items())]
        routes += [Route(f"/{name}", post, methods=["POST"]) for name in ("edit", "undo", "redo", "write")]
        files = {**files_in([SHARED, _PAGE]), PLOTLY: plotly_file}
        return Starlette(routes=[*routes, *file_routes(files, self.refusal, HEADERS)])

    def _json(self, answer: Any, status: int = 200) -> Any:
        import gzip

        from starlette.responses import Response

        data = json.dumps(answer, allow_nan=False, separators=(",", ":")).encode()
        headers = dict(HEADERS)
        if len(data) > 4096:
            data = gzip.compress(data, 1)
            headers["Content-Encoding"] = "gzip"
        return Response(data, status, headers, "application/json")

    def _number(self, request: Any, name: str) -> int | None:
        text = str(request.query_params.get(name, ""))
        digits = text.removeprefix("-")
        return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None

    def _place(self, request: Any) -> int | None:
        """Place of the frame that was asked for; None where the run has no such frame."""
        place = self._number(request, "place")
        return place if place is not None and 0 <= place < len(self._numbers) else None

    def _frame(self, request: Any) -> Any:
        from starlette.responses import Response

        place = self._place(request)
        if place is None:
            return self._json({"error": f"place: expected 0 to {len(self._numbers) - 1}"}, 400)
        data = self._frames.get(place) if self._frames is not None else b""
        headers = {**HEADERS, "Cache-Control": "private, max-age=600"} if data else HEADERS
        return Response(data, 200 if data else 204, headers, "image/jpeg")

    def _outlines(self, request: Any) -> Any:
        place = self._place(request)
        if place is None:
            return self._json({"error": f"place: expected 0 to {len(self._numbers) - 1}"}, 400)
        frame, now = int(self._numbers[place]), self._session.now
        with self._lock:
            rows = now.outlines(frame)
            dropped = now.dropped(frame) if request.query_params.get("dropped") == "1" else []
        return self._json({"version": self._session.version, "rows": rows, "dropped": dropped})

    def _tracks(self, request: Any) -> Any:
        with self._lock:
            if request.query_params.get("dropped") == "1":
                return self._json(self._session.now.dropped_tracks())
            return self._json(self._session.now.tracks())

    def _life(self, request: Any) -> Any:
        track = self._number(request, "id")
        return self._json({"rows": self._session.now.life(-1 if track is None else track)})

    def _snapshot(self, request: Any) -> Any:
        """Part of a frame around a place of the frame, as a small square."""
        from starlette.responses import Response

        place = self._place(request)
        x, y, side = (self._number(request, name) for name in ("x", "y", "side"))
        if place is None or x is None or y is None or side is None or not _LEAST_SIDE_PX <= side <= 4096:
            return self._json({"error": "expected place, x, y and side in px"}, 400)
        box = (x - side // 2, y - side // 2, x - side // 2 + side, y - side // 2 + side)
        if max(abs(value) for value in box) > 1 << 20:
            return self._json({"error": "x and y: expected a place in the frame"}, 400)
        data = self._frames.crop(place, box, _SNAPSHOT_PX) if self._frames is not None else b""
        headers = {**HEADERS, "Cache-Control": "private, max-age=600"} if data else HEADERS
        return Response(data, 200 if data else 204, headers, "image/jpeg")

    def _curves(self, request: Any) -> Any:
        before = request.query_params.get("before") == "1"
        with self._lock:
            return self._json((self._session.before if before else self._session.now).curves())

    def _change(self, what: str, body: bytes) -> Any:
        session = self._session
        try:
            if what == "edit":
                cells = json.loads(body)
                if not isinstance(cells, dict) or not all(
                    isinstance(one, str | int) for one in cells.values()
                ):
                    return self._json({"error": "expected the cells of an edit as JSON"}, 400)
                return self._json(session.do(cells))
            return self._json({"undo": session.undo, "redo": session.redo, "write": session.write}[what]())
        except InsitrackError as error:
            return self._json({"error": str(error)}, 400)
        except (ValueError, RecursionError):
            return self._json({"error": "expected the cells of an edit as JSON"}, 400)
