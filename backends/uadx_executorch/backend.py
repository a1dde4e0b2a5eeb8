"""ExecuTorch on the CPU: a .pte as it is, or one that is made of the ONNX file. One image at a time, one after another.

A .pte is for phones and boards; here it shows that the file gives the model's numbers.
"""

from __future__ import annotations

import hashlib
import platform
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch

from uadx.api import (
    Backend,
    BackendSpec,
    Capabilities,
    CompiledModel,
    CompileOptions,
    DeviceInfo,
    DeviceRef,
    ModelArtifact,
    Placement,
)
from uadx.errors import CompileError, ConfigError, InferenceError, UnavailableError
from uadx.request_pool import RequestPool
from uadx_executorch.binding import Program, SdkError, load, threads
from uadx_executorch.lowering import PRECISION, lower

if TYPE_CHECKING:
    from uadx.api import Array

CPU = "cpu"


class ExecuTorchBackend(Backend):
    """Takes no options. binding: a stand-in for executorch.runtime.Runtime."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        if options:
            raise ConfigError(
                f"options.executorch has {', '.join(sorted(options))}, and executorch takes no options here",
                hint="remove them from the devices file",
            )
        self._runtime: Any = load() if binding is None else binding
        self._lowering = threading.Lock()
        self._lowered: dict[bytes, bytes] = {}

    def devices(self) -> Sequence[DeviceInfo]:
        return [DeviceInfo(CPU, f"CPU ({platform.machine()})", "any", "cpu")]

    def choose(self, artifacts: Sequence[ModelArtifact], device: DeviceRef, options: CompileOptions) -> ModelArtifact:
        """The .pte, where there is one: making it anew takes longer than many runs."""
        return next((artifact for artifact in artifacts if artifact.format == "executorch"), artifacts[0])

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        if device.selector != CPU:
            raise UnavailableError(
                f"executorch has no device {device.selector!r} here; it has: {CPU}",
                backend="executorch",
                stage=f"opening {device.selector}",
                hint=f"--device executorch:{CPU}",
            )
        if options.precision not in (PRECISION, "auto"):
            raise UnavailableError(
                f"executorch has no {options.precision} on {CPU}; it has: {PRECISION}",
                backend="executorch",
                stage=f"opening {CPU}",
                hint="an int8 model runs on openvino and onnxruntime" if options.precision == "int8" else None,
            )
        try:
            content = artifact.path.read_bytes() if artifact.format == "executorch" else self._made_of(artifact.path)
            program = Program(self._runtime, content)
        except Exception as error:
            raise CompileError(
                f"ExecuTorch does not compile {artifact.path}",
                backend="executorch",
                stage="compiling",
                cause_text=str(error) or type(error).__name__,
                hint="it takes a whole ONNX model with its weights inside, or what `uadx export` made of one",
            ) from error
        return ExecuTorchModel(program)

    def _made_of(self, model: Path) -> bytes:
        """The .pte of an ONNX model, made once and kept while this backend lives."""
        digest = hashlib.sha256(model.read_bytes()).digest()
        with self._lowering:
            if digest not in self._lowered:
                self._lowered[digest] = lower(model)
            return self._lowered[digest]

    def versions(self) -> Mapping[str, str]:
        return {"executorch": version("executorch"), "torch": str(torch.__version__), "onnx": onnx.__version__}


class ExecuTorchModel(CompiledModel):
    """infer is thread safe: requests wait for each other, as a program has one memory for its values."""

    def __init__(self, program: Program) -> None:
        self.inputs, self.outputs = program.inputs, program.outputs
        self.capabilities = Capabilities(program.precision, static_batch=1, thread_safe=True)
        self._program: Program | None = program
        self._placement = Placement(CPU, program.precision, {"threads": str(threads())})
        self._pool = RequestPool(1, "uadx-executorch")
        self._running = threading.Lock()

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        program = self._fitting(batch)
        # torch takes no array that is read only or has negative strides
        inputs = [torch.from_numpy(np.require(batch[spec.name], requirements=["C", "W"])) for spec in self.inputs]
        try:
            with self._running:
                values = program.run(inputs)
        except SdkError as error:
            raise self._failure(str(error)) from error
        return {spec.name: np.array(value.numpy()) for spec, value in zip(self.outputs, values, strict=True)}

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        self._fitting(batch)
        return self._pool.submit(partial(self.infer, batch))

    def close(self) -> None:
        self._pool.close()
        self._program = None

    def _fitting(self, batch: Mapping[str, Array]) -> Program:
        """The open program, which would not say why it takes no such inputs."""
        if self._program is None:
            raise self._failure("the model is closed")
        wanted = {spec.name: (spec.dtype, spec.shape) for spec in self.inputs}
        given = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
        if given != wanted:
            raise self._failure(f"the model takes {wanted}, it was given {given}")
        return self._program

    def _failure(self, cause: str) -> InferenceError:
        return InferenceError(
            f"executorch:{CPU} failed while it ran the model",
            backend="executorch",
            stage="running the model",
            cause_text=cause,
        )
