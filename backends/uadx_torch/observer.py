"""Watches torch's own dispatcher while a graph runs once: on which device its operators ran, in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from uadx_torch import tf32

NAMES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


@dataclass
class Seen:
    """devices: those of all results. convolved: the dtypes of convolutions; computed: those of all float results."""

    devices: set[torch.device] = field(default_factory=set)
    convolved: set[torch.dtype] = field(default_factory=set)
    computed: set[torch.dtype] = field(default_factory=set)

    @property
    def device(self) -> str:
        """All devices that took part; more than one fits no request."""
        return ",".join(sorted(str(device) for device in self.devices))

    @property
    def precision(self) -> str:
        """That of the convolutions, which are nearly all of the work; TF32 is float32 that keeps ten bits."""
        dtypes = self.convolved or self.computed
        if dtypes == {torch.float32} and any(device.type == "cuda" for device in self.devices) and tf32.is_on():
            return "tf32"
        return "/".join(sorted(NAMES.get(dtype, str(dtype)) for dtype in dtypes))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    def __init__(self, seen: Seen) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        result: object = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self.seen.devices.add(tensor.device)
                if tensor.is_floating_point():
                    self.seen.computed.add(tensor.dtype)
                    if "conv" in str(func):
                        self.seen.convolved.add(tensor.dtype)
        return result


@contextlib.contextmanager
def observe() -> Iterator[Seen]:
    """What runs on this thread meanwhile."""
    seen = Seen()
    with _Watch(seen):
        yield seen
