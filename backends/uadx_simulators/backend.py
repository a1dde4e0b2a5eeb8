"""A simulator: OpenVINO runs the graph on the CPU, under the limits of one vendor's backend, and says so."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from uadx_openvino.backend import HINT, core_of, read_model, sdk

from uadx.api import (
    Backend,
    BackendSpec,
    CompiledModel,
    CompileOptions,
    DeviceInfo,
    DeviceRef,
    ModelArtifact,
    Precision,
)
from uadx.bundle.external import fields
from uadx.errors import CompileError, ConfigError, UnavailableError
from uadx_simulators.limits import LIMITS, QUANTISED
from uadx_simulators.model import SimulatedModel
from uadx_simulators.rounding import apply

_GRAPH, _NODE, _OPERATOR = 7, 1, 4
"""Field numbers of onnx.proto."""

_CHECK = "check that the file is whole and is an ONNX model"


class SimulatorBackend(Backend):
    """Takes no options. Its one device is "0"."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        if options:
            raise ConfigError(
                f"options.{spec.name} has {', '.join(sorted(options))}, and {spec.name} takes no options",
                hint="remove them from the devices file",
            )
        self._openvino = sdk()
        self._limits = LIMITS[spec.name]

    def devices(self) -> Sequence[DeviceInfo]:
        name = f"SIMULATED {self._limits.card} on {platform.machine()}"
        return [DeviceInfo("0", name, self._limits.vendor, precisions=self._precisions)]

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        if device.selector != "0":
            raise UnavailableError(
                f"{self.spec.name} has no device {device.selector!r}; it has: 0",
                backend=self.spec.name,
                hint=f"--device {self.spec.name}:0",
            )
        if options.precision not in self._limits.precisions:
            raise UnavailableError(
                f"{self.spec.name} does not compute in {options.precision}; it has: {', '.join(self._precisions)}",
                backend=self.spec.name,
                hint=f"--precision {self._precisions[0]}, or auto",
            )
        rounding = self._limits.precisions[options.precision]
        self._require_known(artifact)
        try:
            model = read_model(self._openvino, artifact.path)
            if self._limits.fixed:
                _require_fixed_sizes(model)
            apply(self._openvino, model, rounding)
            properties: dict[str, Any] = {"PERFORMANCE_HINT": options.hint.upper(), HINT: "f32"}
            if options.threads is not None:
                properties["INFERENCE_NUM_THREADS"] = options.threads
            compiled = core_of(self._openvino).compile_model(model, "CPU", properties)
        except Exception as error:
            raise self._refusal(artifact.path, str(error), _CHECK) from error
        return SimulatedModel(
            compiled, self.spec.name, rounding.precision, options.max_batch if self._limits.gears else None
        )

    def versions(self) -> Mapping[str, str]:
        return {"openvino": self._openvino.get_version()}

    def _require_known(self, artifact: ModelArtifact) -> None:
        """Raises CompileError for what the vendor's compiler would not take."""
        if artifact.format != "onnx":
            cause = f"it is an .{artifact.format}, which holds the code of a card, and nothing but that card runs it"
            raise self._refusal(artifact.path, cause, "name the ONNX model that it was made of")
        try:
            lacking = self._limits.lacks(_operators(artifact.path))
        except ValueError as error:
            raise self._refusal(artifact.path, str(error), _CHECK) from error
        if lacking:
            hint = "an int8 model runs on openvino and onnxruntime" if QUANTISED & {*lacking} else None
            raise self._refusal(artifact.path, f"{self._limits.compiler} does not have: {', '.join(lacking)}", hint)

    def _refusal(self, path: Path, cause: str, hint: str | None) -> CompileError:
        return CompileError(
            f"{self.spec.name} does not compile {path}",
            backend=self.spec.name,
            stage="compiling",
            cause_text=cause,
            hint=hint,
        )

    @property
    def _precisions(self) -> tuple[Precision, ...]:
        return tuple(precision for precision in self._limits.precisions if precision != "auto")


def _operators(path: Path) -> Iterator[str]:
    """The ONNX operators of a file. Raises ValueError for one that is no model."""
    for number, graph in fields(memoryview(path.read_bytes())):
        if number == _GRAPH and isinstance(graph, memoryview):
            for kind, node in fields(graph):
                if kind == _NODE and isinstance(node, memoryview):
                    yield from (
                        bytes(name).decode("utf-8", "replace")
                        for what, name in fields(node)
                        if what == _OPERATOR and isinstance(name, memoryview)
                    )


def _require_fixed_sizes(model: Any) -> None:
    for port in model.inputs:
        if any(length.is_dynamic for length in list(port.partial_shape)[1:]):
            raise ValueError(f"the input {port.any_name} leaves more open than its batch: {port.partial_shape}")
