"""Cambricon: the torch backend's executor on the device mlu:N, which torch_mlu adds to torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import cast

from uadx.api import (
    Backend,
    BackendSpec,
    CompiledModel,
    CompileOptions,
    DeviceInfo,
    DeviceRef,
    ModelArtifact,
)
from uadx.errors import CompileError, ConfigError, UnavailableError
from uadx_cambricon.sdk import Mlu, load


class CambriconBackend(Backend):
    """Takes no options. binding: a stand-in for torch.mlu."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        if options:
            raise ConfigError(
                f"options.cambricon has {', '.join(sorted(options))}, and cambricon takes no options",
                hint="remove them from the devices file",
            )
        self._mlu = load() if binding is None else cast("Mlu", binding)

    def devices(self) -> Sequence[DeviceInfo]:
        if not self._mlu.is_available():
            return []
        bf16 = ("bf16",) if self._mlu.is_bf16_supported() else ()
        return [
            DeviceInfo(
                f"mlu:{index}",
                self._mlu.get_device_name(index),
                "cambricon",
                "mlu",
                index,
                memory=self._mlu.get_device_properties(index).total_memory,
                precisions=("f32", *bf16, "f16"),
            )
            for index in range(self._mlu.device_count())
        ]

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        import torch  # by now loaded together with torch_mlu
        from uadx_torch.graph import Graph, read
        from uadx_torch.precision import DTYPES

        from uadx_cambricon.model import CambriconModel

        found = self._device(device.selector)
        precision = "f32" if options.precision == "auto" else options.precision
        if precision not in found.precisions:
            raise UnavailableError(
                f"cambricon has no {precision} on {found.selector}; it has: {', '.join(found.precisions)}",
                backend="cambricon",
                stage=f"opening {found.selector}",
            )
        hint: str | None = "it takes a whole ONNX model with its weights inside"
        try:
            model = read(artifact.path)
            hint = None
            graph = Graph(model, torch.device(found.selector), DTYPES[precision])
            return CambriconModel(graph, self._mlu, found.index, options)
        except Exception as error:
            raise CompileError(
                f"torch_mlu does not compile {artifact.path} for {found.selector}",
                backend="cambricon",
                stage="compiling",
                cause_text=str(error) or type(error).__name__,
                hint=hint,
            ) from error

    def versions(self) -> Mapping[str, str]:
        found = {"torch": str(import_module("torch").__version__)}
        try:
            return {**found, "torch_mlu": version("torch_mlu")}
        except PackageNotFoundError:  # the vendor's images carry it without metadata
            return {**found, "torch_mlu": str(getattr(import_module("torch_mlu"), "__version__", "unknown"))}

    def _device(self, selector: str) -> DeviceInfo:
        listed = self.devices()
        for device in listed:
            if selector in (device.selector, device.selector.removesuffix(":0")):
                return device
        raise UnavailableError(
            f"cambricon has no device {selector!r} here; it has: {', '.join(d.selector for d in listed) or 'none'}",
            backend="cambricon",
            stage=f"opening {selector}",
            hint="a card is called as torch calls it: --device cambricon:mlu:0, or --device mlu:0",
        )
