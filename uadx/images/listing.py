"""List files, and the same on standard input: one path, directory, glob or URL on each line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from uadx.images.naming import is_address


@dataclass(frozen=True)
class Line:
    """One entry. written: the line itself; path: the same from the working directory, or the URL."""

    written: str
    path: str


def read_lines(stream: Iterable[bytes], folder: Path) -> Iterator[Line]:
    """The entries of a list, relative ones below folder; blank lines and those with # first are left out."""
    for number, line in enumerate(stream):
        text = os.fsdecode(line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line).strip()
        if text and not text.startswith("#"):
            yield Line(text, text if is_address(text) else str(folder / text))


def read_list(path: Path) -> Iterator[Line]:
    """The entries of a list file, relative to its own directory; the file is read as they are asked for."""
    with path.open("rb") as file:
        yield from read_lines(file, path.parent)
