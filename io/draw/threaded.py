"""A sink whose slow part runs in a thread of its own."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from insitrack.io.results import TrackSummary

Item = TypeVar("Item")


class ThreadedSink(ABC, Generic[Item]):
    """Hands items to a thread, and its error back to whoever writes next or closes it.

    Parameters
    ----------
    name : str
        Of the thread.
    n_waiting : int
        Items that wait at most.
    """

    def __init__(self, name: str, n_waiting: int) -> None:
        self._waiting: queue.Queue[Item | None] = queue.Queue(n_waiting)
        self._error: BaseException | None = None
        self._ended = False
        self._worker = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def finish(self, summaries: tuple[TrackSummary, ...]) -> None:
        """Nothing is done for finished tracks."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._worker.join()
        if self._error is not None and kind is None:
            raise self._error

    @abstractmethod
    def _process(self, items: Iterator[Item]) -> None:
        """Do the work on all items, in the thread."""

    def _raise_error(self) -> None:
        """Raise the error of the thread, if it had one."""
        if self._error is not None:
            raise self._error

    def _handed(self) -> Iterator[Item]:
        yield from iter(self._waiting.get, None)
        self._ended = True

    def _work(self) -> None:
        """Work until the end; after an error only empty the queue, so that nobody waits for ever."""
        try:
            self._process(self._handed())
        except BaseException as error:
            self._error = error
        while not self._ended:
            self._ended = self._waiting.get() is None
