"""Bounded, ordered, threaded stages: what lets decode, inference, scoring and writing run side by side."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from itertools import islice
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


_PATIENCE = 5.0  # seconds to wait for a stage that is being closed; a blocked read of stdin is left to the daemon


class _EndOfItems(Exception):  # noqa: N818
    """Marks the end of a stage's input in its queue."""


def staged(items: Iterable[A], start: Callable[[A], Future[B]], depth: int) -> Generator[B, None, None]:
    """Start work on up to `depth` items ahead of the consumer and yield the results in the items' order.

    A thread of its own draws the items and calls `start`, so that a result is yielded as soon as it is there, even
    while the next item is waited for. An exception of `items` or `start` is raised where the consumer stands.
    Closing the generator cancels what has not begun and closes `items`.
    """
    pending: queue.Queue[Future[B]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def feed() -> None:
        try:
            iterator = iter(items)
            try:
                for item in iterator:
                    if stop.is_set():
                        break
                    pending.put(start(item))
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
            last: BaseException = _EndOfItems()
        except BaseException as error:  # raised again in the consumer
            last = error
        failed: Future[B] = Future()
        failed.set_exception(last)
        if not stop.is_set():
            pending.put(failed)

    feeder = threading.Thread(target=feed, name="uadx-stage", daemon=True)
    feeder.start()
    try:
        while True:
            yield pending.get().result()
    except _EndOfItems:
        return
    finally:
        stop.set()
        deadline = time.monotonic() + _PATIENCE
        while feeder.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):  # the feeder may stand before a full queue
                while True:
                    pending.get_nowait().cancel()
            feeder.join(timeout=0.05)


def mapped(
    items: Iterable[A],
    work: Callable[[A], B],
    workers: int,
    ahead: int,
    *,
    weigh: Callable[[B], int] = lambda result: 0,
    heaviest: int = 1,
) -> Generator[B, None, None]:
    """work(item) of each, in the items' order, done by up to `workers` threads of its own.

    They stop where `ahead` results wait for the consumer or are under way, or where those that wait weigh `heaviest`
    together, and go on when half of that is left: a thread that is woken once for several items disturbs what else
    runs on its core once, too. An exception of `items` or `work` is raised where the consumer stands. Closing the
    generator closes `items`.
    """
    line = _Line(items, work, workers, ahead, weigh, heaviest)
    try:
        while True:
            yield line.take()
    except _EndOfItems:
        return
    finally:
        line.close()


class _Line(Generic[A, B]):
    """The threads of one `mapped`, and what waits between them and their consumer."""

    def __init__(
        self,
        items: Iterable[A],
        work: Callable[[A], B],
        workers: int,
        ahead: int,
        weigh: Callable[[B], int],
        heaviest: int,
    ) -> None:
        self._iterator = iter(items)
        self._work, self._workers, self._ahead, self._weigh, self._heaviest = work, workers, ahead, weigh, heaviest
        self._results: queue.SimpleQueue[Future[B]] = queue.SimpleQueue()
        self._drawing = threading.Lock()
        self._changed = threading.Condition()
        self._count = self._weight = 0
        self._full = self._ended = False
        self._threads: list[threading.Thread] = []
        self._start()

    def take(self) -> B:
        """The next result, waited for. Raises what its work raised, and _EndOfItems after the last one."""
        result = self._results.get().result()
        with self._changed:
            self._count -= 1
            self._weight -= self._weigh(result)
            if self._full and 2 * self._count <= self._ahead and 2 * self._weight <= self._heaviest:
                self._full = False
                self._changed.notify_all()
        return result

    def close(self) -> None:
        """End the threads and the items; a thread that stands in a read of stdin is left to itself."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        deadline = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if isinstance(self._iterator, Generator) and not self._drawing.locked():
            self._iterator.close()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="uadx-stage", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while (drawn := self._draw()) is not None:
            item, promised = drawn
            try:
                result = self._work(item)
            except BaseException as error:  # raised again in the consumer
                promised.set_exception(error)
                continue
            with self._changed:
                self._weight += self._weigh(result)
                self._full = self._full or self._weight >= self._heaviest
            promised.set_result(result)

    def _draw(self) -> tuple[A, Future[B]] | None:
        """The next item, as soon as there is room for its result, and where that is to go; None at the end."""
        promised: Future[B] = Future()
        with self._drawing:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or not self._full)
            if self._ended:
                return None
            try:
                item = next(self._iterator)
            except BaseException as error:  # raised again in the consumer
                self._ended = True
                promised.set_exception(_EndOfItems() if isinstance(error, StopIteration) else error)
                self._results.put(promised)
                return None
            with self._changed:
                self._count += 1
                self._full = self._full or self._count >= self._ahead
            self._results.put(promised)  # here, so that they keep their order
            if len(self._threads) < self._workers:
                self._start()  # only now: a single item needs no second thread
            return item, promised


def grouped(items: Generator[A, None, None], size: int) -> Generator[list[A], None, None]:
    """Consecutive groups of `size` items, the last one shorter. Closing it closes `items`."""
    with contextlib.closing(items):
        while group := list(islice(items, size)):
            yield group


def gathered(
    arriving: queue.SimpleQueue[Iterable[A] | None], size: int, patience: float
) -> Generator[list[A], None, None]:
    """Groups of up to `size` items of what arrives in a queue, until it brings None.

    A group waits for others at most `patience` seconds from when its first item is taken up. While the consumer is
    busy more arrives, so that groups grow with the load and a lone item hardly waits.
    """
    waiting: deque[A] = deque()
    ended = False
    while not ended or waiting:
        if not waiting:
            some = arriving.get()
            if some is None:
                return
            waiting.extend(some)
        deadline = time.monotonic() + patience
        while len(waiting) < size and not ended:
            try:
                some = arriving.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if some is None:
                ended = True
            else:
                waiting.extend(some)
        yield [waiting.popleft() for _ in range(min(size, len(waiting)))]
