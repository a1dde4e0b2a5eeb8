"""OpenVINO: one compiled model, as many infer requests side by side as the runtime finds best.

Two defaults of the runtime are changed. Its CPU plugin runs a float32 model in bfloat16 where the host has it: the
precision is always pinned and read back (https://docs.openvino.ai/2026/openvino-workflow/running-inference/
optimize-inference/precision-control.html). And `import openvino` reports to Google Analytics: see uadx.telemetry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
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
from uadx.errors import CompileError, ConfigError, InferenceError, UnavailableError, UsageError
from uadx.request_pool import RequestPool
from uadx.telemetry import unreported

if TYPE_CHECKING:
    from uadx.api import Array

HINT = "INFERENCE_PRECISION_HINT"


def sdk() -> Any:
    """Import openvino without its telemetry."""
    with unreported():
        import openvino
        from openvino import frontend
    assert frontend
    return openvino


def read_model(openvino: Any, path: Path) -> Any:
    """An ONNX file, or an .xml of OpenVINO's own, as its model. Its own `read_model` would try every frontend on a
    corrupt file, each with words of its own on stderr."""
    kind = "ir" if path.suffix == ".xml" else "onnx"
    frontend = openvino.frontend.FrontEndManager().load_by_framework(kind)
    model = frontend.convert(frontend.load(str(path)))
    if not model.outputs:
        raise ValueError("the file is empty: a model without outputs")
    return model


class OpenVINOBackend(Backend):
    """options: OpenVINO's properties by name, passed on as they are."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        if options.get(HINT, "f32") != "f32":
            raise ConfigError(
                f"options.openvino.{HINT} is {options[HINT]!r}; the devices file may only pin f32",
                hint="ask for another precision where it is wanted: --precision bf16",
            )
        self._openvino = sdk() if binding is None else cast("Any", binding)
        self._core = core_of(self._openvino)

    def devices(self) -> Sequence[DeviceInfo]:
        return [self._device(selector) for selector in self._core.available_devices]

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        self._require(device.selector)
        try:
            model = read_model(self._openvino, artifact.path)
            compiled = self._core.compile_model(model, device.selector, self._properties(options))
        except Exception as error:
            raise CompileError(
                f"OpenVINO does not compile {artifact.path} for {device.selector}",
                backend="openvino",
                stage="compiling",
                cause_text=str(error),
                hint=self._advice(),
            ) from error
        return OpenVINOModel(compiled)

    def versions(self) -> Mapping[str, str]:
        return {"openvino": self._openvino.get_version()}

    def _device(self, selector: str) -> DeviceInfo:
        name = self._core.get_property(selector, "FULL_DEVICE_NAME")
        capabilities = self._core.get_property(selector, "OPTIMIZATION_CAPABILITIES")
        known = {"FP32": "f32", "BF16": "bf16", "FP16": "f16", "INT8": "int8"}
        return DeviceInfo(
            selector=selector,
            name=name,
            vendor=name.partition("(")[0].partition(" ")[0].lower(),
            kind="cpu" if selector == "CPU" else None,
            precisions=tuple(known[each] for each in known if each in capabilities),
            maturity=None if selector == "CPU" else "unverified",
        )

    def _properties(self, options: CompileOptions) -> dict[str, Any]:
        properties: dict[str, Any] = {"PERFORMANCE_HINT": options.hint.upper(), **self.options}
        properties.pop(HINT, None)
        if options.precision != "auto":
            # a quantised file runs its int8 layers as int8; the hint is for the others
            properties[HINT] = "f32" if options.precision == "int8" else options.precision
        if options.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = options.threads
        return properties

    def _advice(self) -> str:
        if given := sorted(set(self.options) - {HINT}):
            return f"check options.openvino in the devices file: {', '.join(given)}; and that the model file is whole"
        return "check that the file is whole and is an ONNX model"

    def _require(self, selector: str) -> None:
        if selector.partition(":")[0] in ("AUTO", "MULTI", "HETERO", "BATCH"):
            raise UsageError(
                f"openvino:{selector} would let OpenVINO choose the device",
                hint=f"name one: openvino:{', openvino:'.join(self._core.available_devices)}",
            )
        available = self._core.available_devices
        if selector in available or f"{selector}.0" in available:
            return
        if selector.removesuffix(".0") in available and selector != "CPU.0":  # the CPU plugin takes no number
            return
        near = [name for name in available if name.lower() == selector.lower()]
        raise UnavailableError(
            f"OpenVINO has no device {selector!r} here; it has: {', '.join(available)}",
            backend="openvino",
            stage=f"opening {selector}",
            cause_text=self._why_absent(selector),
            hint=f"write it as OpenVINO does: --device openvino:{near[0]}" if near else None,
        )

    def _why_absent(self, selector: str) -> str | None:
        """The runtime's words, which are a missing driver more often than a misspelt name."""
        try:
            self._core.get_property(selector, "FULL_DEVICE_NAME")
        except Exception as error:
            return str(error)
        return None


