"""What a thread needs to run a graph: on the CPU its share of the cores, on CUDA a stream and page-locked memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from uadx_torch.graph import Graph
from uadx_torch.script import Script

if TYPE_CHECKING:
    from uadx.api import Array

_THREADS = threading.Lock()


class Lane:
    """Runs a graph on any device, one request at a time. Made by the thread that uses it."""

    def __init__(self, graph: Graph | Script, device: torch.device, threads: int | None) -> None:
        """threads: how many CPU threads torch may use for this thread from now on, None for as many as it does."""
        self.graph, self.device = graph, device
        if threads is not None:
            _limit_this_thread(threads)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Everything that the device is asked for in here is in order, and done at the end."""
        yield

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs that the caller owns."""
        with self.entered():
            # torch takes no array that is read only or has negative strides
            inputs = {
                name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in batch.items()
            }
            outputs = self.graph({name: value.to(self.device) for name, value in inputs.items()})
            return {name: np.array(value.cpu().numpy()) for name, value in outputs.items()}


class CudaLane(Lane):
    """The same on a stream of its own, through page-locked memory, so that one lane copies while another computes."""

    def __init__(self, graph: Graph | Script, device: torch.device, threads: int | None) -> None:
        super().__init__(graph, device, threads)
        torch.cuda.synchronize(device)  # the weights were put there on another stream
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # blocking: waits without spinning on a core
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._locked: dict[str, Tensor] = {}

    @contextmanager
    def entered(self) -> Iterator[None]:
        with torch.cuda.stream(self._stream):
            try:
                yield
            finally:  # after an error too: what is under way reads and writes the page-locked memory
                self._done.record(self._stream)
                self._done.synchronize()

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        with self.entered():
            inputs = {}
            for name, array in batch.items():
                # of the file's dtype, as it is checked: uint8 images travel as uint8
                staged = self._page_locked(f"input {name}", array.shape, getattr(torch, array.dtype.name))
                np.copyto(staged.numpy(), array)
                inputs[name] = staged.to(self.device, non_blocking=True)
            results = {}
            for name, value in self.graph(inputs).items():
                results[name] = self._page_locked(f"output {name}", tuple(value.shape), value.dtype)
                results[name].copy_(value, non_blocking=True)
        return {name: np.array(value.numpy()) for name, value in results.items()}

    def _page_locked(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory that is kept between requests and grows to the largest batch."""
        kept = self._locked.get(name)
        if kept is None or kept.shape[1:] != shape[1:] or kept.dtype != dtype or len(kept) < shape[0]:
            kept = self._locked[name] = torch.empty(shape, dtype=dtype, pin_memory=True)
        return kept[: shape[0]]


def lane(graph: Graph | Script, device: torch.device, threads: int | None) -> Lane:
    """The lane for a device, of the thread that calls."""
    return (CudaLane if device.type == "cuda" else Lane)(graph, device, threads)


def _limit_this_thread(threads: int) -> None:
    """torch's number of threads is each thread's own, and also what later threads start with.

    The second is put back, from a thread that nothing else uses: training in the same process keeps its threads.
    """
    with _THREADS:
        before = torch.get_num_threads()  # also makes torch read, now and not later, what this thread starts with
        torch.set_num_threads(threads)
        other = threading.Thread(target=torch.set_num_threads, args=(before,))
        other.start()
        other.join()
