"""How many connections the page accepts, and for how long: a cap below HTTP, so that the run keeps its files."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any

MOST_CONNECTIONS, MOST_OF_ONE_ADDRESS, BACKLOG = 128, 64, 32
LEAST_CONNECTIONS = 8
HEADERS_S, BODY_S, IDLE_S = 5.0, 5.0, 5.0
"""How long a connection may take for its headers and for its body, and wait between two requests, s."""
_FILES_OF_RUN = 256  # that the page never takes
_LOCAL = ("127.0.0.1", "::1")


def most_connections() -> int:
    """Count the connections that the page may hold; most of the files that may be open are left to the run.

    Examples
    --------
    >>> LEAST_CONNECTIONS <= most_connections() <= MOST_CONNECTIONS
    True
    """
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(LEAST_CONNECTIONS, (soft - _FILES_OF_RUN) // 4))


@dataclass(slots=True)
class Connections:
    """The connections of a page, the oldest first.

    Who comes when it is full takes the place of the one that has been idle longest, so that silent ones never
    lock anybody out; where all are busy, the new one is refused. An address other than this computer may hold
    half of the places.

    Parameters
    ----------
    most, most_of_one : int
        Places in all, and for one address.
    """

    most: int = field(default_factory=most_connections)
    most_of_one: int = MOST_OF_ONE_ADDRESS
    held: dict[Any, str] = field(default_factory=dict)

    def admit(self, connection: Any, address: str) -> bool:
        """Take a connection in, and end another one for it where there is no place left."""
        same = [one for one, other in self.held.items() if other == address]
        full_here = address not in _LOCAL and len(same) >= min(self.most_of_one, self.most // 2)
        if full_here or len(self.held) >= self.most:
            idle = next((one for one in (same if full_here else self.held) if one.idle), None)
            if idle is None:
                return False
            self.leave(idle)
            idle.end()
        self.held[connection] = address
        return True

    def leave(self, connection: Any) -> None:
        """Forget a connection."""
        self.held.pop(connection, None)


def limited_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Make the protocol of uvicorn that keeps to these limits.

    Parameters
    ----------
    connections : Connections
        Those of the page.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class LimitedProtocol(H11Protocol):  # type: ignore[misc]
        """HTTP/1.1 with a time for its headers; a connection without a request gives way to a new one."""

        _deadline: asyncio.TimerHandle | None = None

        @property
        def idle(self) -> bool:
            """Whether no request is being answered."""
            return self.cycle is None or self.cycle.response_complete

        def end(self) -> None:
            """Close at once."""
            self.transport.abort()

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if connections.admit(self, self.client[0] if self.client else ""):
                self._set_deadline()
            else:
                self.end()

        def connection_lost(self, exc: Exception | None) -> None:
            connections.leave(self)
            self._clear_deadline()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self.idle:
                self._clear_deadline()
            elif self._deadline is None:  # headers that come drop by drop on a connection that is kept
                self._set_deadline()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.idle:
                self._set_deadline()

        def _set_deadline(self) -> None:
            self._clear_deadline()
            self._deadline = self.loop.call_later(HEADERS_S, self._too_late)

        def _too_late(self) -> None:
            if self.idle:
                self.end()

        def _clear_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return LimitedProtocol
