"""A hot folder: files as a camera program drops them, each once and none before it is whole."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from uadx.errors import InputError, UsageError
from uadx.images.header import read_header
from uadx.images.naming import printable
from uadx.images.source import Source
from uadx.images.sources import IMAGE_SUFFIXES
from uadx.images.walk import walk
from uadx.output.record import holds_pictures_of_a_run

POLL = 0.2
"""Seconds between two looks into the folder."""
SETTLED = 0.5
"""Seconds without a change of size or time after which a file is looked into."""
GIVEN_UP = 10.0
"""Seconds without a change after which a file that is not whole is handed on, to become an error of its own."""

State = tuple[int, int]
"""Size and time of change of a file."""


@dataclass(frozen=True)
class _Awaited:
    """A file that is there, in the state that it has had since it was first seen so. due: when to act. looked: it was
    not whole, and is handed on then all the same."""

    state: State
    due: float
    looked: bool = False


class HotFolder:
    """The files below a folder, for ever, until stop is set. A file that is written anew is another file."""

    def __init__(self, folder: str, recursive: bool, stop: threading.Event) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UsageError(f"--watch: {folder} is not a directory", hint="name the folder that the camera writes to")
        self._depth = math.inf if recursive else 1
        self._stop = stop
        self._done: dict[PurePosixPath, State] = {}
        self._awaited: dict[PurePosixPath, _Awaited] = {}

    def __iter__(self) -> Iterator[Source]:
        """Sources in the order in which they became whole; those of one look in the folder's order."""
        while not self._stop.is_set():
            began = time.monotonic()
            for inside in self._ready(began):
                yield Source(printable(self.folder / inside), inside, self.folder / inside)
                if self._stop.is_set():  # a folder that was full at the start may take hours
                    return
            self._stop.wait(max(0.0, began + POLL - time.monotonic()))

    def _ready(self, now: float) -> Iterator[PurePosixPath]:
        there: set[PurePosixPath] = set()
        seen_all = True
        for inside, failure in walk(self.folder, _is_image, depth=self._depth, leave_out=holds_pictures_of_a_run):
            if failure:
                seen_all = False
                continue
            there.add(inside)
            path = self.folder / inside
            state = _state(path)
            if state is None or self._done.get(inside) == state:
                continue
            awaited = self._awaited.get(inside)
            if awaited is None or awaited.state != state:
                self._awaited[inside] = _Awaited(state, now + SETTLED)
            elif now < awaited.due:
                continue
            elif awaited.looked or _is_whole(path):
                del self._awaited[inside]
                self._done[inside] = state
                yield inside
            else:
                self._awaited[inside] = _Awaited(state, awaited.due - SETTLED + GIVEN_UP, looked=True)
        if seen_all:  # a share that is away for a moment must not make all of its files new
            self._done = {inside: state for inside, state in self._done.items() if inside in there}
            self._awaited = {inside: awaited for inside, awaited in self._awaited.items() if inside in there}


def _is_image(inside: PurePosixPath) -> bool:
    return inside.suffix.lower() in IMAGE_SUFFIXES


def _state(path: Path) -> State | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _is_whole(path: Path) -> bool:
    try:
        read_header(path.read_bytes())
    except (InputError, OSError):
        return False
    return True
