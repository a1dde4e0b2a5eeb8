"""Paddle Inference: a program built from the ONNX file, or one that was exported, run on the CPU."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import onnx

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
from uadx.errors import CompileError, ConfigError, PlacementError, UnavailableError
from uadx_kunlun.binding import Binding, load
from uadx_kunlun.builder import Graph, read
from uadx_kunlun.errors import SdkError, advice_on
from uadx_kunlun.model import Memory, PaddleModel
from uadx_kunlun.precision import measured
from uadx_kunlun.program import Program
from uadx_kunlun.program import read as read_program
from uadx_kunlun.sdk import Config, Paddle


class PaddleBackend(Backend):
    """Takes no options. binding: a stand-in for the module paddle."""

    offered: tuple[Precision, ...] = ("f32", "bf16")
    """What may be asked for, beside "auto", which is the first."""

    other_precision = "--precision auto takes what it runs"
    """What to do where the device computes in another one than was asked for."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        if options:
            raise ConfigError(
                f"options.{spec.name} has {', '.join(sorted(options))}, and {spec.name} takes no options here",
                hint="remove them from the devices file",
            )
        self._sdk = Binding(load() if binding is None else cast("Paddle", binding))

    def devices(self) -> Sequence[DeviceInfo]:
        return [DeviceInfo("cpu", f"CPU ({platform.machine()})", "any", "cpu", precisions=self._measured)]

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        found = self._device(device.selector)
        if options.precision not in (*self.offered, "auto"):
            raise UnavailableError(
                f"{self.spec.name} has no {options.precision} on {found.selector}; it has: {', '.join(self.offered)}",
                backend=self.spec.name,
                stage=f"opening {found.selector}",
                hint="an int8 model runs on openvino and onnxruntime" if options.precision == "int8" else None,
            )
        built = artifact.format == "paddle"
        try:
            model = read_program(artifact.path) if built else read(artifact.path)
        except Exception as error:
            wanted = "uadx export --format paddle" if built else "it takes a whole ONNX model with its weights inside"
            raise self._refusal(artifact, error, wanted) from error
        try:
            return self._compiled(model, found, options)
        except SdkError as error:
            raise self._refusal(artifact, error, advice_on(str(error))) from error

    def versions(self) -> Mapping[str, str]:
        return {"paddle": self._sdk.version(), "onnx": onnx.__version__}

    @cached_property
    def _measured(self) -> tuple[str, ...]:
        """The precisions that oneDNN has on this CPU: it ignores what it lacks, and says nothing."""
        return tuple(asked for asked in self.offered if self._precision("cpu", 0, CompileOptions(asked)) == asked)

    def _precision(self, selector: str, index: int, options: CompileOptions) -> str:
        """What the device computes in, with these options. Raises UnavailableError where it does not compute."""
        try:
            return measured(self._sdk, partial(self._config, index, options))
        except SdkError as error:
            raise UnavailableError(
                f"{self.spec.name}:{selector} cannot be used",
                backend=self.spec.name,
                stage=f"opening {selector}",
                cause_text=str(error),
                hint=advice_on(str(error)),
            ) from error

    def _config(self, index: int, options: CompileOptions, program: Path, weights: Path) -> Config:
        """index: of the device."""
        return self._sdk.cpu_config(program, weights, options.threads or _cores(), options.precision)

    def _memory(self, index: int) -> Memory | None:
        return None

    def _compiled(self, model: Graph | Program, device: DeviceInfo, options: CompileOptions) -> PaddleModel:
        precision = self._precision(device.selector, device.index, options)
        if options.precision not in ("auto", precision):
            raise PlacementError(
                f"{self.spec.name}:{device.selector} was asked for {options.precision}, but computes in {precision}",
                backend=self.spec.name,
                hint=self.other_precision,
            )
        with tempfile.TemporaryDirectory(prefix="uadx-paddle-") as folder:
            if isinstance(model, Graph):
                model = Program(*self._sdk.save(model, Path(folder) / "model"), model.inputs, model.outputs)
            config = self._config(device.index, options, model.path, model.weights)
            placement = _read_back(config, precision)
            return PaddleModel(self._sdk, model, config, self.spec.name, placement, self._memory(device.index))

    def _device(self, selector: str) -> DeviceInfo:
        listed = self.devices()
        for device in listed:
            if device.selector == selector and not device.unusable:
                return device
        usable = [device.selector for device in listed if not device.unusable]
        reasons = [device.unusable for device in listed if device.unusable]
        raise UnavailableError(
            f"{self.spec.name} has no device {selector!r} here; it has: {', '.join(usable) or 'none'}",
            backend=self.spec.name,
            stage=f"opening {selector}",
            cause_text=None if usable else reasons[0],
            hint=f"name one of them: --device {self.spec.name}:{usable[0]}" if usable else advice_on(reasons[0]),
        )

    def _refusal(self, artifact: ModelArtifact, error: Exception, hint: str | None) -> CompileError:
        return CompileError(
            f"Paddle does not compile {artifact.path}",
            backend=self.spec.name,
            stage="compiling",
            cause_text=str(error) or type(error).__name__,
            hint=hint,
        )


def _cores() -> int:
    """That this process may use: fewer than the machine's in a container."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _read_back(config: Config, precision: str) -> Placement:
    """Of the config that the predictor is made from; a predictor itself says nothing of where it runs."""
    if config.use_xpu():
        return Placement(str(config.xpu_device_id()), precision)
    details = {"onednn": str(config.mkldnn_enabled()), "threads": str(config.cpu_math_library_num_threads())}
    return Placement("gpu" if config.use_gpu() else "cpu", precision, details)
