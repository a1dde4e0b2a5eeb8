"""The calls of Paddle that list devices and run programs, one method each: a value, or SdkError in Paddle's words.

Nothing here ends the process: Paddle aborts it for devices that it was not built for, so what it was built with is
asked first (vendors' devices that are plugins of Paddle, `enable_custom_device`, are not used).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from uadx_kunlun.builder import Graph, build
from uadx_kunlun.errors import from_paddle
from uadx_kunlun.sdk import Config, Paddle, Predictor

if TYPE_CHECKING:
    from uadx.api import Array, Precision

_LOG_LEVEL = "GLOG_minloglevel"
_ERRORS_ONLY = "2"

# PaddleX leaves these two out on an XPU (paddlex/inference/models: STFPM is in its list for Kunlunxin)
_FAULTY_ON_XPU = ("conv2d_bn_xpu_fuse_pass", "transfer_layout_pass")

_BUILDING = threading.Lock()
"""Paddle traces a program in the state of the process."""


def load() -> Paddle:
    """Import the SDK. Raises ImportError.

    Its log goes to standard error from the first line on and has but this variable. What it does to the process
    unasked is undone: handlers of SIGTERM and the like, OMP_NUM_THREADS=1.
    """
    before = dict(os.environ)
    os.environ.setdefault(_LOG_LEVEL, _ERRORS_ONLY)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No ccache found")
            paddle = cast("Paddle", import_module("paddle"))
            import_module("paddle.inference")
    finally:
        for name in [name for name, value in os.environ.items() if before.get(name) != value]:
            del os.environ[name]
        os.environ.update(before)
    paddle.disable_signal_handler()
    return paddle


class Binding:
    """The calls. A predictor belongs to the thread that made it."""

    def __init__(self, paddle: Paddle) -> None:
        self._paddle = paddle

    def version(self) -> str:
        return self._paddle.__version__

    def xre_version(self) -> str | None:
        """Of the card's runtime that this Paddle was built with, None in the build for the CPU."""
        return str(self._paddle.version.xpu_xre()) if self.has_xpu() else None

    def has_xpu(self) -> bool:
        """Whether this Paddle is built for Kunlunxin cards."""
        return self._paddle.device.is_compiled_with_xpu()

    def xpu_count(self) -> int:
        with _calling("paddle.device.xpu.device_count"):
            return self._paddle.device.xpu.device_count()

    def xpu_memory(self, index: int) -> tuple[int, int]:
        """Used and total bytes."""
        with _calling("paddle.device.xpu.memory_used"):
            return self._paddle.device.xpu.memory_used(index), self._paddle.device.xpu.memory_total(index)

    def save(self, graph: Graph, prefix: Path) -> tuple[Path, Path]:
        """Build the program of a graph, on the CPU; the files of the program and of its weights."""
        with _BUILDING, _calling("paddle.jit.save"):
            before = self._paddle.device.get_device()
            try:
                self._paddle.device.set_device("cpu")
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="no variable in your model")  # it has no weights
                    build(self._paddle, graph, prefix)
            finally:
                self._paddle.device.set_device(before)
        program = next(path for path in map(prefix.with_suffix, (".json", ".pdmodel")) if path.exists())
        return program, prefix.with_suffix(".pdiparams")

    def cpu_config(self, program: Path, weights: Path, threads: int, precision: Precision) -> Config:
        """With oneDNN, which is four times as fast as Paddle's own kernels and as exact.

        bf16 is ignored by oneDNN where the CPU lacks it.
        """
        with _calling("paddle.inference.Config"):
            config = self._config(program, weights)
            config.enable_mkldnn()
            config.set_cpu_math_library_num_threads(threads)
            if precision == "bf16":
                config.enable_mkldnn_bfloat16()
            return config

    def xpu_config(self, program: Path, weights: Path, index: int) -> Config:
        with _calling("paddle.inference.Config.enable_xpu"):
            config = self._config(program, weights)
            config.enable_xpu()
            config.set_xpu_device_id(index)
            for name in _FAULTY_ON_XPU:
                config.delete_pass(name)
            return config

    def create_predictor(self, config: Config) -> Predictor:
        with _calling("paddle.inference.create_predictor"):
            return self._paddle.inference.create_predictor(config)

    def run(self, predictor: Predictor, inputs: Sequence[Array]) -> list[Array]:
        """Outputs in the order of the program, in memory of their own. Paddle checks neither dtype nor shape."""
        with _calling("paddle.inference.Predictor.run"):
            for name, array in zip(predictor.get_input_names(), inputs, strict=True):
                predictor.get_input_handle(name).copy_from_cpu(array)
            predictor.run()
            return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

    def _config(self, program: Path, weights: Path) -> Config:
        config = self._paddle.inference.Config(str(program), str(weights))
        config.disable_glog_info()
        return config


@contextmanager
def _calling(call: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Paddle raises its own kinds, RuntimeError and ValueError
        raise from_paddle(call, error) from error
