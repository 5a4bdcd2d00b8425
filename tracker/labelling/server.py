"""The page on which labels are made: crops, outlines, and what a person does with them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.draw.palette import class_colours, hex_colour
from insitrack.io.errors import InsitrackError, SettingsError
from insitrack.io.pages.scripts import SHARED, file_routes, files_in
from insitrack.io.pages.server import HEADERS, PageServer, posted
from insitrack.io.write import plain_facts
from insitrack.segment.prepare.grey import stretch_to_8_bit
from insitrack.tracker.labelling.crops import read_image
from insitrack.tracker.labelling.outlines import KEPT, PROPOSED
from insitrack.tracker.labelling.store import LabelStore, Sheet

PAGE = Path(__file__).with_name("page")
MOST_BYTES = 8 * 2**20
"""Of what a page sends at once: thousands of outlines."""


class LabelServer(PageServer):
    """Serves the labels of one person.

    Parameters
    ----------
    store : LabelStore
        Crops and labels.
    host, port : str, int
        Where it listens; port 0 takes a free one.
    token : str or None
        See `PageServer`.
    failed : callable, optional
        Gets the error if the server ends by one.
    """

    def __init__(
        self,
        store: LabelStore,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        failed: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        super().__init__(host=host, port=port, token=token, failed=failed)
        self.store, self._writing = store, threading.Lock()
        self.picture = lru_cache(maxsize=8)(self._picture)

    def summary(self) -> dict[str, Any]:
        """Return what the page shows of all crops."""
        store, colours = self.store, class_colours(DEFECT_CLASSES)
        return {
            "folder": store.path.parent.resolve().name,
            "file": store.path.name,
            "annotator": store.annotator,
            "classes": [{"name": name, "colour": hex_colour(colours[name])} for name in DEFECT_CLASSES],
            "crops": [
                {
                    "name": crop.name,
                    "frame": crop.frame,
                    "t_s": crop.t_s,
                    "width": crop.width_px,
                    "height": crop.height_px,
                    "nm_per_px": crop.nm_per_px,
                    **_counts(store.sheets[crop.name]),
                }
                for crop in store.crops
            ],
        }

    def sheet(self, place: int) -> dict[str, Any]:
        """Outlines of one crop, those of the model among them."""
        name = self.store.crops[place].name
        sheet = self.store.sheets[name]
        return {
            "outlines": [one.plain() for one in sheet.outlines],
            "start": [one.plain() for one in self.store.start.get(name, [])],
            "done": sheet.done,
            "revision": sheet.revision,
        }

    def save(self, body: bytes) -> dict[str, Any]:
        """Take what was made of a crop.

        Raises
        ------
        InsitrackError
            If it cannot be taken or written.
        """
        try:
            asked = json.loads(body)
            name, outlines, done, revision = (asked[key] for key in ("name", "outlines", "done", "revision"))
            good = isinstance(name, str) and type(done) is bool and type(revision) is int
        except (ValueError, KeyError, TypeError, RecursionError):
            good = False
        if not good:
            raise SettingsError("expected JSON with name, outlines, done and revision")
        with self._writing:
            sheet = self.store.save(name, outlines, done, revision)
            return {"revision": sheet.revision, **_counts(sheet), "n_done": self.store.n_done}

    def _picture(self, place: int) -> bytes:
        """One crop as PNG, stretched to 8 bits."""
        image = stretch_to_8_bit(read_image(self.store.path.parent, self.store.crops[place].name))
        return bytes(cv2.imencode(".png", np.ascontiguousarray(image), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, Response
        from starlette.routing import Route

        page = (PAGE / "label.html").read_text(encoding="utf-8")

        def answer(facts: Any, status: int = 200) -> Response:
            # in ASCII: what was asked for, and is named in a complaint, need not be Unicode
            data = json.dumps(plain_facts(facts), allow_nan=False)
            return Response(data, status, HEADERS, "application/json")

        async def index(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            response = HTMLResponse(page, headers=HEADERS)
            if self.token:
                response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return response

        async def summary(request: Request) -> Response:
            return self.refusal(request) or answer(self.summary())

        async def sheet(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            place = self._place(request.query_params.get("place", ""))
            return answer({"error": "no such image"}, 404) if place is None else answer(self.sheet(place))

        async def picture(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            place = self._place(request.query_params.get("place", ""))
            if place is None:
                return answer({"error": "no such image"}, 404)
            try:
                data = await run_in_threadpool(self.picture, place)
            except InsitrackError as error:
                return answer({"error": str(error)}, 404)
            return Response(data, 200, HEADERS, "image/png")

        async def save(request: Request) -> Response:
            if denied := self.refusal(request):
                return denied
            body, denied = await posted(request, MOST_BYTES)
            if denied:
                return denied
            try:
                return answer(await run_in_threadpool(self.save, body))
            except InsitrackError as error:
                return answer({"error": str(error)}, 409 if "another window" in str(error) else 400)

        gets = {"/": index, "/summary": summary, "/sheet": sheet, "/image": picture}
        routes = [Route(path, one) for path, one in gets.items()]
        routes += file_routes(files_in([SHARED, PAGE]), self.refusal, HEADERS)
        return Starlette(routes=[*routes, Route("/save", save, methods=["POST"])])

    def _place(self, text: str) -> int | None:
        """Read the number of a crop in an address; None where there is none."""
        good = text.isascii() and text.isdecimal() and len(text) < 6
        return int(text) if good and int(text) < len(self.store.crops) else None


def _counts(sheet: Sheet) -> dict[str, Any]:
    states = [one.state for one in sheet.outlines]
    return {
        "done": sheet.done,
        "begun": bool(sheet.revision),
        "n_waiting": states.count(PROPOSED),
        "n_kept": sum(state in KEPT for state in states),
    }
