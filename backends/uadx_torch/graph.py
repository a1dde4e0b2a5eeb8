"""An ONNX graph as a list of torch calls: weights from the initialisers by name, constant parts computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from uadx.api import TensorSpec
from uadx_torch.operators import AXES_INPUT, DTYPES, OPERATORS, Operator

_UNSUPPORTED_ATTRIBUTES = {"auto_pad": (b"NOTSET", b""), "storage_order": (0,), "training_mode": (0,)}


class UnsupportedError(Exception):
    """A graph that holds what the executor does not know; the text names all of it."""


@dataclass(frozen=True)
class _Step:
    """One call. last: the values that nothing needs after it."""

    operator: Operator
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    last: tuple[str, ...]


class Graph:
    """A model on one device; call it with tensors by input name. Holds no state between calls."""

    def __init__(self, path: Path, device: torch.device, dtype: torch.dtype) -> None:
        """dtype: what convolutions compute in. Raises UnsupportedError, and onnx's own errors for a broken file."""
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
        graph = model.graph
        if not graph.node:
            raise UnsupportedError("the file is empty: a model without nodes")
        _check(graph)
        constants = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
        self.inputs = tuple(_spec(value) for value in graph.input if value.name not in constants)
        self.outputs = tuple(_spec(value) for value in graph.output)
        steps = _folded(graph, constants)
        convolved = {name for step in steps if step.operator is OPERATORS["Conv"] for name in step.inputs[1:]}
        self._constants = {
            name: _placed(constants[name], device, dtype if name in convolved else None)
            for step in steps
            for name in step.inputs
            if name in constants
        }
        self._steps = _with_lifetimes(steps, {spec.name for spec in self.outputs} | set(self._constants))

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name, on the device, in whatever dtype the last operator gave."""
        values: dict[str, Tensor | None] = {"": None, **self._constants, **inputs}
        with torch.inference_mode():
            for step in self._steps:
                values[step.output] = step.operator([values[name] for name in step.inputs], step.attributes)
                for name in step.last:
                    del values[name]
        outputs = {spec.name: values[spec.name] for spec in self.outputs}
        return {name: value for name, value in outputs.items() if value is not None}


def _check(graph: onnx.GraphProto) -> None:
    unknown = {node.op_type for node in graph.node} - set(OPERATORS)
    for node in graph.node:
        for attribute in node.attribute:
            allowed = _UNSUPPORTED_ATTRIBUTES.get(attribute.name)
            if allowed is not None and helper.get_attribute_value(attribute) not in allowed:
                unknown.add(f"{node.op_type} with {attribute.name}")
        if len([name for name in node.output if name]) > 1:
            unknown.add(f"{node.op_type} with several outputs")
    if {"QuantizeLinear", "DequantizeLinear"} & unknown:
        raise UnsupportedError("an int8 model runs on openvino and onnxruntime, not on torch")
    if unknown:
        raise UnsupportedError(f"operators that this backend does not have: {', '.join(sorted(unknown))}")


def _folded(graph: onnx.GraphProto, constants: dict[str, Tensor]) -> list[_Step]:
    """The nodes that depend on an input; the others are computed now and join the constants."""
    steps = []
    for node in graph.node:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        inputs = tuple(node.input)
        if node.op_type.startswith("Reduce") and len(inputs) > AXES_INPUT:
            if inputs[AXES_INPUT] not in constants:
                raise UnsupportedError(f"{node.op_type} over axes that are no constant")
            attributes["axes"] = constants[inputs[AXES_INPUT]].tolist()  # on a device, each call would wait for them
            inputs = inputs[:AXES_INPUT]
        step = _Step(OPERATORS[node.op_type], inputs, node.output[0], attributes, ())
        if all(name in constants for name in step.inputs if name):
            known = [constants.get(name) for name in step.inputs]
            constants[step.output] = step.operator(known, attributes)
        else:
            steps.append(step)
    return steps


def _with_lifetimes(steps: list[_Step], kept: set[str]) -> list[_Step]:
    """The steps, each with the values that it is the last to need, so that memory does not grow with depth."""
    done, needed = [], set(kept)
    for step in reversed(steps):
        last = {name for name in step.inputs if name} - needed
        needed |= last
        done.append(_Step(step.operator, step.inputs, step.output, step.attributes, tuple(last)))
    return done[::-1]


def _tensor(tensor: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(tensor)))  # a copy: onnx's array is read only


def _placed(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    tensor = tensor.to(device=device, dtype=dtype)
    # the layout that cuDNN's and oneDNN's kernels want; activations follow the weights
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    shape = value.type.tensor_type.shape.dim
    dtype = str(DTYPES[int(value.type.tensor_type.elem_type)]).removeprefix("torch.")
    return TensorSpec(value.name, tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in shape), dtype)
