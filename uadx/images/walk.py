"""The files below a directory, each once and in an order to rely on, whatever links lie in the way."""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath


def walk(
    root: Path,
    accept: Callable[[PurePosixPath], bool],
    *,
    depth: float = math.inf,
    leave_out: Callable[[Path], bool] = lambda folder: False,
) -> Iterator[tuple[PurePosixPath, OSError | None]]:
    """The files below root that accept takes, and with its error each directory that cannot be listed.

    accept: whether a file, named by its path from root, is wanted. leave_out: whether a directory below root, asked
    when its turn comes, is not to be entered.

    A directory's files come first, then its sub-directories, both in natural order ("2" before "10"). Names
    that begin with a dot are left out. Every directory is entered once, under its own name rather than a
    link's: links to directories wait until the real ones are done, so loops end and nothing comes twice.
    depth 1 stays in root. Only one directory's entries are in memory at a time.
    """
    real: list[tuple[PurePosixPath, int]] = [(PurePosixPath(), 1)]
    links: deque[tuple[PurePosixPath, int]] = deque()
    entered: set[tuple[int, int]] = set()
    while real or links:
        place, level = real.pop() if real else links.popleft()
        folder = root / place
        if place.parts and leave_out(folder):
            continue
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                ordered = sorted(
                    (e for e in entries if not e.name.startswith(".")), key=lambda e: natural_order(e.name)
                )
        except OSError as error:
            yield place, error
            continue
        folders: list[tuple[PurePosixPath, int]] = []
        for entry in ordered:
            inside = place / entry.name
            if _is_folder(entry):
                if level < depth:
                    (links if entry.is_symlink() else folders).append((inside, level + 1))
            elif accept(inside):
                yield inside, None
        real.extend(reversed(folders))


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the components of a path match those of a glob pattern; "**" stands for any number of them."""
    if not pattern:
        return not parts
    head, rest = pattern[0], pattern[1:]
    if head == "**":
        return any(matches(parts[start:], rest or ["*"]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatch(parts[0], head) and matches(parts[1:], rest)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """A key for sorting: "2" before "10"."""
    # re.split puts text at even and digits at odd places, so that only like is compared with like
    pieces = re.split(r"(\d+)", name.casefold())
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)], name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: decoding it says so
        return False
