"""The memory of all requests under way together, bounded: their bodies, and the pixels of their images from before they
are decoded until their answers are drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from uadx.errors import InputError
from uadx.images.header import read_header
from uadx.images.source import Source
from uadx.serve.refusals import Refusal, busy
from uadx.serve.settings import Settings

BODIES = 8
"""Bodies of the largest size, or more smaller ones, that are held at once."""
IMAGES = 4
"""Images of the most pixels, or more smaller ones, that are under way at once."""


_AT_ONCE = 1 << 20
"""Bytes that are read through in a millisecond or two."""


class Room:
    """One server's; used by its event loop alone. bodies: requests that are under way and have a body."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bodies = self.bytes = self.pixels = 0

    def check(self) -> None:
        """Raise Refusal where a further body would be one too many."""
        if self.bodies >= 2 * self._settings.queue:
            raise busy(f"{self.bodies} requests are under way")

    def enter(self) -> Held:
        """A further body. Call leave() on what it holds."""
        self.bodies += 1
        return Held(self, BODIES * self._settings.max_body)


class Held:
    """What one request holds."""

    def __init__(self, room: Room, most_bytes: int) -> None:
        self._room, self._most_bytes = room, most_bytes
        self._bytes = self._pixels = 0
        self._keepers = 1

    def take_bytes(self, count: int) -> None:
        """So many more of its body are there. Raises Refusal where that is too much."""
        self._bytes += count
        self._room.bytes += count
        if self._room.bytes > self._most_bytes:
            raise busy("the requests that are under way are too large together")

    def take_pixels(self, count: int, largest: int) -> None:
        """So many pixels are going to be decoded, of images of at most `largest` each. Raises Refusal where that is too
        much, for now or for ever."""
        most = IMAGES * largest
        if count > most:
            raise Refusal(413, "too_large", f"{count:,} pixels in the images of a request, more than {most:,}")
        if self._room.pixels + count > most:
            raise busy(f"the images that are under way have {self._room.pixels:,} pixels, and may have {most:,}")
        self._pixels += count
        self._room.pixels += count

    def keep(self) -> None:
        """One more thing holds it: call leave() for each. A client that leaves takes no image out of a decoder."""
        self._keepers += 1

    def leave(self) -> None:
        """The request is answered, or one of its images done with."""
        self._keepers -= 1
        if self._keepers:
            return
        self._room.bodies -= 1
        self._room.bytes -= self._bytes
        self._room.pixels -= self._pixels


async def pixels_of(sources: Sequence[Source], largest: int) -> int:
    """How many pixels decoding them gives; those of more than `largest` are refused undecoded, as broken ones are.
    Large files, which are read through for that, do not hold the event loop up."""
    files = [source.data for source in sources if isinstance(source.data, bytes)]
    if sum(map(len, files)) > _AT_ONCE:
        return await asyncio.to_thread(_pixels, files, largest)
    return _pixels(files, largest)


def _pixels(files: Sequence[bytes], largest: int) -> int:
    total = 0
    for data in filter(None, files):
        with suppress(InputError):
            header = read_header(data)
            pixels = header.width * header.height
            total += pixels if pixels <= largest else 0
    return total
