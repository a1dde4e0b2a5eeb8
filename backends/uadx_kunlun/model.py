"""A program behind one thread, which makes its predictor, runs every request and releases it.

Several predictors side by side gain nothing: Paddle holds Python's lock while it runs (3.3, measured), so a request
uses all threads that there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from uadx.api import Capabilities, CompiledModel, MemoryInfo, Placement
from uadx.errors import InferenceError
from uadx.request_pool import RequestPool
from uadx_kunlun.binding import Binding
from uadx_kunlun.errors import SdkError, advice_on
from uadx_kunlun.program import Program
from uadx_kunlun.sdk import Config, Predictor

if TYPE_CHECKING:
    from uadx.api import Array

Memory = Callable[[], tuple[int, int]]


class PaddleModel(CompiledModel):
    """infer is thread safe: requests wait for each other. memory: used and total bytes, None for a CPU."""

    def __init__(
        self, sdk: Binding, program: Program, config: Config, backend: str, placement: Placement, memory: Memory | None
    ) -> None:
        """Raises SdkError."""
        self.inputs, self.outputs = program.inputs, program.outputs
        self.capabilities = Capabilities(placement.precision, thread_safe=True)
        self._sdk, self._backend, self._placement, self._memory = sdk, backend, placement, memory
        self._thread = RequestPool(1, f"uadx-{backend}")
        self._closing = threading.Lock()
        self._closed = False
        self._owner = 0
        self._predictor: Predictor | None = None
        try:
            self._thread.submit(partial(self._open, config)).result()
        except BaseException:
            self._thread.close()
            raise

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        if threading.get_ident() == self._owner:  # called back by a request: waiting for the thread would never end
            self._check(batch)
            return self._run(batch)
        return self.submit(batch).result()

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        self._check(batch)
        return self._thread.submit(partial(self._run, batch))

    def memory(self) -> MemoryInfo | None:
        if self._memory is None or self._closed:
            return None
        try:
            return MemoryInfo(*self._thread.submit(self._memory).result())
        except SdkError:
            return None  # a Paddle that does not say

    def close(self) -> None:
        with self._closing:
            if not self._closed:
                self._closed = True
                self._thread.submit(self._release)
            self._thread.close()

    def _open(self, config: Config) -> None:
        self._owner = threading.get_ident()
        self._predictor = self._sdk.create_predictor(config)

    def _release(self) -> None:
        self._predictor = None

    def _run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        if self._predictor is None:
            raise self._failure("the model is closed")
        try:
            values = self._sdk.run(self._predictor, [np.ascontiguousarray(batch[spec.name]) for spec in self.inputs])
        except SdkError as error:
            raise self._failure(str(error)) from error
        return {spec.name: value for spec, value in zip(self.outputs, values, strict=True)}

    def _check(self, batch: Mapping[str, Array]) -> None:
        """Paddle does not: it takes float64 for float32, and images of any size."""
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
            f"{self._backend}:{self._placement.device} failed while it ran the model",
            backend=self._backend,
            stage="running the model",
            cause_text=cause,
            hint=advice_on(cause),
        )


def _fits(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(given) == len(shape) and all(
        have > 0 and want in (-1, have) for have, want in zip(given, shape, strict=True)
    )
