"""ONNX Runtime: one session on exactly one execution provider.

The runtime falls back to its CPU provider in three ways, each with a warning at most: a provider list that ends
with the CPU, single operators that the provider does not have, and the Python wrapper's own retry. All three are
turned off for any other provider, and `get_providers()` is read back
(https://onnxruntime.ai/docs/execution-providers/, microsoft/onnxruntime#17801).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
    TensorSpec,
)
from uadx.errors import CompileError, ConfigError, InferenceError, PlacementError, UnavailableError
from uadx.request_pool import RequestPool
from uadx_onnxruntime.cuda import cards
from uadx_onnxruntime.providers import (
    CPU,
    CUDA,
    NOT_A_DEVICE,
    first_device,
    reported,
    request,
    takes_a_device,
    takes_one_batch,
)

if TYPE_CHECKING:
    from uadx.api import Array

_SILENT = 4  # fatal errors only: what the runtime would print is in the exceptions, or is found by _load_failure
# DequantizeLinear as a node's op_type (field 4 of NodeProto, 16 bytes) in a serialised model
_QUANTISED = b"\x22\x10DequantizeLinear"


class OnnxRuntimeBackend(Backend):
    """options: provider options by provider name, such as {CUDAExecutionProvider: {gpu_mem_limit: 2147483648}}."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        self._ort = import_module("onnxruntime") if binding is None else cast("Any", binding)
        self._ort.set_default_logger_severity(_SILENT)
        self._ort.disable_telemetry_events()

    def devices(self) -> Sequence[DeviceInfo]:
        available = self._ort.get_available_providers()
        found = [DeviceInfo(CPU, "CPU", "any", kind="cpu")] if CPU in available else []
        if sys.platform != "darwin":
            found += self._cuda_devices(available)
        return found + [
            DeviceInfo(
                first_device(name),
                name,
                "",
                precisions=(),
                maturity="unverified",
                unusable=self._load_failure(name) or "",
            )
            for name in available
            if name not in {*NOT_A_DEVICE, CUDA}
        ]

    def _cuda_devices(self, available: Sequence[str]) -> list[DeviceInfo]:
        if CUDA not in available:
            reason = "this onnxruntime is built without CUDA: install onnxruntime-gpu in its place"
            return [DeviceInfo(f"{CUDA}:0", "CUDA", "nvidia", "gpu", precisions=(), unusable=reason)]
        unusable = self._load_failure(CUDA) or ""
        try:
            found = [(card.name, card.memory) for card in cards()]
        except UnavailableError as error:
            return [DeviceInfo(f"{CUDA}:0", "CUDA", "nvidia", "gpu", precisions=(), unusable=error.in_one_line)]
        return [
            DeviceInfo(
                f"{CUDA}:{index}",
                name,
                "nvidia",
                kind="gpu",
                index=index,
                memory=memory,
                maturity="unverified",
                unusable=unusable,
            )
            for index, (name, memory) in enumerate(found)
        ]

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        provider, colon, asked = device.selector.partition(":")
        available = self._ort.get_available_providers()
        if provider not in available:
            near = [name for name in available if name.lower().startswith(provider.lower())]
            raise UnavailableError(
                f"this onnxruntime has no provider {provider!r}; it has: {', '.join(available)}",
                backend="onnxruntime",
                stage=f"opening {provider}",
                hint=f"write it as ONNX Runtime does: --device onnxruntime:{near[0]}"
                if near
                else "install the onnxruntime package that has it, such as onnxruntime-gpu for CUDA",
            )
        if colon and not takes_a_device(provider):
            raise UnavailableError(
                f"{provider} has no devices of its own, and none called {asked!r}",
                backend="onnxruntime",
                stage=f"opening {device.selector}",
                hint=f"leave the number out: --device onnxruntime:{provider}",
            )
        depth = _depth(provider, options)
        settings = self._ort.SessionOptions()
        if provider != CPU:
            settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        elif depth > 1:
            settings.intra_op_num_threads = 1  # parallel over requests
        elif options.threads is not None:
            settings.intra_op_num_threads = options.threads
        try:
            session = self._ort.InferenceSession(
                str(artifact.path),
                settings,
                providers=[(provider, request(provider, asked, options.precision, self._given(provider)))],
                enable_fallback=0,
            )
        except Exception as error:
            raise self._compile_failure(provider, artifact, error) from error
        quantised = _QUANTISED in artifact.path.read_bytes()
        batch = options.max_batch if takes_one_batch(provider) else None
        return OnnxRuntimeModel(session, _read_back(session, asked, quantised), depth, batch)

    def versions(self) -> Mapping[str, str]:
        return {"onnxruntime": self._ort.__version__}

    def _given(self, provider: str) -> Mapping[str, object]:
        """The provider's options in devices.yaml."""
        given = self.options.get(provider, {})
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"options.onnxruntime.{provider} is {given!r}, not the provider's options by name",
                hint=f"write options: {{onnxruntime: {{{provider}: {{name: value}}}}}}",
            )
        return given

    def _compile_failure(self, provider: str, artifact: ModelArtifact, error: Exception) -> Exception:
        if provider != CPU and (words := self._load_failure(provider)) is not None:
            return UnavailableError(
                f"{provider} is in this onnxruntime but its libraries cannot be loaded",
                backend="onnxruntime",
                stage=f"opening {provider}",
                cause_text=words,
            )
        if provider != CPU and "fallback to CPU EP" in str(error):
            return PlacementError(
                f"{provider} cannot run the whole model",
                backend="onnxruntime",
                stage="compiling",
                cause_text=str(error),
                hint="the provider refused its options or its device, or lacks an operator; uadx lets no part of "
                "the model run on the CPU unasked: choose another device",
            )
        return CompileError(
            f"ONNX Runtime does not compile {artifact.path} for {provider}",
            backend="onnxruntime",
            stage="compiling",
            cause_text=str(error),
            hint="check that the file is whole and is an ONNX model",
        )

    def _load_failure(self, provider: str) -> str | None:
        """The system's words on a provider's library. ORT only logs them, and reports that the CPU is left."""
        folder = Path(str(self._ort.__file__)).parent / "capi"
        name = provider.removesuffix("ExecutionProvider").lower()
        try:
            for library in folder.glob("*onnxruntime_providers_shared.*"):
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)  # the provider's library builds on it
            for library in folder.glob(f"*onnxruntime_providers_{name}.*"):
                ctypes.CDLL(str(library))
        except OSError as error:
            return str(error)
        return None


