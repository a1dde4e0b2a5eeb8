"""One HTTP connection: uvicorn's, with bounds on how many there are and on how slowly one may send or take. What is
refused here, before there is a request, has an answer in the form of all others, and a line in the log.

uvicorn has none for a client that opens a connection and says nothing, that sends a byte of its head a minute, or
that does not take its answer.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from http import HTTPStatus

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from uadx.serve.refusals import Refusal, busy

TAKING = 30.0
"""Seconds in which a client that is slow to take its answer must have taken LEAST of it."""
LEAST = 32 << 10
_log = logging.getLogger("uadx.serve")


class Connection(H11Protocol):
    """within: seconds in which a request must have come, from its first byte, or from the beginning of a connection.
    most: connections at a time; those of one address are half as many at the most. of_address: how many each has."""

    within: float
    most: int
    of_address: Counter[str]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._arriving: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.of_address[self._address] += 1
        if len(self.connections) > self.most:
            self._refuse(busy(f"there are {self.most} connections, and no more may be"))
            return
        of_one = max(1, self.most // 2)
        if self._address and self.of_address[self._address] > of_one:
            self._refuse(busy(f"{of_one} connections come from {self._address}, and no more may"))
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

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refusal(400, "not_http", msg))

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection, with an answer unless it is in the middle of one."""
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()
            return
        name = str(uuid.uuid4())
        _log.info(
            "refused",
            extra={"request_id": name, "client": self._address, "status": refusal.status, "reason": refusal.message},
        )
        body = msgspec.json.encode(refusal.body("", name))
        headers = {
            **refusal.headers, "Content-Type": "application/json", "Content-Length": len(body), "X-Request-ID": name,
            "Connection": "close",
        }  # fmt: skip
        lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
        lines += [f"{field}: {value}" for field, value in headers.items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.of_address[self._address] -= 1
        if not self.of_address[self._address]:
            del self.of_address[self._address]
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
    return type("Connection", (Connection,), {"within": within, "most": most, "of_address": Counter()})
