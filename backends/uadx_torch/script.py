"""A TorchScript file: written from a graph, and read as what TorchModel runs.

What the file does not say of itself, names, shapes and the precision, is JSON in it, under `uadx.json`
(https://docs.pytorch.org/docs/stable/generated/torch.jit.save.html, _extra_files).
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from uadx.api import TensorSpec
from uadx_torch.graph import Graph, UnsupportedError, Watch
from uadx_torch.module import GraphModule
from uadx_torch.precision import PRECISIONS

_ABOUT = "uadx.json"
_SOURCES = ".debug_pkl"


def write(graph: Graph, path: Path) -> None:
    """Trace the graph, for batches of any size. Raises torch's errors."""
    example = tuple(
        torch.zeros([abs(length) for length in spec.shape], dtype=getattr(torch, spec.dtype)) for spec in graph.inputs
    )
    about = {
        "inputs": [asdict(spec) for spec in graph.inputs],
        "outputs": [asdict(spec) for spec in graph.outputs],
        "precision": PRECISIONS[graph.dtype],
    }
    whole = io.BytesIO()
    with _undeprecated(), torch.no_grad():
        traced = torch.jit.trace(GraphModule(graph), example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, whole, {_ABOUT: json.dumps(about)})
    # torch notes beside the code which files of this machine it was traced from: nobody else's business
    with ZipFile(whole) as saved, ZipFile(path, "w") as kept:
        for member in saved.infolist():
            if not member.filename.endswith(_SOURCES):
                kept.writestr(member, saved.read(member))


class Script:
    """A file that `write` made, on one device; used like a Graph. precision: what its convolutions compute in."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises UnsupportedError for a file that says nothing of itself, and torch's errors."""
        said = {_ABOUT: ""}
        with _undeprecated():
            self._module = torch.jit.load(path, device, said)  # type: ignore[no-untyped-call]
        try:
            about = json.loads(said[_ABOUT])
            self.inputs, self.outputs = (
                tuple(TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in about[side])
                for side in ("inputs", "outputs")
            )
            self.precision = str(about["precision"])
            self.dtype = next(dtype for dtype, precision in PRECISIONS.items() if precision == self.precision)
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise UnsupportedError(f"{_ABOUT}, which `uadx export` puts into it, is not there or not valid") from error

    def __call__(self, inputs: Mapping[str, Tensor], watch: Watch | None = None) -> dict[str, Tensor]:
        """Outputs by name, on the device."""
        given = [inputs[spec.name] for spec in self.inputs]
        with torch.inference_mode():
            if watch is None:
                values = self._module(*given)
            else:
                with _Watching(watch):
                    values = self._module(*given)
        return {spec.name: value for spec, value in zip(self.outputs, values, strict=True)}


class _Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells of each operator that torch runs, the script's too, by the names that a graph's operators have."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch = watch

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self._watch("Conv" if "convolution" in str(func) else str(func), result)
        return result


@contextmanager
def _undeprecated() -> Iterator[None]:
    """Newer torch warns that TorchScript is not developed any further."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
        yield