class OpenVINOModel(CompiledModel):
    """A compiled model and its infer requests, each used by one thread at a time. infer is thread safe."""

    def __init__(self, compiled: Any) -> None:
        self.inputs = tuple(_tensor_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_tensor_spec(port) for port in compiled.outputs)
        depth = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._placement = _read_back(compiled)
        self.capabilities = Capabilities(self._placement.precision, async_depth=depth, thread_safe=True)
        self._idle: SimpleQueue[Any] = SimpleQueue()
        # one more than run at a time: the runtime goes on with it while Python takes the results of another
        for _ in range(depth + 1):
            self._idle.put(compiled.create_infer_request())
        self._pool = RequestPool(depth + 1, "uadx-openvino")
        self._closed = False

    def placement(self) -> Placement:
        return self._placement

    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        idle = self._idle  # before the check: close() puts an empty one in its place
        self._check(batch)
        request = idle.get()
        try:
            # share_inputs: read in place, not written; the outputs are copies all the same
            results = request.infer(dict(batch), share_inputs=True)
            return {spec.name: results[index] for index, spec in enumerate(self.outputs)}
        except Exception as error:
            raise self._failure(str(error)) from error
        finally:
            idle.put(request)

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        self._check(batch)
        return self._pool.submit(partial(self.infer, batch))

    def close(self) -> None:
        self._closed = True
        self._pool.close()
        self._idle = SimpleQueue()  # the requests hold the model and its memory

    def _check(self, batch: Mapping[str, Array]) -> None:
        """OpenVINO converts a wrong dtype without a word and reuses the last input where one is missing."""
        if self._closed:
            raise self._failure("the model is closed")
        wanted = {spec.name: spec.dtype for spec in self.inputs}
        given = {name: array.dtype.name for name, array in batch.items()}
        if given != wanted:
            raise self._failure(f"the model takes {wanted}, it was given {given}")

    def _failure(self, cause: str) -> InferenceError:
        return InferenceError(
            f"openvino:{self._placement.device} failed while it ran the model",
            backend="openvino",
            stage="running the model",
            cause_text=cause,
        )


@cache
def core_of(openvino: Any) -> Any:
    """One for as long as the process lives. OpenVINO's CPU plugin gives the thread that makes a Core a stack for its
    signals (sigaltstack), and frees that with the Core: the thread's next signal, such as SIGTERM, is a crash."""
    return openvino.Core()


def _tensor_spec(port: Any) -> TensorSpec:
    shape = tuple(length.get_length() if length.is_static else -1 for length in port.partial_shape)
    return TensorSpec(port.any_name, shape, port.element_type.to_dtype().name)


def _read_back(compiled: Any) -> Placement:
    """What the runtime reports: the devices that execute, and the precision of the layers it compiled."""
    devices = ",".join(compiled.get_property("EXECUTION_DEVICES"))
    precision = compiled.get_property(HINT).to_string()
    layers = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    if any(
        layer["layerType"].value in ("Convolution", "FullyConnected")
        and layer["runtimePrecision"].value in ("u8", "i8")
        for layer in layers
    ):
        precision = "int8"
    names = ("NUM_STREAMS", "INFERENCE_NUM_THREADS", "PERFORMANCE_HINT")
    supported = compiled.get_property("SUPPORTED_PROPERTIES")
    details = {name: str(compiled.get_property(name)) for name in names if name in supported}
    return Placement(devices, precision, details)
