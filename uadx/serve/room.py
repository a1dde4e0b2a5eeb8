"""The memory of all requests under way together, bounded: their bodies, and the pixels of their images from before they
are decoded until their answers are drawn."""

from __future__ import annotations

from collections.abc import Sequence

from uadx.errors import InputError
from uadx.images.header import read_header
from uadx.images.sources import Source
from uadx.serve.refusals import Refusal, busy
from uadx.serve.settings import Settings

BODIES = 8
"""Bodies of the largest size, or more smaller ones, that are held at once."""
IMAGES = 4
"""Images of the most pixels, or more smaller ones, that are under way at once."""


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

    def take_bytes(self, count: int) -> None:
        """So many more of its body are there. Raises Refusal where that is too much."""
        self._bytes += count
        self._room.bytes += count
        if self._room.bytes > self._most_bytes:
            raise busy("the requests that are under way are too large together")

    def take_pixels(self, sources: Sequence[Source], largest: int) -> None:
        """Its images are going to be decoded, but those of more pixels than `largest`. Raises Refusal where that is too
        much, for now or for ever."""
        count, most = sum(_pixels(source, largest) for source in sources), IMAGES * largest
        if count > most:
            raise Refusal(413, "too_large", f"{count:,} pixels in the images of a request, more than {most:,}")
        if self._room.pixels + count > most:
            raise busy(f"the images that are under way have {self._room.pixels:,} pixels, and may have {most:,}")
        self._pixels += count
        self._room.pixels += count

    def leave(self) -> None:
        """The request is answered."""
        self._room.bodies -= 1
        self._room.bytes -= self._bytes
        self._room.pixels -= self._pixels


def _pixels(source: Source, largest: int) -> int:
    """What decoding it takes; nothing where it is refused undecoded."""
    if not isinstance(source.data, bytes) or not source.data:
        return 0
    try:
        header = read_header(source.data)
    except InputError:
        return 0
    count = header.width * header.height
    return count if count <= largest else 0
