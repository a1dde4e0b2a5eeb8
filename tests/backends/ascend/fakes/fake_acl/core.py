"""What all parts of the stand-in share: handles, each thread's context and last words, and the knobs."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NoReturn


class MisuseError(AssertionError):
    """A call that the real SDK would have answered with garbage, a crash or a leak."""


@dataclass
class Knobs:
    """devices: how many cards. memory: bytes of each. on_host: False for a board that runs the program itself.

    init_code, set_device_code, execute_code: what these calls return instead of working. lost: no card answers.
    """

    devices: int = 2
    soc: str = "Ascend310P3"
    memory: int = 2**30
    has_hbm: bool = False
    on_host: bool = True
    initialised_by_another: bool = False
    init_code: int = 0
    count_code: int = 0
    set_device_code: int = 0
    execute_code: int = 0
    lost: bool = False


class Core:
    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.initialised = self.owned = False
        self.things: dict[str, dict[int, Any]] = defaultdict(dict)
        self.misuses: list[str] = []
        self.lock = threading.RLock()
        self._handles = itertools.count(0x1000, 8)
        self._thread = threading.local()

    def fail(self, code: int, words: str) -> int:
        """A code to return, with words for get_recent_err_msg in this thread."""
        self._thread.words = words
        return code

    def take_words(self) -> str | None:
        words = getattr(self._thread, "words", None)
        self._thread.words = None
        return words

    def misuse(self, text: str) -> NoReturn:
        self.misuses.append(text)
        raise MisuseError(text)

    def require_initialised(self, call: str) -> None:
        if not self.initialised:
            self.misuse(f"{call} before acl.init (the SDK says 100001)")

    def require_ints(self, call: str, *values: object) -> None:
        if not all(type(value) is int and value >= 0 for value in values):
            self.misuse(f"{call} takes integers, it was given {values!r}")

    def make(self, kind: str, thing: Any) -> int:
        with self.lock:
            handle = next(self._handles)
            self.things[kind][handle] = thing
            return handle

    def get(self, kind: str, handle: int) -> Any:
        if handle not in self.things[kind]:
            self.misuse(f"{handle!r} is no {kind}, or one that was released")
        return self.things[kind][handle]

    def drop(self, kind: str, handle: int) -> Any:
        with self.lock:
            self.get(kind, handle)
            return self.things[kind].pop(handle)

    @property
    def context(self) -> int | None:
        """Of the calling thread."""
        return getattr(self._thread, "context", None)

    @context.setter
    def context(self, context: int | None) -> None:
        self._thread.context = context
