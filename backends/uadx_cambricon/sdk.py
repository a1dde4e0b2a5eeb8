"""The functions of torch_mlu that uadx calls, and how it is loaded.

`import torch_mlu` adds `torch.mlu` and the device "mlu:N" to torch, and must come after `import torch`
(https://github.com/Cambricon/torch_mlu, torch_mlu/mlu/__init__.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast


class Properties(Protocol):
    """Of one card. total_memory: bytes."""

    total_memory: int


class Mlu(Protocol):
    """torch.mlu."""

    def is_available(self) -> bool: ...
    def device_count(self) -> int: ...
    def get_device_name(self, device: int) -> str: ...
    def get_device_properties(self, device: int) -> Properties: ...
    def is_bf16_supported(self) -> bool: ...
    def mem_get_info(self, device: int) -> tuple[int, int]: ...


def load() -> Mlu:
    """Raises whatever the import of torch or torch_mlu raises."""
    torch = import_module("torch")
    import_module("torch_mlu")
    return cast("Mlu", torch.mlu)
