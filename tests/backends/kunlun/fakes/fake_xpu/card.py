"""The machine with its cards: what it has, what goes wrong with it, and what was done to it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

PREDICTOR = 64 << 20
"""Bytes that a predictor takes."""


class MisuseError(Exception):
    """A call that Paddle would not refuse, and that is wrong."""


@dataclass
class Knobs:
    """devices: cards that Paddle counts. lost: the card answers no more. bits: behind the point, that it keeps."""

    devices: int = 2
    built_with_xpu: bool = True
    driver: bool = True
    memory: int = 32 << 30
    lost: bool = False
    bits: int = 23


@dataclass
class Card:
    """current: the device that Paddle's own functions use. predictors: that are alive, by card.

    programs: dtype and shape of the inputs of what was saved, by path.
    """

    knobs: Knobs
    current: str = "xpu:0"
    predictors: Counter[int] = field(default_factory=Counter)
    programs: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = field(default_factory=dict)
    misuses: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def misuse(self, what: str) -> NoReturn:
        self.misuses.append(what)
        raise MisuseError(what)

    def require_device(self, index: int) -> None:
        if type(index) is not int or index < 0:
            self.misuse(f"card {index!r}")
        if index >= self.knobs.devices:
            raise RuntimeError(
                "(InvalidArgument) id must less than XPU count (at /paddle/phi/backends/xpu/xpu_info.cc:127)"
            )

    def require_alive(self) -> None:
        if self.knobs.lost:
            raise RuntimeError("(External) XPU Error <713>, Device abnormal due to previous error")

    def used(self, index: int) -> int:
        return self.predictors[index] * PREDICTOR

    def take(self, index: int) -> None:
        with self.lock:
            if self.used(index) + PREDICTOR > self.knobs.memory:
                raise RuntimeError(
                    f"\n\n--------------\nC++ Traceback (most recent call last):\n--------------\n0 some_kernel()\n\n"
                    f"--------------\nError Message Summary:\n--------------\nResourceExhaustedError: \n\n"
                    f"Out of memory error on XPU {index}. Cannot allocate 64.0MB memory on XPU {index}.\n"
                )
            self.predictors[index] += 1

    def give_back(self, index: int) -> None:
        with self.lock:
            self.predictors[index] -= 1

    def rounded(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """As a card that computes in fewer bits would give them."""
        mantissa, exponent = np.frexp(values)
        steps = np.float32(2.0 ** (self.knobs.bits + 1))
        return np.ldexp(np.round(mantissa * steps) / steps, exponent)
