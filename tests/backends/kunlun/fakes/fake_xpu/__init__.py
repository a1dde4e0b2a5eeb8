"""A strict stand-in for Paddle's calls for Kunlunxin cards, over Paddle's real build for the CPU.

Programs are built and run by Paddle itself, so that the results are true. What Paddle would answer with an error is
that error, in its words; what it would take in silence or answer with garbage raises MisuseError, and is kept, so
that require_clean finds it where it was swallowed.
"""

from __future__ import annotations

import gc
from typing import Any

from fake_xpu.card import Card, Knobs, MisuseError
from fake_xpu.inference import Inference

__all__ = ["FakePaddle", "Knobs", "MisuseError"]


class Xpu:
    def __init__(self, card: Card) -> None:
        self._card = card

    def device_count(self) -> int:
        if not self._card.knobs.driver:
            words = "XPU API return wrong value[-1], please check whether Baidu Kunlun Card is properly installed."
            raise RuntimeError(f"(External) {words}")
        return self._card.knobs.devices

    def memory_total(self, device: int, /) -> int:
        self._card.require_device(device)
        return self._card.knobs.memory

    def memory_used(self, device: int, /) -> int:
        self._card.require_device(device)
        return self._card.used(device)


class Device:
    def __init__(self, card: Card) -> None:
        self._card, self.xpu = card, Xpu(card)

    def is_compiled_with_xpu(self) -> bool:
        return self._card.knobs.built_with_xpu

    def get_device(self) -> str:
        return self._card.current

    def set_device(self, device: str, /) -> None:
        if device not in ("cpu", "xpu:0"):
            self._card.misuse(f"set_device({device!r})")
        self._card.current = device


class Jit:
    def __init__(self, card: Card, real: Any) -> None:
        self._card, self._save, self.not_to_static = card, real.save, real.not_to_static
        self.dy2static = real.dy2static  # Paddle's own code looks for it by this path when it builds a program

    def save(self, layer: Any, path: str, /, *, input_spec: list[list[Any]]) -> None:
        if self._card.current != "cpu":
            self._card.misuse("a program is built in the memory of a card, which has none to spare")
        self._save(layer, path, input_spec=input_spec)
        self._card.programs[path] = {
            spec.name: (str(spec.dtype).rpartition(".")[2], spec.shape) for spec in input_spec[0]
        }


class Version:
    def xpu_xre(self) -> str:
        return "5.0.21.24"


class FakePaddle:
    """What `import paddle` gives where Paddle is built for the card. real: the module."""

    def __init__(self, real: Any, **knobs: Any) -> None:
        self._real = real
        self.card = Card(Knobs(**knobs))
        self.device = Device(self.card)
        self.inference = Inference(self.card, real.inference)
        self.jit = Jit(self.card, real.jit)
        self.version = Version()

    def __getattr__(self, name: str) -> Any:
        """All else is the real one's, which knows its names and their arguments best."""
        return getattr(self._real, name)

    def require_clean(self) -> None:
        """Nothing was misused and no predictor is left, after all models are closed."""
        gc.collect()
        left = sum(self.card.predictors.values())
        if self.card.misuses or left or self.card.current != "xpu:0":
            raise AssertionError(f"misuses {self.card.misuses}, predictors {left}, device {self.card.current}")
