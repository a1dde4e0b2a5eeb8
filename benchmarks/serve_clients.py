"""Clients of `uadx serve` that cost next to nothing: HTTP over bare asyncio streams, for benchmarks/serve_load.py."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_ID = re.compile(rb"(?i)\r\nx-request-id: *([^\r]+)")


@dataclass(frozen=True)
class Answer:
    """status: None where the connection ended without one. seconds: since it was meant to be asked. name: its id."""

    status: int | None
    seconds: float
    name: str = ""


class Connection:
    """One to the server, opened when it is used first."""

    def __init__(self, url: str) -> None:
        split = urlsplit(url)
        self._host, self._port = split.hostname, split.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def inspect(self, image: bytes, since: float | None = None) -> Answer:
        """Ask for one image."""
        since = time.perf_counter() if since is None else since
        head = f"POST /v1/inspect HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(image)}"
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._host, self._port)
            reader, writer = self._streams
            writer.write(head.encode() + b"\r\n\r\n" + image)
            came = await reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(came)
            assert found is not None, came
            await reader.readexactly(int(found[1]))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return Answer(None, time.perf_counter() - since)
        if b"\r\nconnection: close" in came.lower():
            self.close()
        name = _ID.search(came)
        return Answer(int(came[9:12]), time.perf_counter() - since, name[1].decode() if name else "")

    def close(self) -> None:
        """End it; the next image opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def closed_loop(url: str, images: Sequence[bytes], clients: int, seconds: float) -> list[Answer]:
    """So many clients, each of which asks again as soon as it has its answer, for so long or until the server ends."""
    end = time.perf_counter() + seconds
    turn = itertools.count()

    async def client() -> list[Answer]:
        connection, answers = Connection(url), []
        while time.perf_counter() < end:
            answers.append(await connection.inspect(images[next(turn) % len(images)]))
            if answers[-1].status is None:
                break
        connection.close()
        return answers

    return [answer for answers in await asyncio.gather(*(client() for _ in range(clients))) for answer in answers]


async def open_loop(url: str, images: Sequence[bytes], rate: float, seconds: float) -> list[Answer]:
    """So many requests a second, whether there are answers or not. Their time runs from when each was due."""
    resting: list[Connection] = []

    async def ask(number: int, due: float) -> Answer:
        connection = resting.pop() if resting else Connection(url)
        answer = await connection.inspect(images[number % len(images)], due)
        resting.append(connection)
        return answer

    began = time.perf_counter()
    asked = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(ask(number, due)))
    answers = await asyncio.gather(*asked)
    for connection in resting:
        connection.close()
    return list(answers)
