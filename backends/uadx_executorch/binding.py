"""ExecuTorch's runtime: a program loaded and run, or SdkError in its own words, which it writes to sys.stderr only.

Reference: https://docs.pytorch.org/executorch/stable/runtime-python-api-reference.html.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

from uadx.api import TensorSpec
from uadx.cores import core_limit

_LOG = re.compile(r"\[\w+\.(?:cpp|h):\d+\] ")
_HEARING = threading.Lock()
_FORWARD = "forward"
_DTYPES = {0: "uint8", 6: "float32"}
"""Those of a bundle's tensors, by their numbers in torch's c10::ScalarType."""


class SdkError(Exception):
    """A call of ExecuTorch that failed, in its words."""


def load() -> Any:
    """Import the SDK. Raises ImportError.

    What it does to the process unasked is undone: a variable for a backend that is not used. Its threads, which are
    the process's, are as many as may be used.
    """
    before = dict(os.environ)
    try:
        with quiet():
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
    with _heard():
        cores = core_limit()
        if cores is not None and portable_lib._threadpool_get_thread_count() > cores:
            portable_lib._unsafe_reset_threadpool(cores)  # unsafe while a program runs
        return Runtime.get()


def threads() -> int:
    """How many ExecuTorch runs a program with."""
    from executorch.extension.pybindings import portable_lib

    return int(portable_lib._threadpool_get_thread_count())


class Program:
    """A .pte that `lower` made. inputs, outputs: its tensors, of one image. precision: what it computes in."""

    def __init__(self, runtime: Any, content: bytes) -> None:
        """Raises SdkError."""
        with _heard() as said:
            try:
                self._program = runtime.load_program(content)
                self._method = self._program.load_method(_FORWARD)
            except RuntimeError as error:
                raise SdkError("\n".join([str(error), *said()])) from error
        missing = {"inputs", "outputs", "precision"} - self._program.method_names
        if missing:
            raise SdkError(f"the program does not say its {', '.join(sorted(missing))}")
        described = self._method.metadata
        self.inputs = self._specs("inputs", [described.input_tensor_meta(i) for i in range(described.num_inputs())])
        self.outputs = self._specs("outputs", [described.output_tensor_meta(i) for i in range(described.num_outputs())])
        (self.precision,) = self._constant("precision")

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Tensors of torch in and out, in order; the outputs are the caller's. Raises SdkError."""
        try:
            return list(self._method.execute(inputs))
        except RuntimeError as error:
            raise SdkError(str(error)) from error

    def _constant(self, name: str) -> list[str]:
        return list(self._program.load_method(name).execute([]))

    def _specs(self, side: str, tensors: Sequence[Any]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name, tuple(tensor.sizes()), _DTYPES[tensor.dtype()])
            for name, tensor in zip(self._constant(side), tensors, strict=True)
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings that ExecuTorch's use of torch calls forth stay unsaid: they are to its makers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _heard() -> Iterator[Callable[[], list[str]]]:
    """Keeps the runtime's lines off sys.stderr; gives a function for those until now. What others write in the
    meantime appears at the end."""
    with _HEARING:
        text = io.StringIO()
        try:
            with redirect_stderr(text):
                yield lambda: [_LOG.sub("", line) for line in text.getvalue().splitlines() if _LOG.match(line)]
        finally:
            sys.stderr.writelines(line for line in text.getvalue().splitlines(True) if not _LOG.match(line))
