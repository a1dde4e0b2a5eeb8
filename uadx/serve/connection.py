"""One HTTP connection: uvicorn's, with bounds on how many there are and on how slowly one may send or take.

uvicorn has none for a client that opens a connection and says nothing, that sends a byte of its head a minute, or
that does not take its answer.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

TAKING = 30.0
"""Seconds in which a client that is slow to take its answer must have taken LEAST of it."""
LEAST = 32 << 10
_FULL = b"""\
HTTP/1.1 503 Service Unavailable\r
Retry-After: 1\r
Connection: close\r
Content-Length: 0\r
\r
"""


class Connection(H11Protocol):
    """within: seconds in which a request must have come, from its first byte, or from the beginning of a connection.
    most: connections at a time."""

    within: float
    most: int

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._arriving: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.write(_FULL)
            transport.close()
            return
        self._arriving = self.loop.call_later(self.within, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._arriving is None:
            self._arriving = self.loop.call_later(self.within, self.transport.abort)
        super().data_received(data)
        state, (begun, _) = self.conn.their_state, self.conn.trailing_data
        if state is not h11.SEND_BODY and not (state is h11.IDLE and begun):
            self._came()

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _watch(self, before: int) -> None:
        self._leaving = self.loop.call_later(TAKING, self._look, before)

    def _look(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if before - left < LEAST:
            self.transport.abort()
        else:
            self._watch(left)

    def _came(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _taken(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None


def bounded(within: float, most: int) -> type[Connection]:
    """The connections of one server."""
    return type("Connection", (Connection,), {"within": within, "most": most})
