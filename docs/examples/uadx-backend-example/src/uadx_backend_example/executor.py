"""Runs an ONNX graph with NumPy. It stands where a chip's SDK would: it knows nothing of uadx."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from uadx_backend_example.operators import OPERATORS, Array

DEVICES = 2
"""Logical devices. They are alike, so that what is said of one number is not said of all."""


class UnsupportedError(Exception):
    """A graph with operators, or attributes of them, that are not in OPERATORS. The message names all."""


class Tensor(NamedTuple):
    """An input or output of a graph. shape: -1 for a dynamic length. dtype: NumPy's name."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Step(NamedTuple):
    """A node as it is executed. An input that is left out is "". last: values that no later step needs."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    last: tuple[str, ...] = ()

    def result(self, values: Mapping[str, Array]) -> Array:
        arguments = (values[name] if name else None for name in self.inputs)
        return np.asarray(OPERATORS[self.operator](*arguments, **self.attributes))


class Executor:
    """A model on one device; run may be called by several threads at once.

    Raises UnsupportedError, and whatever onnx or NumPy raise of a file that they cannot read or run.
    computed: the NumPy names of all floating-point types that results had in a trial run on zeros.
    """

    def __init__(self, path: Path, device: int) -> None:
        if device not in range(DEVICES):
            raise IndexError(f"there is no device {device}: there are {DEVICES}")
        self.device = device
        model = onnx.load(path)
        _refuse({_name(node) for node in model.graph.node} - OPERATORS.keys())
        onnx.checker.check_model(model, full_check=True)
        graph = model.graph
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.inputs = tuple(_tensor(value) for value in graph.input if value.name not in self._constants)
        self.outputs = tuple(_tensor(value) for value in graph.output)
        self._steps = self._fold(_steps(model))
        trial = {name: np.zeros([max(1, n) for n in shape], dtype) for name, shape, dtype in self.inputs}
        _, self.computed = self._compute(trial)

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays by name in and out. Inputs are not written to, outputs are memory of their own."""
        return self._compute(batch)[0]

    def _compute(self, batch: Mapping[str, Array]) -> tuple[dict[str, Array], frozenset[str]]:
        """The outputs, and the floating-point types of all results."""
        values, types = {**self._constants, **batch}, set()
        with np.errstate(all="ignore"):  # infinities and NaN are values, and stand in the outputs
            for step in self._steps:
                values[step.output] = result = step.result(values)
                if result.dtype.kind not in "iub":
                    types.add(result.dtype.name)
                for name in step.last:
                    del values[name]
        return {tensor.name: np.array(values[tensor.name], order="C") for tensor in self.outputs}, frozenset(types)

    def _fold(self, steps: Iterable[Step]) -> list[Step]:
        """Compute what depends on no input once, and find where each other value is used last."""
        left = []
        for step in steps:
            if all(name in self._constants for name in step.inputs if name):
                self._constants[step.output] = step.result(self._constants)
            else:
                left.append(step)
        kept = {*self._constants, *(tensor.name for tensor in self.outputs), ""}
        ordered = []
        for step in reversed(left):
            last = {step.output, *step.inputs} - kept
            kept |= last
            ordered.append(step._replace(last=tuple(last)))
        return ordered[::-1]


def _steps(model: onnx.ModelProto) -> list[Step]:
    """The nodes, whose order ONNX guarantees, once it is sure that each can be run as it is written."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    steps, unsupported = [], set()
    for node in model.graph.node:
        defaults = onnx.defs.get_schema(node.op_type, opset).attributes
        attributes = {
            attribute.name: helper.get_attribute_value(attribute)
            for attribute in node.attribute
            if attribute != defaults[attribute.name].default_value
        }
        taken = inspect.signature(OPERATORS[node.op_type]).parameters
        unsupported |= {f"{node.op_type} with {name}" for name in attributes if name not in taken}
        if any(node.output[1:]):
            unsupported.add(f"{node.op_type} with {len(node.output)} outputs")
        steps.append(Step(node.op_type, tuple(node.input), node.output[0], attributes))
    _refuse(unsupported)
    return steps


def _refuse(unsupported: set[str]) -> None:
    if unsupported:
        raise UnsupportedError(f"there is no {', no '.join(sorted(unsupported))}; there is: {', '.join(OPERATORS)}")


def _name(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim)
    return Tensor(value.name, shape, helper.tensor_dtype_to_np_dtype(kind.elem_type).name)
