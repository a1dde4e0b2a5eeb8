"""Runs the blocking requests of an SDK side by side; for backends whose inference call releases the GIL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from uadx.errors import InferenceError

T = TypeVar("T")


class RequestPool:
    """`depth` threads, one for each request that may run. One more waits, so that no thread has to wait for Python to
    hand it the next; submit blocks while there is one that waits."""

    def __init__(self, depth: int, name: str) -> None:
        self._free = BoundedSemaphore(depth + 1)
        self._threads = ThreadPoolExecutor(depth, thread_name_prefix=name)

    def submit(self, request: Callable[[], T]) -> Future[T]:
        """Start a request as soon as a thread is free for it. Its result or exception goes to the future.

        Raises InferenceError after close().
        """
        self._free.acquire()
        try:
            future = self._threads.submit(request)
        except RuntimeError as error:  # the threads have ended
            self._free.release()
            raise InferenceError("the model is closed", stage="running the model") from error
        future.add_done_callback(lambda _: self._free.release())
        return future

    def close(self) -> None:
        """Wait for the requests under way and end the threads. Calling it again does nothing."""
        self._threads.shutdown(wait=True)
