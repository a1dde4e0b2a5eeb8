"""Work on items in threads, its results in the items' order: decoding, scoring, drawing, writing."""

from __future__ import annotations

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")

PATIENCE = 5.0
"""Seconds to wait for work that is under way when its threads are to end."""
DRAWING = 2.0
"""The same for an item that is waited for: a thread that stands in a read of stdin is left to itself."""


class EndOfItems(Exception):  # noqa: N818
    """Marks the end of a stage's input in its queue."""


@dataclass(frozen=True)
class Ahead(Generic[B]):
    """How many results may wait for their consumer or be under way: `least` in any case, and up to `most` while those
    that wait weigh less than `heaviest` together."""

    least: int
    most: int = 0
    heaviest: int = 0
    weigh: Callable[[B], int] = lambda result: 0

    def full(self, count: int, weight: int) -> bool:
        """Whether no further item may be begun."""
        return count >= self.least and (count >= self.most or weight >= self.heaviest)

    def half(self, count: int, weight: int) -> bool:
        """Whether, after that, there is room again. Not sooner: a thread that is woken once for several items disturbs
        once what else runs on its core, and finds its caches warm for all but the first."""
        return count < self.least or (2 * count <= self.most and 2 * weight <= self.heaviest)


def mapped(items: Iterable[A], work: Callable[[A], B], workers: int, ahead: Ahead[B]) -> Generator[B, None, None]:
    """work(item) of each item, in their order, by up to `workers` threads that draw them one at a time.

    A result is yielded as soon as it is there, even while the next item is waited for. An exception of `items` or
    `work` is raised where the consumer stands. Closing the generator closes `items`.
    """
    line = _Line(items, work, workers, ahead)
    try:
        while True:
            yield line.take()
    except EndOfItems:
        return
    finally:
        line.close()


class _Line(Generic[A, B]):
    """The threads of one `mapped`, and what waits between them and their consumer."""

    def __init__(self, items: Iterable[A], work: Callable[[A], B], workers: int, ahead: Ahead[B]) -> None:
        self._iterator = iter(items)
        self._work, self._workers, self._ahead = work, workers, ahead
        self._results: queue.SimpleQueue[Future[B]] = queue.SimpleQueue()
        self._drawing = threading.Lock()
        self._changed = threading.Condition()
        self._count = self._weight = self._working = 0
        self._full = self._ended = False
        self._threads: list[threading.Thread] = []
        _lines.add(self)
        self._start()

    def take(self) -> B:
        """The next result, waited for. Raises what its work raised, and EndOfItems after the last one."""
        result = self._results.get().result()
        with self._changed:
            self._count -= 1
            self._weight -= self._ahead.weigh(result)
            if self._full and self._ahead.half(self._count, self._weight):
                self._full = False
                self._changed.notify()
        return result

    def close(self) -> None:
        """End the threads and the items."""
        self.leave(DRAWING)
        if isinstance(self._iterator, Generator) and not self._drawing.locked():
            self._iterator.close()

    def leave(self, patience: float) -> None:
        """End the threads, but for one that has waited for an item so many seconds."""
        self._end()
        with self._changed:
            self._changed.wait_for(lambda: not self._working, PATIENCE)
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="uadx-stage", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self) -> None:
        while (drawn := self._draw()) is not None:
            item, promised = drawn
            try:
                result = self._work(item)
                with self._changed:
                    self._weight += self._ahead.weigh(result)
                    self._full = self._full or self._ahead.full(self._count, self._weight)
                promised.set_result(result)
            except BaseException as error:  # raised again in the consumer
                promised.set_exception(error)
            with self._changed:
                self._working -= 1
                if self._ended:
                    self._changed.notify_all()

    def _draw(self) -> tuple[A, Future[B]] | None:
        """The next item, as soon as there is room for its result, and where that is to go; None at the end."""
        promised: Future[B] = Future()
        with self._drawing:
            with self._changed:  # nobody else waits: whoever comes next waits for the lock
                self._changed.wait_for(lambda: self._ended or not self._full)
            if self._ended:
                return None
            try:
                item = next(self._iterator)
                if len(self._threads) < self._workers:
                    self._start()  # only now: a single item needs no second thread
            except BaseException as error:  # raised again in the consumer
                self._ended = True
                promised.set_exception(EndOfItems() if isinstance(error, StopIteration) else error)
                self._results.put(promised)
                return None
            with self._changed:
                self._count += 1
                self._working += 1
                self._full = self._full or self._ahead.full(self._count, self._weight)
            self._results.put(promised)  # here, so that they keep their order
            return item, promised


_lines: weakref.WeakSet[_Line[Any, Any]] = weakref.WeakSet()


@atexit.register
def _leave_all() -> None:
    """Of generators that nobody closed. A thread that is in OpenCV when Python ends it takes the process down."""
    deadline = time.monotonic() + DRAWING / 2
    for line in list(_lines):
        line.leave(max(0.0, deadline - time.monotonic()))
