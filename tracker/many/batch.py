"""A batch: every movie to a worker, one at a time each, whatever becomes of the workers."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from insitrack.io.write import plain_facts
from insitrack.tracker.many.crew import Crew
from insitrack.tracker.many.status import STATUS, MovieStatus, now, overview, write_status
from insitrack.tracker.many.worker import PROGRESS, run_movie, stop_batch

_TICK_S, _LOOK_EVERY_S, _WRITE_EVERY_S = 0.05, 0.5, 1.0
_MOST_DEATHS = 5
_STOP_S = 30.0
_SILENT_S = 30.0
FAILURES = "failures.txt"
"""Tracebacks of what is a fault of the tool, not of a movie."""


class Batch:
    """Gives movies to workers and keeps account of them.

    Each movie is bound to one worker. A worker that is gone leaves its movie to the next one that is free,
    which goes on from the state on disk; a movie over which five workers in a row died without getting further
    has failed.

    Parameters
    ----------
    client : distributed.Client
        The workers.
    movies : list of MovieStatus
        All movies; those that are done stay so.
    out : Path
        Folder of the batch.
    stop : threading.Event
        Set it to cut off what runs and to end.
    tell : callable, optional
        Gets one line where something happens.
    """

    def __init__(
        self,
        client: Any,
        movies: list[MovieStatus],
        out: Path,
        stop: threading.Event,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._client, self.movies, self._out, self._stop, self._tell = client, movies, out, stop, tell
        self._id = uuid.uuid4().hex
        self._waiting = deque(one for one in movies if one.status == "waiting")
        self._running: dict[str, tuple[MovieStatus, Any]] = {}
        """Movie and future of each worker that has one, by its address."""
        self._by_name = {one.movie.name: one for one in movies}
        self._crew = Crew(client, out / STATUS.file, tell)
        self._looked_s = self._wrote_s = -_WRITE_EVERY_S
        self._began_s, self._before = time.monotonic(), sum(one.frames for one in movies)
        self._idle_s = time.monotonic()

    def run(self) -> None:
        """Work until every movie is done or has failed, or the batch is stopped.

        Raises
        ------
        OutputError
            If `status.csv` cannot be written; nothing is lost, and the same batch goes on.
        """
        self._write(always=True)  # workers must see it
        self._client.subscribe_topic(PROGRESS, self._hear)
        try:
            while (self._waiting or self._running) and not self._stop.is_set():
                self._step()
                time.sleep(_TICK_S)
            if self._stop.is_set():
                self._cut_off()
        finally:
            self._client.unsubscribe_topic(PROGRESS)
            self._write(always=True)

    def overview(self) -> dict[str, Any]:
        """Return counts, rate and time left."""
        return overview(self.movies, self._began_s, self._before)

    def _step(self) -> None:
        """Take what is ready, look after the workers, give out what waits."""
        for address, (one, future) in list(self._running.items()):
            if future.done():
                del self._running[address]
                self._ended(one, future)
        if time.monotonic() - self._looked_s >= _LOOK_EVERY_S:
            self._look()
        for address in self._free():
            if not self._waiting:
                break
            self._give(address, self._waiting.popleft())
        self._write()

    def _free(self) -> list[str]:
        return [address for address in self._crew.usable if address not in self._running]

    def _look(self) -> None:
        """See which workers there are, and take back what those had that are gone."""
        self._looked_s = time.monotonic()
        self._crew.look()
        for address in [address for address in self._running if address not in self._crew.threads]:
            one, future = self._running.pop(address)
            if future.done() and future.status == "finished":
                self._ended(one, future)
            else:
                future.cancel(force=True)
                self._bereaved(one)
        if self._crew.threads or not self._waiting:
            self._idle_s = time.monotonic()
        elif time.monotonic() - self._idle_s > _SILENT_S:
            self._idle_s = time.monotonic()
            self._tell(
                "no worker is there; movies wait for one (a job in a queue, or a scheduler without workers)"
            )

    def _give(self, address: str, one: MovieStatus) -> None:
        movie = one.movie
        one.status, one.worker, one.started = "running", address, one.started or now()
        one.starts += 1
        order = {
            "batch": self._id,
            "name": movie.name,
            "uri": movie.uri,
            "folder": str(movie.folder.resolve()),
            "settings": plain_facts(movie.settings.plain()),
            "command": ["track", movie.uri, "--out", str(movie.folder), f"({movie.where})"],
            "fresh": one.fresh,
            "threads": self._crew.threads[address],
        }
        key = f"{movie.name}-{one.starts}-{self._id}"
        future = self._client.submit(run_movie, order, key=key, workers=[address], pure=False)
        self._running[address] = one, future

    def _ended(self, one: MovieStatus, future: Any) -> None:
        if future.status != "finished":
            self._bereaved(one)
            return
        result = future.result()
        one.status, one.why, one.finished, one.fresh = result["status"], result["why"], now(), False
        if "frames" in result:
            one.frames = one.n_frames = result["frames"]
            one.frames_per_s = result["frames_per_s"]
        if "traceback" in result:
            with (self._out / FAILURES).open("a", encoding="utf-8") as stream:
                stream.write(f"{one.finished} {one.movie.name}\n{result['traceback']}\n")
        if one.status == "failed":
            self._tell(f"{one.movie.name}: failed: {one.why}")

    def _bereaved(self, one: MovieStatus) -> None:
        """Put a movie whose worker died back, first in the line, unless it is the movie that kills workers."""
        one.deaths = one.deaths + 1 if one.frames <= one.died_at else 1
        one.died_at = one.frames
        if one.deaths >= _MOST_DEATHS:
            one.status, one.finished = "failed", now()
            one.why = (
                f"{one.deaths} workers died over it at about frame {one.frames}; the system ended them, most"
                " often for want of memory: fewer workers, or more memory for each"
            )
            self._tell(f"{one.movie.name}: failed: {one.why}")
            return
        one.status = "waiting"
        self._tell(f"{one.movie.name}: its worker is gone at about frame {one.frames}; another one goes on")
        self._waiting.appendleft(one)

    def _cut_off(self) -> None:
        """Let the workers end what they have, each at its next frame, with its state on disk."""
        try:
            self._client.run(stop_batch, self._id, workers=list(self._running), on_error="ignore")
        except Exception as error:  # the scheduler may be gone: then they are, too
            self._tell(f"the workers were not reached ({error})")
        end_s = time.monotonic() + _STOP_S
        while self._running and time.monotonic() < end_s:
            for address, (one, future) in list(self._running.items()):
                if future.done():
                    del self._running[address]
                    self._ended(one, future)
            time.sleep(_TICK_S)
        for one, _ in self._running.values():
            one.status, one.why = "stopped", "cut off; the same command goes on"
        for one in self._waiting:
            one.status, one.why = "stopped", "not begun; the same command does it"

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take what a worker tells."""
        facts = event[1]
        one = self._by_name.get(facts.get("name", ""))
        if facts.get("batch") != self._id or one is None or one.status != "running":
            return
        one.frames, one.n_frames = facts["frames"], facts["n_frames"]
        one.frames_per_s, one.drawn, one.fresh = facts["frames_per_s"], facts["drawn"], False

    def _write(self, *, always: bool = False) -> None:
        if always or time.monotonic() - self._wrote_s >= _WRITE_EVERY_S:
            self._wrote_s = time.monotonic()
            write_status(self._out / STATUS.file, self.movies)
