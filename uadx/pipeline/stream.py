"""A bounded, ordered stage for work that a device or a pool does, and groups. For threads: uadx.pipeline.mapped."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

from uadx.pipeline.mapped import DRAWING, EndOfItems

A = TypeVar("A")
B = TypeVar("B")


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
            last: BaseException = EndOfItems()
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
    except EndOfItems:
        return
    finally:
        stop.set()
        deadline = time.monotonic() + DRAWING
        while feeder.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):  # the feeder may stand before a full queue
                while True:
                    pending.get_nowait().cancel()
            feeder.join(timeout=0.05)


def until(stopped: threading.Event, items: Iterable[A]) -> Generator[A, None, None]:
    """The items until that is set: what the first of several stages draws, so that all of them end at once. Closing it
    closes `items`."""
    try:
        for item in items:
            yield item
            if stopped.is_set():
                return
    finally:
        if isinstance(items, Generator):
            items.close()


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
