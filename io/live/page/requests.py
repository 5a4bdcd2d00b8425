"""What viewers ask for waits for the next frame, and its answer goes back to who asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from insitrack.io.errors import SettingsError
from insitrack.io.live.page.request import AT_ONCE, OF_MARKS, ViewerRequest

MOST_WAITING, ANSWER_S = 16, 1.0


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a request, in words."""

    words: str


@dataclass(slots=True)
class _Waiting:
    """A request that is carried out with the next frame, and who waits for the answer."""

    request: ViewerRequest
    answered: threading.Event = field(default_factory=threading.Event)
    words: str = ""
    refused: str = ""


class Requests:
    """Carries requests from the threads of viewers to that of the analysis.

    Parameters
    ----------
    answer : callable
        Does what was asked for; returns what was done, or raises `SettingsError`.
    """

    def __init__(self, answer: Callable[[ViewerRequest], Done]) -> None:
        self._answer, self._lock = answer, threading.Lock()
        self._waiting: list[_Waiting] = []

    def ask(self, request: ViewerRequest) -> str:
        """Take what a viewer asks for, and say what became of it.

        Raises
        ------
        SettingsError
            If it cannot be, or too much waits for a frame already.
        """
        if request.action in (*AT_ONCE, *OF_MARKS):  # no frame may come to carry it
            return self._answer(request).words
        waiting = _Waiting(request)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise SettingsError(
                    f"{MOST_WAITING} requests wait for the next frame already; try again later"
                )
            self._waiting.append(waiting)
        if not waiting.answered.wait(ANSWER_S):
            return "taken; it holds from the next frame on"
        if waiting.refused:
            raise SettingsError(waiting.refused)
        return waiting.words

    def carry_out(self) -> None:
        """Do what waits, in the thread of the analysis; what cannot be is told to who asked for it alone."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for one in waiting:
            try:
                one.words = self._answer(one.request).words
            except SettingsError as error:
                one.refused = str(error)
            except Exception as error:
                one.refused = f"{type(error).__name__}: the run goes on without it"
                raise
            finally:
                one.answered.set()
