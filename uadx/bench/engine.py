"""The engine alone: the compiled model fed with arrays that are there already, as the pipeline feeds it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uadx.devices.opened import OpenedModel, Share
from uadx.pipeline.batches import run_batch, start_batch


@dataclass(frozen=True)
class Timed:
    """Images that went through in so many seconds; core_seconds: of all threads of this process together."""

    images: int
    seconds: float
    core_seconds: float

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    @property
    def core_ms(self) -> float:
        """Milliseconds of one core for each image."""
        return 1e3 * self.core_seconds / self.images


def throughput(opened: OpenedModel, batch: NDArray[np.uint8], seconds: float) -> Timed:
    """Batches [N, H, W, 3] in a loop, as many under way as the device takes side by side and one more."""
    pending: deque[tuple[Share, Future[dict[str, NDArray[Any]]]]] = deque()
    done = 0
    began, cores = time.perf_counter(), time.process_time()

    def finish() -> int:
        share, future = pending.popleft()
        future.result()
        opened.give_back(share)
        return len(batch)

    while time.perf_counter() - began < seconds:
        while len(pending) <= opened.async_depth:
            share = opened.borrow()
            pending.append((share, start_batch(share, batch)))
        done += finish()
    while pending:
        done += finish()
    return Timed(done, time.perf_counter() - began, time.process_time() - cores)


def latencies(opened: OpenedModel, image: NDArray[np.uint8], count: int, seconds: float) -> Sequence[float]:
    """Milliseconds of each of `count` single images [1, H, W, 3], one after the other on the first device; of fewer
    where the time is over, but of one."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while not found or (len(found) < count and time.perf_counter() < end):
        began = time.perf_counter()
        run_batch(opened.compiled, image)
        found.append((time.perf_counter() - began) * 1e3)
    return found
