"""paddle.inference with a card: configs that remember the order of calls, predictors that belong to a thread."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fake_xpu.card import Card

Inputs = dict[str, tuple[str, tuple[int, ...]]]


class Config:
    """inputs: of the program."""

    def __init__(self, card: Card, real: Any, inputs: Inputs) -> None:
        self._card, self._real, self.inputs = card, real, inputs
        self._xpu, self._device_id, self._spent = False, 0, False

    def disable_glog_info(self) -> None:
        self._change()
        self._real.disable_glog_info()

    def enable_xpu(self) -> None:
        self._change()
        if not self._card.knobs.built_with_xpu:
            self._real.enable_xpu()  # the build for the CPU refuses it
        self._xpu = True

    def set_xpu_device_id(self, device_id: int, /) -> None:
        self._change()
        if not self._xpu:
            self._real.set_xpu_device_id(device_id)  # refuses it too
        self._device_id = device_id

    def use_xpu(self) -> bool:
        return self._xpu

    def xpu_device_id(self) -> int:
        return self._device_id

    def delete_pass(self, name: str, /) -> None:
        self._change()
        if name not in ("conv2d_bn_xpu_fuse_pass", "transfer_layout_pass"):
            self._card.misuse(f"there is no pass {name!r} to delete")

    def for_the_cpu(self) -> Any:
        """The real config, once: one config makes one predictor."""
        self._change()
        if not self._xpu:
            self._card.misuse("a predictor for the CPU was made in place of one for the card")
        self._spent = True
        self._real.enable_mkldnn()
        return self._real

    def _change(self) -> None:
        if self._spent:
            self._card.misuse("a config was used again after its predictor was made")


class Handle:
    def __init__(self, card: Card, real: Any, predictor: Predictor, name: str) -> None:
        self._card, self._real, self._predictor, self._name = card, real, predictor, name

    def copy_from_cpu(self, data: NDArray[Any], /) -> None:
        self._predictor.require_thread()
        if type(data) is not np.ndarray or not data.flags.c_contiguous or data.size == 0:
            self._card.misuse("copy_from_cpu wants a contiguous array of NumPy that is not empty")
        dtype, shape = self._predictor.inputs[self._name]
        known = tuple(-1 if want == -1 else have for have, want in zip(data.shape, shape, strict=False))
        if data.dtype.name != dtype or known != shape or data.ndim != len(shape):
            self._card.misuse(f"Paddle takes {data.dtype} {data.shape} for {dtype} {shape} and gives garbage")
        self._real.copy_from_cpu(data)
        self._predictor.fed.add(self._name)

    def copy_to_cpu(self) -> NDArray[np.float32]:
        self._predictor.require_thread()
        if not self._predictor.ran:
            self._card.misuse("copy_to_cpu before run gives what was in the memory")
        return self._card.rounded(self._real.copy_to_cpu())


class Predictor:
    def __init__(self, card: Card, real: Any, index: int, inputs: Inputs) -> None:
        self._card, self._real, self.inputs = card, real, inputs
        self._thread = threading.get_ident()
        self.fed: set[str] = set()
        self.ran = False
        weakref.finalize(self, card.give_back, index)

    def get_input_names(self) -> list[str]:
        return self._real.get_input_names()

    def get_output_names(self) -> list[str]:
        return self._real.get_output_names()

    def get_input_handle(self, name: str, /) -> Handle:
        return Handle(self._card, self._real.get_input_handle(name), self, name)

    def get_output_handle(self, name: str, /) -> Handle:
        return Handle(self._card, self._real.get_output_handle(name), self, name)

    def run(self) -> None:
        self.require_thread()
        self._card.require_alive()
        if self.fed != self.inputs.keys():
            self._card.misuse("run before every input was copied")
        self._real.run()
        self.fed, self.ran = set(), True

    def require_thread(self) -> None:
        if threading.get_ident() != self._thread:
            self._card.misuse("a predictor was used by another thread than the one that made it")


class Inference:
    def __init__(self, card: Card, real: Any) -> None:
        self._card, self._real_config, self._real_create = card, real.Config, real.create_predictor

    def Config(self, program: str, weights: str, /) -> Config:  # noqa: N802
        path = program.rpartition(".")[0]
        if path not in self._card.programs or weights != f"{path}.pdiparams":
            self._card.misuse(f"{program} and {weights} are no files of one program")
        return Config(self._card, self._real_config(program, weights), self._card.programs[path])

    def create_predictor(self, config: Config, /) -> Predictor:
        index = config.xpu_device_id()
        self._card.require_device(index)
        self._card.take(index)
        return Predictor(self._card, self._real_create(config.for_the_cpu()), index, config.inputs)
