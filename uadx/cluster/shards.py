"""A shard: some hundred inputs that one worker inspects, and whose results are written together."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from uadx.errors import UsageError
from uadx.images.source import Source
from uadx.output.stamps import stamp

SIZE = 1000


@dataclass(frozen=True)
class Shard:
    """number: its place in the input. digest: of its inputs' names, sizes and times of change."""

    number: int
    digest: str
    sources: tuple[Source, ...]

    @property
    def name(self) -> str:
        """As its files are called, so that they sort in the order of the input."""
        return f"{self.number:07d}"


def cut(sources: Iterable[Source], size: int) -> Iterator[Shard]:
    """Shards of `size` inputs, the last one smaller. Raises UsageError for an input that cannot be sent to a worker."""
    iterator = iter(sources)
    for number in count():
        some = tuple(map(_movable, islice(iterator, size)))
        if not some:
            return
        digest = hashlib.sha256(b"".join(map(stamp, some)))
        yield Shard(number, digest.hexdigest()[:32], some)


def _movable(source: Source) -> Source:
    """The same for a process with another working directory."""
    if isinstance(source.data, io.BufferedReader):
        raise UsageError("an image on standard input is no work for a cluster", hint="leave --engine out")
    return replace(source, data=source.data.absolute()) if isinstance(source.data, Path) else source
