"""An engine behind one thread, which makes it, runs every request and releases it: pyACL's contexts are a thread's."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from uadx.api import Capabilities, CompiledModel, MemoryInfo, Placement
from uadx.errors import InferenceError, UadxWarning
from uadx.request_pool import RequestPool
from uadx_ascend.engine import Engine
from uadx_ascend.errors import LOGS, SdkError, advice_on

if TYPE_CHECKING:
    from uadx.api import Array

_T = TypeVar("_T")


class AscendModel(CompiledModel):
    """infer is thread safe: requests wait for each other. make_engine: raises what Engine does.

    precision: as the description of the .om says, "unknown" without one; the card does not tell.
    """

    def __init__(self, make_engine: Callable[[], Engine], precision: str) -> None:
        self._thread = RequestPool(1, "uadx-ascend")
        self._closing = threading.Lock()
        self._closed = False
        try:
            engine = self._thread.submit(make_engine).result()
        except BaseException:
            self._thread.close()
            raise
        self._engine: Engine | None = engine
        self.inputs, self.outputs = engine.inputs, engine.outputs
        largest = engine.batches[-1]
        self.capabilities = Capabilities(
            precision, max_batch=largest, static_batch=largest if engine.fixed else None, thread_safe=True
        )
        batches = ",".join(map(str, engine.batches))
        self._placement = Placement(str(engine.device), precision, {"batches": batches})

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        return self.submit(batch).result()

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        self._check(batch)
        return self._start(partial(self._run, batch))

    def memory(self) -> MemoryInfo | None:
        return self._start(self._memory).result()

    def close(self) -> None:
        """What the SDK says against it becomes a warning: whoever closes a model cannot help it."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            released = self._thread.submit(self._release)
            self._thread.close()
        if error := released.exception():
            warnings.warn(f"ascend:{self._placement.device} was not released: {error}", UadxWarning, stacklevel=2)

    def _start(self, request: Callable[[], _T]) -> Future[_T]:
        if self._closed:
            raise self._failure("the model is closed")
        try:
            return self._thread.submit(request)
        except RuntimeError as error:  # closed meanwhile
            raise self._failure("the model is closed") from error

    def _run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        if self._engine is None:
            raise self._failure("the model is closed")
        try:
            return self._engine.run(batch)
        except SdkError as error:
            raise self._failure(str(error), advice_on(str(error)) or LOGS) from error

    def _memory(self) -> MemoryInfo | None:
        if self._engine is None:
            raise self._failure("the model is closed")
        try:
            free, total = self._engine.memory()
        except SdkError:
            return None  # a board that does not say
        return MemoryInfo(total - free, total)

    def _release(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _check(self, batch: Mapping[str, Array]) -> None:
        """The SDK is given pointers: it would read past the end of a batch that does not fit."""
        wanted = {spec.name: (spec.dtype, spec.shape) for spec in self.inputs}
        given = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
        fits = wanted.keys() == given.keys() and all(
            given[name][0] == dtype and _fits(given[name][1], shape, self.capabilities.max_batch or 0)
            for name, (dtype, shape) in wanted.items()
        )
        if not fits or len({shape[0] for _, shape in given.values()}) > 1:
            limit = f" of up to {self.capabilities.max_batch}"
            raise self._failure(f"the model takes {wanted}, in batches{limit}; it was given {given}")

    def _failure(self, cause: str, hint: str | None = None) -> InferenceError:
        return InferenceError(
            f"ascend:{self._placement.device} failed while it ran the model",
            backend="ascend",
            stage="running the model",
            cause_text=cause,
            hint=hint,
        )


def _fits(given: tuple[int, ...], wanted: tuple[int, ...], largest: int) -> bool:
    """wanted: -1 for a batch of any size up to the largest."""
    if len(given) != len(wanted) or given[1:] != wanted[1:]:
        return False
    return 1 <= given[0] <= largest if wanted[0] == -1 else given[0] == wanted[0]
