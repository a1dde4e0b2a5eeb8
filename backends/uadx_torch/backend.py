"""PyTorch: the ONNX graph as torch calls, on any device that torch has.

float32 means float32: TF32 is switched off for the process when a model is compiled for f32 on CUDA. Device and
precision are read back from a first run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import torch

from uadx.api import (
    Backend,
    BackendSpec,
    CompiledModel,
    CompileOptions,
    DeviceInfo,
    DeviceRef,
    ModelArtifact,
    Placement,
    Precision,
)
from uadx.errors import CompileError, ConfigError, UnavailableError
from uadx_torch import tf32
from uadx_torch.devices import devices
from uadx_torch.graph import Graph
from uadx_torch.model import TorchModel
from uadx_torch.observer import observe

DTYPES: Mapping[Precision, torch.dtype] = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class TorchBackend(Backend):
    """Takes no options."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        if options:
            raise ConfigError(
                f"options.torch has {', '.join(sorted(options))}, and torch takes no options here",
                hint="remove them from the devices file",
            )

    def devices(self) -> Sequence[DeviceInfo]:
        return list(devices())

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        found = self._device(device.selector)
        place = torch.device(found.selector)
        dtype = self._dtype(found, options.precision)
        if dtype == torch.float32 and place.type == "cuda":
            tf32.switch_off()
        try:
            graph = Graph(artifact.path, place, dtype)
            placement = _first_run(graph, place)
        except Exception as error:
            raise CompileError(
                f"torch does not compile {artifact.path} for {found.selector}",
                backend="torch",
                stage="compiling",
                cause_text=f"{type(error).__name__}: {error}",
                hint=self._advice(error),
            ) from error
        return TorchModel(graph, place, placement)

    def versions(self) -> Mapping[str, str]:
        found = {"torch": str(torch.__version__), "onnx": onnx.__version__}
        if torch.version.cuda is not None:
            found["cuda"] = torch.version.cuda
        return found

    def _device(self, selector: str) -> DeviceInfo:
        """The listed device of that name; torch's own shorthand for the first is taken. Raises UnavailableError."""
        listed = self.devices()
        full = f"{selector}:0" if selector in ("cuda", "xpu") else selector
        for device in listed:
            if device.selector == full and not device.unusable:
                return device
        seen = [device for device in listed if device.selector == full]
        usable = ", ".join(device.selector for device in listed if not device.unusable)
        raise UnavailableError(
            f"torch has no device {selector!r} here; it has: {usable}",
            backend="torch",
            stage=f"opening {selector}",
            cause_text=seen[0].unusable if seen else None,
            hint=None if seen else f"name one of them: --device torch:{listed[0].selector}",
        )

    def _dtype(self, device: DeviceInfo, precision: Precision) -> torch.dtype:
        """auto: half precision where the card has units for it, and float32 elsewhere."""
        if precision == "auto":
            return torch.float16 if device.selector.startswith("cuda") else torch.float32
        if precision not in device.precisions or precision not in DTYPES:
            raise UnavailableError(
                f"torch has no {precision} on {device.selector}; it has: {', '.join(device.precisions)}",
                backend="torch",
                hint="an int8 model runs on openvino and onnxruntime" if precision == "int8" else None,
            )
        return DTYPES[precision]

    def _advice(self, error: Exception) -> str | None:
        broken = isinstance(error, (onnx.checker.ValidationError, ValueError)) or "protobuf" in str(type(error)).lower()
        return "check that the file is whole and is an ONNX model" if broken else None


def _first_run(graph: Graph, device: torch.device) -> Placement:
    """Where a batch of one really ran, and in which precision."""
    shapes = {spec.name: [max(length, 1) for length in spec.shape] for spec in graph.inputs}
    inputs = {
        spec.name: torch.zeros(shapes[spec.name], dtype=getattr(torch, spec.dtype), device=device)
        for spec in graph.inputs
    }
    with observe() as seen:
        graph(inputs)
    return Placement(seen.device, seen.precision, {"threads": str(torch.get_num_threads())})
