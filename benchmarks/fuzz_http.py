"""Requests to the page of a live run, sound ones damaged; the server is asked over a socket as anybody could."""

from __future__ import annotations

import json
import logging
import math
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from insitrack.io.live.page.newest import PictureChoice
from insitrack.io.live.page.request import OF_MARKS, ViewerRequest
from insitrack.io.live.page.server import ViewServer
from insitrack.io.plausible import DOSE_RATE_DPA_PER_S, THICKNESS_NM, plausible

LIMIT_S = 20.0
_BODIES = (
    b'{"action": "mark", "text": "beam on"}',
    b'{"action": "thickness", "value": 80.5}',
    b'{"action": "dose_rate", "value": 0.001}',
    b'{"action": "material", "text": "fecral"}',
    b'{"action": "undo"}',
    b'{"action": "rename", "number": 0, "text": "beam off"}',
    b'{"action": "move", "number": 0, "value": 12.5}',
    b'{"action": "delete", "number": 0}',
)
_ODD_BODIES = (
    b'{"action": "thickness", "value": ' + b"9" * 400 + b"}",
    b'{"action": "dose_rate", "value": 1e400}',
    b'{"action": "thickness", "value": NaN}',
    b"[" * 1000 + b"]" * 1000,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"action": {"action": "stop"}}',
    b'{"action": "thickness", "value": "80"}',
    b'{"action": "move", "number": 0, "value": 1e999}',
    b'{"action": "rename", "number": 1' + b"0" * 400 + b', "text": "x"}',
    b'{"action": "delete", "number": true}',
    b"\xff\xfe" * 50,
    b"",
)


class _Watched:
    """Stands for a run; keeps what could not have been asked for."""

    over, tick_s = False, 0.25

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def message(self) -> str:
        self.over = True  # an event stream ends after its first message
        return json.dumps({"state": "running"})

    def curves(self, span: str, each: bool) -> bytes:
        return b"\0" * 64

    def picture(self, choice: PictureChoice) -> bytes:
        return b"\xff\xd8"

    def notes(self) -> bytes:
        return b"{}"

    def report(self) -> bytes:
        return b""

    def ask(self, request: ViewerRequest) -> str:
        value = request.value
        if request.action == "thickness" and not plausible(value, THICKNESS_NM):
            self.wrong.append(f"thickness {value}")
        if request.action == "dose_rate" and not plausible(value, DOSE_RATE_DPA_PER_S, zero=True):
            self.wrong.append(f"dose rate {value}")
        if request.action == "move" and not 0 <= value <= 1e9:
            self.wrong.append(f"time {value}")
        if request.action in OF_MARKS and not 0 <= request.number < 10**9:
            self.wrong.append(f"number {request.number}")
        if request.action in ("mark", "material", "rename") and not (
            request.text and request.text.isprintable()
        ):
            self.wrong.append(f"text {request.text!r}")
        return request.action if math.isnan(value) else f"{request.action} {value:g}"


def _sound(port: int, random: np.random.Generator) -> bytes:
    """Draw a request that is answered with 200."""
    paths = (
        "/",
        "/picture?outlines=1&hide=void,loop&whole=1&v=3",
        "/events",
        "/curves?span=whole&each=1",
        "/notes",
    )
    kind = int(random.integers(8))
    if kind < len(paths):
        return f"GET {paths[kind]} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    bodies = _BODIES if kind < 7 else _ODD_BODIES
    body = bodies[int(random.integers(len(bodies)))]
    head = (
        f"POST /control HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Insitrack: 1\r\nContent-Type: application/json"
        f"\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _answer(port: int, data: bytes, *, stay: bool = True) -> tuple[str, float]:
    """Send bytes; return the status, or what happened instead, and how long it took, s.

    Who does not stay closes the connection as soon as everything is sent.
    """
    start = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
            connection.sendall(data)
            got = b""
            if not stay:
                return "left", time.monotonic() - start
            while part := connection.recv(65536):
                got += part
                if len(got) > 1 << 20:
                    break
    except TimeoutError:
        return "hang", time.monotonic() - start
    except OSError:
        return "closed", time.monotonic() - start
    took = time.monotonic() - start
    return (got.split(b" ", 2)[1].decode("ascii", "replace") if got.startswith(b"HTTP/") else "closed"), took


def fuzz_http(
    n: int, random: np.random.Generator, damaged: Callable[[bytes, np.random.Generator], bytes]
) -> tuple[dict[str, object], list[tuple[str, str, float]]]:
    """Ask so many things, two thirds of them damaged; return counts, and what was wrong."""
    shown, told = _Watched(), list[str]()
    errors, log = _Kept(), logging.getLogger("uvicorn.error")
    server = ViewServer(shown, host="127.0.0.1", port=0, token=None, failed=told.append)
    server.start()
    try:
        _answer(server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        log.setLevel(logging.ERROR)  # the server has set it to say nothing
        log.addHandler(errors)
        asked = [_sound(server.port, random) for _ in range(n)]
        asked = [damaged(data, random) if i % 3 else data for i, data in enumerate(asked)]
        with ThreadPoolExecutor(32) as several:
            answers = list(
                several.map(lambda i: _answer(server.port, asked[i], stay=i % 10 > 0), range(len(asked)))
            )
        alive = _answer(server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")[0]
    finally:
        log.removeHandler(errors)
        server.stop()
    kinds = Counter(status for status, _ in answers)
    bad = [
        (repr(data[:80]), status, took)
        for data, (status, took) in zip(asked, answers, strict=True)
        if status.startswith("5") or status == "hang"
    ]
    bad += [("carried out", words, 0.0) for words in shown.wrong]
    bad += [("server", words, 0.0) for words in (*told, *errors.lines)]
    bad += [] if alive == "200" else [("the page afterwards", alive, 0.0)]
    facts: dict[str, object] = {
        "requests": n,
        "answered_200": kinds["200"],
        "refused_4xx": sum(count for status, count in kinds.items() if status.startswith("4")),
        "left_at_once": kinds["left"],
        "closed_without_an_answer": kinds["closed"],
        "errors_5xx": sum(count for status, count in kinds.items() if status.startswith("5")),
        "tracebacks": len(errors.lines),
        "hangs_over_20_s": kinds["hang"],
        "wrong": len(shown.wrong),
        "slowest_s": round(max(took for _, took in answers), 2),
        "the_page_afterwards": alive,
    }
    return facts, bad


class _Kept(logging.Handler):
    """Keeps the tracebacks of the server."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.lines.append(str(record.exc_info[1])[:120])
