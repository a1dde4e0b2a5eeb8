"""A graph compiled for one torch device: its threads, what is read back of a first run, and its requests.

On the CPU, several requests of one thread each are faster than one of several, and less sensitive to other load: 24.8
to 21.9 images/s of the shipped model on the two cores measured.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from uadx.api import Capabilities, CompiledModel, CompileOptions, MemoryInfo, Placement
from uadx.errors import InferenceError
from uadx.request_pool import RequestPool
from uadx_torch import uadx_explain_failure
from uadx_torch.graph import Graph
from uadx_torch.lanes import Lane, lane
from uadx_torch.precision import PRECISIONS, full_precision
from uadx_torch.script import Script

if TYPE_CHECKING:
    from uadx.api import Array


class TorchModel(CompiledModel):
    """infer is thread safe: every request runs on one of the model's own threads."""

    def __init__(
        self, graph: Graph | Script, device: torch.device, options: CompileOptions, backend: str = "torch"
    ) -> None:
        """Runs the graph once. backend: the name in error messages. Raises torch's errors."""
        depth, threads = _parallelism(device, options)
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._device, self._backend = device, backend
        self._graph: Graph | Script | None = graph
        self._threads, self._lanes = threads, threading.local()
        self._full = full_precision(device) if graph.dtype == torch.float32 else None
        self._pool = RequestPool(depth, f"uadx-{backend}")
        self._closing = threading.Lock()
        if self._full:
            self._full.acquire()
        try:
            self._placement = self._pool.submit(self._first_run).result()
        except BaseException:
            self.close()
            raise
        self.capabilities = Capabilities(self._placement.precision, async_depth=depth, thread_safe=True)

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        if hasattr(self._lanes, "own"):  # called back by a request on one of its threads: the others may be busy
            self._check(batch)
            return self._run(batch)
        return self.submit(batch).result()

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        self._check(batch)
        return self._pool.submit(partial(self._run, batch))

    def memory(self) -> MemoryInfo | None:
        if self._device.type != "cuda":
            return None
        free, total = torch.cuda.mem_get_info(self._device)
        return MemoryInfo(total - free, total)

    def close(self) -> None:
        self._pool.close()
        with self._closing:
            if self._graph is not None and self._full:
                self._full.release()
            self._graph, self._lanes = None, threading.local()  # they hold the device's memory

    def _run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return self._lane().run(batch)
        except Exception as error:
            raise self._failure(str(error)) from error

    def _first_run(self) -> Placement:
        """Where one image of zeros really ran, and in which precision: the convolutions', nearly all of the work."""
        devices: set[str] = set()
        computed: set[torch.dtype] = set()
        convolved: set[torch.dtype] = set()

        def watch(operator: str, value: Tensor) -> None:
            devices.add(str(value.device))
            if value.is_floating_point():
                (convolved if operator == "Conv" else computed).add(value.dtype)

        own = self._lane()
        with own.entered():
            own.graph(
                {
                    spec.name: torch.zeros(
                        [abs(length) for length in spec.shape], dtype=getattr(torch, spec.dtype), device=self._device
                    )
                    for spec in self.inputs
                },
                watch,
            )
        precisions = {PRECISIONS.get(dtype, str(dtype)) for dtype in convolved or computed}
        float32 = full_precision(self._device).in_effect()
        if precisions == {"f32"}:
            precisions = {float32}
        return Placement(
            ",".join(sorted(devices)),
            "/".join(sorted(precisions)),
            {"float32": float32, "threads": str(torch.get_num_threads())},
        )

    def _lane(self) -> Lane:
        """This thread's."""
        if not hasattr(self._lanes, "own"):
            self._lanes.own = lane(self._open_graph(), self._device, self._threads)
        own: Lane = self._lanes.own
        return own

    def _open_graph(self) -> Graph | Script:
        if self._graph is None:
            raise self._failure("the model is closed")
        return self._graph

    def _check(self, batch: Mapping[str, Array]) -> None:
        self._open_graph()
        wanted = {spec.name: (spec.dtype, spec.shape) for spec in self.inputs}
        given = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
        fits = wanted.keys() == given.keys() and all(
            given[name][0] == dtype and _fits(given[name][1], shape) for name, (dtype, shape) in wanted.items()
        )
        if not fits:
            raise self._failure(f"the model takes {wanted}, it was given {given}")

    def _failure(self, cause: str) -> InferenceError:
        return InferenceError(
            f"{self._backend}:{self._placement.device} failed while it ran the model",
            backend=self._backend,
            stage="running the model",
            cause_text=cause,
            hint=uadx_explain_failure(self._backend, RuntimeError(cause)),
        )


def _parallelism(device: torch.device, options: CompileOptions) -> tuple[int, int | None]:
    """Requests side by side, and the CPU threads of each."""
    if device.type == "cpu":
        cores = options.threads or torch.get_num_threads()
        return (1, cores) if options.hint == "latency" else (cores, 1)
    if device.type == "cuda" and options.hint == "throughput":
        return 3, None  # one is copied there, one computes, one is copied back
    return 1, None


def _fits(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(given) == len(shape) and all(want in (-1, have) for have, want in zip(given, shape, strict=True))
