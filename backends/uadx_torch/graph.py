"""An ONNX graph as a list of torch calls: weights from the initialisers by name, constant parts computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from onnx.external_data_helper import uses_external_data
from torch import Tensor

from uadx.api import TensorSpec
from uadx_torch.operators import OPERATORS, REDUCTIONS, torch_dtype

Watch = Callable[[str, Tensor], None]
"""Told each operator's name and its result."""

# attributes that change what an operator computes, each with the values under which it is the one that is known here
_KNOWN_VALUES: Mapping[str, tuple[object, ...]] = {
    "auto_pad": (b"NOTSET", b""),
    "noop_with_empty_axes": (0,),
    "storage_order": (0,),
    "training_mode": (0,),
}


class UnsupportedError(Exception):
    """A graph that holds what the executor does not know; the text names all of it."""


@dataclass(frozen=True)
class _Step:
    """One call. last: the values that nothing needs after it."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    last: tuple[str, ...] = ()

    def run(self, values: Mapping[str, Tensor | None]) -> Tensor:
        return OPERATORS[self.operator]([values[name] for name in self.inputs], self.attributes)


def read(path: Path) -> onnx.ModelProto:
    """The model, checked by onnx, whose errors it raises. Files beside it are not opened: UnsupportedError."""
    model = onnx.load(path, load_external_data=False)
    if any(uses_external_data(tensor) for tensor in model.graph.initializer):
        raise UnsupportedError("its weights are in another file")
    onnx.checker.check_model(model)
    return model


class Graph:
    """A model on one device; call it with tensors by input name. Holds no state between calls.

    constants: the tensors that it computes with, by name. dtype: what convolutions compute in.
    """

    def __init__(self, model: onnx.ModelProto, device: torch.device, dtype: torch.dtype) -> None:
        """Raises UnsupportedError."""
        graph = model.graph
        if lacking := sorted(set(_unsupported(graph))):
            raise UnsupportedError(f"the torch backend does not have: {', '.join(lacking)}")
        constants: dict[str, Tensor | None] = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
        self.dtype = dtype
        self.inputs = tuple(_spec(value) for value in graph.input if value.name not in constants)
        self.outputs = tuple(_spec(value) for value in graph.output)
        constants[""] = None
        steps = _folded(graph, constants)
        results = {spec.name for spec in self.outputs}
        needed = results.union(*(step.inputs for step in steps))
        convolved = {name for step in steps if step.operator == "Conv" for name in step.inputs[1:]}
        self.constants = {
            name: _placed(value, device, dtype if name in convolved else None)
            for name, value in constants.items()
            if name in needed and value is not None
        }
        self._steps = _with_lifetimes(steps, results | {"", *self.constants})

    def __call__(self, inputs: Mapping[str, Tensor], watch: Watch | None = None) -> dict[str, Tensor]:
        """Outputs by name, on the device, in the dtypes of the model file."""
        with torch.inference_mode():
            return self.compute({**self.constants, **inputs}, watch)

    def compute(self, given: Mapping[str, Tensor], watch: Watch | None = None) -> dict[str, Tensor]:
        """The same of inputs and constants together, in the caller's mode: for what traces a graph."""
        values: dict[str, Tensor | None] = {"": None, **given}  # "": an optional input that is left out
        for step in self._steps:
            value = values[step.output] = step.run(values)
            if watch is not None:
                watch(step.operator, value)
            for name in step.last:
                del values[name]
        outputs = {spec.name: (values[spec.name], getattr(torch, spec.dtype)) for spec in self.outputs}
        return {name: value.to(dtype) for name, (value, dtype) in outputs.items() if value is not None}


def _unsupported(graph: onnx.GraphProto) -> Iterator[str]:
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield f"{node.op_type} (an int8 model runs on openvino and onnxruntime)"
        elif node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            yield f"{node.domain}.{node.op_type}".lstrip(".")
        elif len([name for name in node.output if name]) > 1:
            yield f"{node.op_type} with several outputs"
        elif node.op_type in REDUCTIONS and any(name and name not in constants for name in node.input[1:]):
            yield f"{node.op_type} with computed axes"
        for attribute in node.attribute:
            known = _KNOWN_VALUES.get(attribute.name)
            if known is not None and helper.get_attribute_value(attribute) not in known:
                yield f"{node.op_type} with {attribute.name}"


def _folded(graph: onnx.GraphProto, constants: dict[str, Tensor | None]) -> list[_Step]:
    """The nodes that depend on an input; the others are computed now and join the constants."""
    steps = []
    for node in graph.node:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        step = _Step(node.op_type, tuple(node.input), node.output[0], attributes)
        if node.op_type in REDUCTIONS and (axes := constants[(*node.input, "", "")[1]]) is not None:
            # an input since opset 13 or 18: read once, or every run would wait for the device
            step = replace(step, inputs=step.inputs[:1], attributes={**attributes, "axes": axes.tolist()})
        if all(name in constants for name in step.inputs):
            constants[step.output] = step.run(constants)
        else:
            steps.append(step)
    return steps


def _with_lifetimes(steps: list[_Step], kept: set[str]) -> list[_Step]:
    """The steps, each with the values that it is the last to need, so that memory does not grow with depth."""
    done, needed = [], set(kept)
    for step in reversed(steps):
        last = set(step.inputs) - needed
        needed |= last
        done.append(replace(step, last=tuple(last)))
    return done[::-1]


def _tensor(tensor: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(tensor).copy())  # onnx's array is read only


def _placed(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    tensor = tensor.to(device=device, dtype=dtype)
    # the layout that cuDNN's and oneDNN's kernels want; activations follow the weights
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """NumPy's names of dtypes are torch's."""
    tensor = value.type.tensor_type
    shape = tuple(length.dim_value if length.HasField("dim_value") else -1 for length in tensor.shape.dim)
    return TensorSpec(value.name, shape, str(torch_dtype(tensor.elem_type)).removeprefix("torch."))
