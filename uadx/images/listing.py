"""List files, and the same on standard input: one path, directory, glob or URL on each line."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uadx.errors import InputError
from uadx.images.header import HEAD, is_image
from uadx.images.naming import is_address, printable

LIST_SUFFIXES = frozenset({".txt", ".list"})
"""By these a file is taken for a list of inputs, unless its content is an image."""

_PIECE = 1 << 16


@dataclass(frozen=True)
class Line:
    """One entry. written: the line itself; path: the same from the working directory, or the URL; where: the list
    and the line's number, for messages."""

    written: str
    path: str
    where: str


def is_list_file(path: Path) -> bool:
    """Whether path is a list. Raises InputError where it cannot be looked into."""
    if path.suffix.lower() not in LIST_SUFFIXES or not os.path.isfile(path):
        return False
    try:
        with path.open("rb") as file:
            return not is_image(file.read(HEAD))
    except OSError as error:
        raise InputError(
            "unreadable", f"the list {printable(path)} cannot be read", cause_text=error.strerror
        ) from None


def read_lines(stream: io.BufferedReader, folder: Path, name: str) -> Iterator[Line]:
    """The entries of a list called name, relative ones below folder; blank lines and those with # first are left out.

    Where NULs separate the entries, as `find -print0` writes them, each is a name to the letter.
    """
    for number, (entry, exact) in enumerate(_entries(stream), 1):
        text = os.fsdecode(entry.removeprefix(b"\xef\xbb\xbf") if number == 1 else entry)
        text = text if exact else text.strip()
        if text and (exact or not text.startswith("#")):
            path = text if is_address(text) else str(folder / text)
            yield Line(text, path, f"{name}, {'entry' if exact else 'line'} {number}")


def read_list(path: Path) -> Iterator[Line]:
    """The entries of a list file, relative to its own directory; the file is read as they are asked for."""
    with path.open("rb") as file:
        yield from read_lines(file, path.parent, printable(path))


def _entries(stream: io.BufferedReader) -> Iterator[tuple[bytes, bool]]:
    """What stands between NULs, where the first separators that come are such, or between newlines; whether NULs."""
    separator, rest = b"", b""
    while piece := stream.read1(_PIECE):
        rest += piece
        if not separator:
            separator = next((mark for mark in (b"\0", b"\n") if mark in rest), b"")
        if separator:
            *whole, rest = rest.split(separator)
            yield from ((entry, separator == b"\0") for entry in whole)
    if rest:
        yield rest, separator == b"\0"
