"""Kunlunxin cards through Paddle Inference: the CPU's program with another config, and how many cards there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from uadx.api import CompileOptions, DeviceInfo
from uadx.errors import UnavailableError
from uadx.machine import Machine
from uadx_kunlun.backend import PaddleBackend
from uadx_kunlun.discovery import driver_version, model_name, nodes
from uadx_kunlun.errors import SdkError, advice_on
from uadx_kunlun.model import Memory
from uadx_kunlun.sdk import Config

CPU_BUILD = "this Paddle is built for the CPU alone"
NOT_COUNTED = "it has a device node, and Paddle counts no such card: see `xpu-smi`"


class KunlunBackend(PaddleBackend):
    """Selectors are Paddle's numbers: "0", "1". machine: where device nodes are looked for."""

    machine = Machine()
    offered = ("f32",)
    other_precision = (
        "--precision auto takes what it runs; Paddle's variable XPU_PADDLE_CONV_FLOAT=1 asks for float32 where the "
        "card has it"
    )

    def devices(self) -> Sequence[DeviceInfo]:
        count, present = self._count(), len(nodes(self.machine))
        if count and any(name in self.machine.environ for name in self.spec.visible_env):
            present = count  # the other nodes are hidden on purpose
        reason = NOT_COUNTED if self._sdk.has_xpu() else CPU_BUILD
        if not count and not present:
            raise self._unavailable("Paddle counts no card" if self._sdk.has_xpu() else CPU_BUILD)
        name = model_name(self.machine) or "XPU"
        return [
            DeviceInfo(
                str(index),
                name,
                "kunlunxin",
                "xpu",
                index,
                precisions=(),  # what a card computes float32 in is measured when a model is compiled
                unusable="" if index < count else reason,
            )
            for index in range(max(count, present))
        ]

    def versions(self) -> Mapping[str, str]:
        found = {"xre": self._sdk.xre_version(), "driver": driver_version(self.machine)}
        return {**super().versions(), **{name: version for name, version in found.items() if version is not None}}

    def _config(self, index: int, options: CompileOptions, program: Path, weights: Path) -> Config:
        return self._sdk.xpu_config(program, weights, index)

    def _memory(self, index: int) -> Memory | None:
        return partial(self._sdk.xpu_memory, index)

    def _count(self) -> int:
        if not self._sdk.has_xpu():
            return 0
        try:
            return self._sdk.xpu_count()
        except SdkError as error:
            raise self._unavailable(str(error)) from error

    def _unavailable(self, cause: str) -> UnavailableError:
        return UnavailableError(
            "Paddle has no Kunlunxin card here",
            backend="kunlun",
            stage="counting the cards",
            cause_text=cause,
            hint=advice_on(cause),
        )
