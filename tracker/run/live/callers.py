"""What is called when a trigger fires: a URL of this computer, or a program; named where the run is started."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import SplitResult, urlsplit

from insitrack.io.errors import SettingsError
from insitrack.io.write import plain_facts

_LOCAL = ("127.0.0.1", "localhost", "::1")
_URL_S, _PROGRAM_S = 10.0, 60.0
_MOST_WAITING = 64


class Callers:
    """Calls what was named, one firing after the other, in a thread of its own: the run waits for nothing.

    A URL gets the facts as JSON, by POST. A program gets them as JSON on its standard input, and the trigger
    as its one argument; no shell reads them.

    Parameters
    ----------
    targets : sequence of str
        ``http://127.0.0.1:...`` or programs.
    tell : callable
        Gets one line where a call fails.

    Raises
    ------
    SettingsError
        If one is neither a URL of this computer nor a program that is there.
    """

    def __init__(self, targets: Sequence[str], tell: Callable[[str], None]) -> None:
        self._calls = [_caller(target) for target in targets]
        self._tell = tell
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(_MOST_WAITING)
        if self._calls:
            threading.Thread(target=self._work, name="insitrack-callers", daemon=True).start()

    def __call__(self, fired: dict[str, Any]) -> None:
        """Take what fired."""
        try:
            self._waiting.put_nowait(fired)
        except queue.Full:
            self._tell(
                f"trigger {fired['trigger']}: {_MOST_WAITING} calls wait already; this one is left out"
            )

    def finish(self, within_s: float = _URL_S) -> None:
        """Let what was fired last be told before the program ends."""
        done = threading.Thread(target=self._waiting.join, daemon=True)
        done.start()
        done.join(within_s if self._calls else 0.0)

    def _work(self) -> None:
        while True:
            fired = self._waiting.get()
            for call in self._calls:
                try:
                    call(fired)
                except (OSError, HTTPException, subprocess.SubprocessError) as error:
                    first = (str(error).splitlines() or [""])[0]
                    self._tell(
                        f"trigger {fired['trigger']}: the call failed ({first or type(error).__name__})"
                    )
            self._waiting.task_done()


def _caller(target: str) -> Callable[[dict[str, Any]], None]:
    """Return what calls one target."""
    if "://" not in target:
        return _program(target)
    parts = _address(target)
    if parts is None:
        raise SettingsError(
            f"--on-trigger {target}: expected http://127.0.0.1:PORT/... of this computer, or a program"
        )
    host, port = parts.hostname or "", parts.port or 80
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def post(fired: dict[str, Any]) -> None:
        connection = HTTPConnection(host, port, timeout=_URL_S)  # no proxy, and nothing is followed elsewhere
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(plain_facts(fired)), headers)
            with connection.getresponse() as answer:  # else its socket stays open until it is collected
                status = answer.status
            if status >= 400:
                raise OSError(f"{target} answered {status}")
        finally:
            connection.close()

    return post


def _address(target: str) -> SplitResult | None:
    """Return the parts of a URL of this computer; None of any other."""
    try:
        parts = urlsplit(target)
        _ = parts.port  # refuses what is no number
    except ValueError:
        return None
    return parts if parts.scheme == "http" and parts.hostname in _LOCAL else None


def _program(target: str) -> Callable[[dict[str, Any]], None]:
    path = shutil.which(os.path.expanduser(target))  # noqa: PTH111 a name on the search path is no path
    if path is None:
        raise SettingsError(
            f"--on-trigger {target}: no such program; expected one, or http://127.0.0.1:PORT/..."
        )

    def start(fired: dict[str, Any]) -> None:
        done = subprocess.run(
            [path, str(fired["trigger"])],
            input=json.dumps(plain_facts(fired)),
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROGRAM_S,
            check=False,
        )
        if done.returncode:
            raise OSError(f"{target} ended with {done.returncode}")

    return start
