"""The page of a batch while it goes on: every movie, its rate, the time left, and why it failed."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any, Self

from insitrack.io.errors import SettingsError
from insitrack.io.live.page.newest import PictureChoice
from insitrack.io.live.page.request import ViewerRequest
from insitrack.io.live.page.server import ViewServer
from insitrack.io.write import plain_facts
from insitrack.tracker.many.batch import Batch
from insitrack.tracker.many.status import MovieStatus


class BatchView:
    """Shows a batch to browsers, by the server of live runs.

    Parameters
    ----------
    batch : Batch
        What is shown.
    name : str
        What it is called.
    host, port : str, int
        Where it listens; port 0 takes a free one. Any host but this computer needs the token of the address.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """

    tick_s = 0.5

    def __init__(self, batch: Batch, name: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._batch, self._name, self.over = batch, name, False
        self._server = ViewServer(self, host=host, port=port, token=None, page="batch.html")
        self.address = self._server.address

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over = True
        time.sleep(self.tick_s)  # for the last message
        self._server.stop()

    def message(self) -> str:
        """State of the batch as JSON."""
        facts = {
            "name": self._name,
            "over": self.over,
            **self._batch.overview(),
            "movies": [_shown(one) for one in self._batch.movies],
        }
        return json.dumps(plain_facts(facts), allow_nan=False)

    def curves(self, span: str, each: bool) -> bytes:
        """No curves: each run has its own report."""
        return b""

    def picture(self, choice: PictureChoice) -> bytes:
        """No picture."""
        return b""

    def notes(self) -> bytes:
        """No marks."""
        return b"{}"

    def report(self) -> bytes:
        """No report: each run has its own."""
        return b""

    def ask(self, request: ViewerRequest) -> str:
        """Refuse: a batch is stopped where it was started.

        Raises
        ------
        SettingsError
            Always.
        """
        raise SettingsError("a batch is stopped by Ctrl-C where it was started")


def _shown(one: MovieStatus) -> dict[str, Any]:
    return {
        "movie": one.movie.name,
        "status": one.status,
        "frames": one.frames,
        "n_frames": one.n_frames,
        "drawn": one.drawn,
        "frames_per_s": one.frames_per_s,
        "left_s": one.left_s,
        "starts": one.starts,
        "worker": one.worker,
        "why": one.why,
    }
