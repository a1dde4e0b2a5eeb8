"""What the runners share: a line of JSON with the first result, then one for each turn that is asked for on stdin.

It runs in the environment of whoever is measured, so it imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, TextIO


@dataclass(frozen=True)
class Turn:
    """Images that went through in so many seconds; core_seconds: of all threads of this process together."""

    images: int
    seconds: float
    core_seconds: float


class OverFiles:
    """Turns over the same files again and again, as many as the turn before lets expect in the time.

    inspect: takes paths and yields one item an image, its map in memory.
    """

    def __init__(self, files: Sequence[str], inspect: Callable[[list[str]], Iterable[object]]) -> None:
        self._files = files
        self._inspect = inspect
        self._rate = 0.0

    def __call__(self, seconds: float) -> Turn:
        many = max(len(self._files), round(self._rate * seconds))
        chosen = [self._files[index % len(self._files)] for index in range(many)]
        began, cores = time.perf_counter(), time.process_time()
        done = sum(1 for _ in self._inspect(chosen))
        turn = Turn(done, time.perf_counter() - began, time.process_time() - cores)
        if done != many:
            raise RuntimeError(f"{many} files gave {done} results")
        self._rate = done / turn.seconds
        return turn


def own_stdout() -> TextIO:
    """The standard output, taken away from the libraries: what they print goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def serve(answers: TextIO, first: Mapping[str, Any], packages: Sequence[str], turn: Callable[[float], Turn]) -> None:
    """Answer first and the versions of packages, then each line of standard input, seconds, with a turn and memory.

    first: setting (what runs: batch, threads, precision), score, map and picture (their shapes) of the first result.
    """
    _say(answers, {**first, "versions": {name: version(name) for name in packages}})
    for line in sys.stdin:
        _say(answers, asdict(turn(float(line))))


def _say(answers: TextIO, what: Mapping[str, Any]) -> None:
    print(json.dumps({**what, "memory": _most_memory()}), file=answers, flush=True)


def _most_memory() -> int:
    """The most bytes that this process held."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