class OnnxRuntimeModel(CompiledModel):
    """A session and the threads that call it. infer is thread safe, as sessions are. batch: the one size to give it."""

    def __init__(self, session: Any, placement: Placement, depth: int, batch: int | None) -> None:
        self._session = session
        self._placement = placement
        self.inputs = tuple(_tensor_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_tensor_spec(node) for node in session.get_outputs())
        self.capabilities = Capabilities(placement.precision, static_batch=batch, async_depth=depth, thread_safe=True)
        self._pool = RequestPool(depth, "uadx-onnxruntime")

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        session = self._open_session()
        try:
            values = session.run(None, dict(batch))
        except Exception as error:
            raise self._failure(str(error)) from error
        return {spec.name: value for spec, value in zip(self.outputs, values, strict=True)}

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        self._open_session()
        return self._pool.submit(partial(self.infer, batch))

    def close(self) -> None:
        self._pool.close()
        self._session = None

    def _open_session(self) -> Any:
        if self._session is None:
            raise self._failure("the model is closed")
        return self._session

    def _failure(self, cause: str) -> InferenceError:
        return InferenceError(
            f"onnxruntime:{self._placement.device} failed while it ran the model",
            backend="onnxruntime",
            stage="running the model",
            cause_text=cause,
        )


def _depth(provider: str, options: CompileOptions) -> int:
    """Requests side by side. Several runs of one thread beat one run of several: 27.9 to 25.2 images/s on 2 cores."""
    if options.hint == "latency":
        return 1
    if provider != CPU:
        return 2  # one is copied while the other computes
    usable = getattr(os, "sched_getaffinity", None)  # fewer than the host's in a container
    return options.threads or (len(usable(0)) if usable is not None else os.cpu_count() or 1)


def _tensor_spec(node: Any) -> TensorSpec:
    shape = tuple(length if isinstance(length, int) else -1 for length in node.shape)
    names = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
    return TensorSpec(node.name, shape, names.get(node.type, node.type[len("tensor(") : -1]))


def _read_back(session: Any, asked: str, quantised: bool) -> Placement:
    """The provider that the session has, and what that reports of itself. A quantised graph runs as it is written."""
    provider = session.get_providers()[0]
    device, precision = reported(provider, asked, session.get_provider_options()[provider])
    if quantised and provider in (CPU, CUDA):
        precision = "int8"
    return Placement(device, precision, {"providers": ",".join(session.get_providers())})
