"""PyTorch: the ONNX graph as torch calls, or a TorchScript file, on any device that torch has."""

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
    Precision,
)
from uadx.errors import CompileError, ConfigError, UnavailableError
from uadx_torch.devices import devices
from uadx_torch.graph import Graph, read
from uadx_torch.model import TorchModel
from uadx_torch.precision import DTYPES, PRECISIONS
from uadx_torch.script import Script


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
        dtype = self._dtype(found, options.precision)
        place = torch.device(found.selector)
        program: Graph | Script
        hint: str | None
        try:
            if artifact.format == "torchscript":
                hint = "make it again with this torch: uadx export --format torchscript"
                program = _script(artifact, place, dtype)
            else:
                hint = "it takes a whole ONNX model with its weights inside"
                model = read(artifact.path)
                hint = None
                program = Graph(model, place, dtype)
            hint = None
            return TorchModel(program, place, options)
        except UnavailableError:
            raise
        except Exception as error:
            raise CompileError(
                f"torch does not compile {artifact.path} for {found.selector}",
                backend="torch",
                stage="compiling",
                cause_text=str(error) or type(error).__name__,
                hint=hint,
            ) from error

    def versions(self) -> Mapping[str, str]:
        found = {"torch": str(torch.__version__), "onnx": onnx.__version__, "cuda": torch.version.cuda}
        if torch.backends.cudnn.is_available():  # type: ignore[no-untyped-call]
            found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
        return {name: version for name, version in found.items() if version is not None}

    def _device(self, selector: str) -> DeviceInfo:
        """The listed device of that name, or the first of a kind that torch calls by its kind alone."""
        listed = self.devices()
        full = f"{selector}:0" if selector in ("cuda", "xpu") else selector
        seen = next((device for device in listed if device.selector == full), None)
        if seen is not None and not seen.unusable:
            return seen
        # "cuda:3" is unusable for the reason that cuda is, where no card is listed
        family = [device for device in listed if device.selector.partition(":")[0] == full.partition(":")[0]]
        reasons = [device.unusable for device in ([seen] if seen else family) if device.unusable]
        raise UnavailableError(
            f"torch has no device {selector!r} here; it has: "
            + ", ".join(device.selector for device in listed if not device.unusable),
            backend="torch",
            stage=f"opening {selector}",
            cause_text=reasons[0] if reasons else None,
            hint=None if reasons else f"name one of them: --device torch:{listed[0].selector}",
        )

    def _dtype(self, device: DeviceInfo, precision: Precision) -> torch.dtype:
        """auto: half precision on CUDA cards, which have units for it, and float32 elsewhere."""
        if precision == "auto":
            return torch.float16 if device.selector.startswith("cuda") else torch.float32
        if precision not in device.precisions:
            raise UnavailableError(
                f"torch has no {precision} on {device.selector}; it has: {', '.join(device.precisions)}",
                backend="torch",
                stage=f"opening {device.selector}",
                hint="an int8 model runs on openvino and onnxruntime" if precision == "int8" else None,
            )
        return DTYPES[precision]


def _script(artifact: ModelArtifact, place: torch.device, dtype: torch.dtype) -> Script:
    script = Script(artifact.path, place)
    if script.dtype != dtype:
        raise UnavailableError(
            f"{artifact.path} was made for {script.precision}, and {PRECISIONS[dtype]} is asked for",
            backend="torch",
            hint=f"--precision {script.precision}, or export it in {PRECISIONS[dtype]}",
        )
    return script
