"""The CUDA devices that the driver sees, for the listing: ONNX Runtime itself counts none before it has a session.

The driver API alone, because it makes no context
(https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html). Its numbers are those after
CUDA_VISIBLE_DEVICES, as ONNX Runtime's are.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

from uadx.errors import UnavailableError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


@dataclass(frozen=True)
class Card:
    """name: the driver's. memory: bytes."""

    name: str
    memory: int


def cards(library: Any | None = None) -> list[Card]:
    """The cards in the order of their numbers. Raises UnavailableError in the driver's words where there is none."""
    try:
        driver = library or ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise _unavailable("there is no NVIDIA driver", str(error)) from error
    count = ctypes.c_int()
    _check(driver, driver.cuInit(0), "cuInit")
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    return [_card(driver, index) for index in range(count.value)]


def _card(driver: Any, index: int) -> Card:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), index), "cuDeviceGet")
    _check(driver, driver.cuDeviceGetName(name, len(name), device), "cuDeviceGetName")
    _check(driver, driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
    return Card(name.value.decode(errors="replace"), memory.value)


def _check(driver: Any, code: int, call: str) -> None:
    if code:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(code, ctypes.byref(text))
        words = (text.value or b"unknown error").decode(errors="replace")
        raise _unavailable("the NVIDIA driver has no card ready", f"{call}: {words} ({code})")


def _unavailable(message: str, words: str) -> UnavailableError:
    return UnavailableError(
        message,
        backend="onnxruntime",
        stage="looking for CUDA devices",
        cause_text=words,
        hint="install the NVIDIA driver, or see what nvidia-smi says",
    )
