"""A graph on one torch device: requests in slots, each with what it needs to copy its batch there and back.

On CUDA a slot has a stream and page-locked memory of its own, so that one request copies while another computes.
Everywhere else a request runs at once, with all of torch's threads: on the CPU a batch of 8 on two cores is faster
than two requests of one thread (21 to 13 images/s on the shipped model).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from uadx.api import Capabilities, CompiledModel, MemoryInfo, Placement
from uadx.errors import InferenceError
from uadx.request_pool import RequestPool
from uadx_torch.graph import Graph

if TYPE_CHECKING:
    from uadx.api import Array

CUDA_SLOTS = 3
"""Requests side by side on CUDA: one is copied there, one computes, one is copied back."""


class TorchModel(CompiledModel):
    """placement: as a first run showed it. infer is thread safe."""

    def __init__(self, graph: Graph, device: torch.device, placement: Placement) -> None:
        slots = CUDA_SLOTS if device.type == "cuda" else 1
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self.capabilities = Capabilities(placement.precision, async_depth=slots, thread_safe=True)
        self._placement, self._device = placement, device
        self._slots: SimpleQueue[Slot] = SimpleQueue()
        for _ in range(slots):
            self._slots.put(CudaSlot(graph, device) if device.type == "cuda" else Slot(graph, device))
        self._pool = RequestPool(slots, "uadx-torch")
        self._closed = False

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        self._check(batch)
        slots = self._slots
        slot = slots.get()
        try:
            return slot.run(batch)
        except Exception as error:
            raise self._failure(str(error)) from error
        finally:
            slots.put(slot)

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        self._check(batch)
        return self._pool.submit(partial(self.infer, batch))

    def memory(self) -> MemoryInfo | None:
        if self._device.type != "cuda":
            return None
        free, total = torch.cuda.mem_get_info(self._device)
        return MemoryInfo(total - free, total)

    def close(self) -> None:
        self._pool.close()
        self._closed = True
        self._slots = SimpleQueue()  # the slots hold the graph and its memory

    def _check(self, batch: Mapping[str, Array]) -> None:
        if self._closed:
            raise self._failure("the model is closed")
        wanted = {spec.name: (spec.dtype, spec.shape) for spec in self.inputs}
        given = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
        fits = wanted.keys() == given.keys() and all(
            given[name][0] == dtype and _fits(given[name][1], shape) for name, (dtype, shape) in wanted.items()
        )
        if not fits:
            raise self._failure(f"the model takes {wanted}, it was given {given}")

    def _failure(self, cause: str) -> InferenceError:
        return InferenceError(
            f"torch:{self._placement.device} failed while it ran the model",
            backend="torch",
            stage="running the model",
            cause_text=cause,
        )


class Slot:
    """One request at a time. The graph is shared: it holds no state."""

    def __init__(self, graph: Graph, device: torch.device) -> None:
        self._graph, self._device = graph, device

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs in float32 that the caller owns."""
        inputs = {name: _tensor(array).to(self._device) for name, array in batch.items()}
        outputs = self._graph(inputs)
        return {name: np.array(value.float().cpu().numpy()) for name, value in outputs.items()}


class CudaSlot(Slot):
    """The same on a stream, through page-locked buffers that grow to the largest batch."""

    def __init__(self, graph: Graph, device: torch.device) -> None:
        super().__init__(graph, device)
        torch.cuda.synchronize(device)  # the weights were laid out on the default stream
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._there: dict[str, Tensor] = {}
        self._back: dict[str, Tensor] = {}

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        with torch.cuda.stream(self._stream):
            inputs = {}
            for name, array in batch.items():
                tensor = _tensor(array)
                staged = _locked(self._there, name, tensor)
                inputs[name] = staged.copy_(tensor).to(self._device, non_blocking=True)
            outputs = {name: value.float() for name, value in self._graph(inputs).items()}
            staged_outputs = {
                name: _locked(self._back, name, value).copy_(value, non_blocking=True)
                for name, value in outputs.items()
            }
        self._stream.synchronize()
        return {name: np.array(staged.numpy()) for name, staged in staged_outputs.items()}


def _locked(buffers: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    """Page-locked memory for a tensor of that shape and type, of which a copy need not wait."""
    kept = buffers.get(name)
    if kept is None or kept.shape[1:] != like.shape[1:] or len(kept) < len(like):
        kept = buffers[name] = torch.empty(like.shape, dtype=like.dtype, pin_memory=True)
    return kept[: len(like)]


def _tensor(array: Array) -> Tensor:
    """The caller's memory where torch takes it as it is; torch never writes its inputs here."""
    usable = array.flags.writeable and array.flags.c_contiguous
    return torch.from_numpy(array if usable else np.array(array))


def _fits(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(given) == len(shape) and all(want in (-1, have) for have, want in zip(given, shape, strict=True))
