"""Keeps float32 what it says while a model of float32 is open.

torch may compute the convolutions of float32 tensors in TF32 (NVIDIA; cuDNN's default) or in bfloat16 (oneDNN, on
request): https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices. Its
switches are the process's, so setting them for each request would race with the requests beside it. They are set when
the first model is opened and put back when the last one is closed.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch

DTYPES: Mapping[str, torch.dtype] = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
PRECISIONS = {dtype: precision for precision, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Switch:
    """module: below torch.backends. full: the values under which float32 is float32; the first is the one to set."""

    module: str
    name: str
    full: tuple[object, ...]

    def read(self) -> Any:
        """Its value; a full one where this torch lacks it, or refuses to read it beside newer switches."""
        try:
            return attrgetter(f"{self.module}.{self.name}")(torch.backends)
        except (AttributeError, RuntimeError):
            return self.full[0]

    def write(self, value: object) -> None:
        setattr(attrgetter(self.module)(torch.backends), self.name, value)


# The older switches set the newer ones and come first. torch 2.9 has both, and refuses to read the older where the
# two differ; older torch has no other. "none" is not set anywhere: an inherited value is read as what it is.
_IEEE = ("ieee", "none")
SWITCHES: Mapping[str, tuple[Switch, ...]] = {
    "cuda": (
        Switch("cudnn", "allow_tf32", (False,)),
        Switch("cuda.matmul", "allow_tf32", (False,)),
        Switch("cudnn.conv", "fp32_precision", _IEEE),
        Switch("cuda.matmul", "fp32_precision", _IEEE),
    ),
    # torch_mlu's: https://github.com/Cambricon/torch_mlu, torch_mlu/backends
    "mlu": (Switch("cnnl", "allow_tf32", (False,)), Switch("mlu.matmul", "allow_tf32", (False,))),
    "cpu": (Switch("mkldnn.conv", "fp32_precision", _IEEE),),
}


class FullPrecision:
    """Holds the switches of one type of device, such as "cuda", for as many models as are open."""

    def __init__(self, switches: tuple[Switch, ...]) -> None:
        self._switches = switches
        self._before: list[tuple[Switch, object]] = []
        self._models = 0
        self._lock = threading.Lock()

    def acquire(self) -> None:
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch 2.9 deprecates the older switches that it still needs in step
            if not self._models:
                self._before = self._lax()
                for switch, _ in self._before:
                    switch.write(switch.full[0])
            self._models += 1

    def release(self) -> None:
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._models -= 1
            if not self._models:
                for switch, value in self._before:
                    switch.write(value)

    def in_effect(self) -> str:
        """What torch computes float32 in now: "f32", or "tf32" or "bf16" where its switches allow that."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lax = self._lax()
        return str(lax[0][1]).replace("True", "tf32") if lax else "f32"

    def _lax(self) -> list[tuple[Switch, object]]:
        read = [(switch, switch.read()) for switch in self._switches]
        return [(switch, value) for switch, value in read if value not in switch.full]


_HELD = {kind: FullPrecision(switches) for kind, switches in SWITCHES.items()}


def full_precision(device: torch.device) -> FullPrecision:
    """The holder of a device's switches; one without any for a device that torch has none for."""
    return _HELD.setdefault(device.type, FullPrecision(()))
