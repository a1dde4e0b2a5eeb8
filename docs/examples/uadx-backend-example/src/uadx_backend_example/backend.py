"""What uadx asks of a backend, in terms of the executor: errors become typed, claims are read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx

from uadx.api import (
    Backend,
    Capabilities,
    CompiledModel,
    CompileOptions,
    DeviceInfo,
    DeviceRef,
    ModelArtifact,
    Placement,
    TensorSpec,
)
from uadx.errors import CompileError, InferenceError, UnavailableError
from uadx_backend_example.executor import DEVICES, Executor, UnsupportedError

if TYPE_CHECKING:
    from uadx.api import Array

_PRECISIONS = {frozenset({"float32"}): "f32", frozenset({"float16"}): "f16"}
"""What uadx calls a model whose results are of these types; any other mixture is "unknown"."""


class ExampleBackend(Backend):
    """Takes no options."""

    def devices(self) -> Sequence[DeviceInfo]:
        return [DeviceInfo(str(n), f"NumPy, logical device {n}", "example", index=n) for n in range(DEVICES)]

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        """Batches of any size run, one request at a time: max_batch and hint change nothing. NumPy's threads are set
        by its BLAS for the whole process, not by options.threads."""
        number = self._number(device)
        if options.precision not in ("f32", "auto"):
            raise UnavailableError(
                f"example:{number} computes in f32 only, and {options.precision} was asked for",
                backend="example",
                stage=f"opening {number}",
                hint="--precision f32",
            )
        try:
            return ExampleModel(Executor(artifact.path, number))
        except Exception as error:
            raise CompileError(
                f"the example does not compile {artifact.path}",
                backend="example",
                stage="compiling",
                cause_text=f"{type(error).__name__}: {error}",
                # where there is no hint, uadx asks uadx_explain_failure for one
                hint=None if isinstance(error, UnsupportedError) else "check that the file is whole and an ONNX model",
            ) from error

    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__, "onnx": onnx.__version__}

    def _number(self, device: DeviceRef) -> int:
        selectors = [info.selector for info in self.devices()]
        if device.selector not in selectors:
            raise UnavailableError(
                f"the example has no device {device.selector!r}; it has: {', '.join(selectors)}",
                backend="example",
                stage=f"opening {device.selector}",
                hint="name one of them: --device example:0",
            )
        return int(device.selector)


class ExampleModel(CompiledModel):
    """An executor until it is closed. infer is thread safe, as the executor is; submit is infer."""

    def __init__(self, executor: Executor) -> None:
        self._executor: Executor | None = executor
        self._placement = Placement(str(executor.device), _PRECISIONS.get(executor.computed, "unknown"))
        self.inputs = tuple(TensorSpec(*tensor) for tensor in executor.inputs)
        self.outputs = tuple(TensorSpec(*tensor) for tensor in executor.outputs)
        self.capabilities = Capabilities(self._placement.precision, thread_safe=True)

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        executor = self._executor  # another thread may close the model meanwhile
        if executor is None:
            raise self._failure("the model is closed")
        if misfit := self._misfit(batch):
            raise self._failure(misfit)
        try:
            return executor.run(batch)
        except Exception as error:
            raise self._failure(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._executor = None

    def _misfit(self, batch: Mapping[str, Array]) -> str | None:
        """Why the model does not take a batch."""
        names = {spec.name for spec in self.inputs}
        if batch.keys() != names:
            return f"the model takes {', '.join(sorted(names))}, and was given {', '.join(sorted(batch)) or 'nothing'}"
        for spec in self.inputs:
            array = batch[spec.name]
            if not _fits(array, spec):
                wanted, given = f"{spec.dtype} {list(spec.shape)}", f"{array.dtype} {list(array.shape)}"
                return f"{spec.name} must be {wanted}, where -1 is any length, and is {given}"
        return None

    def _failure(self, cause: str) -> InferenceError:
        return InferenceError(
            f"example:{self._placement.device} did not run the model",
            backend="example",
            stage="running the model",
            cause_text=cause,
        )


def _fits(array: Array, spec: TensorSpec) -> bool:
    if array.dtype != spec.dtype or array.ndim != len(spec.shape):
        return False
    return all(wanted in (-1, length) for wanted, length in zip(spec.shape, array.shape, strict=True))
