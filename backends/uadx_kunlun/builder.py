"""A Paddle program made from an ONNX file, operator by operator, with Paddle's own functions, and saved by Paddle.

Built by the Paddle that will run it, because the file differs between releases (`.pdmodel` until 2.6, `.json` since 3).
Vendors' converters are not needed for a dozen operators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from uadx.api import TensorSpec
from uadx_kunlun.operators import DTYPES, OPERATORS, REDUCTIONS, Attributes
from uadx_kunlun.sdk import Paddle

# attributes that change what an operator computes, each with the values under which it is the one that is known here
_KNOWN_VALUES: Mapping[str, tuple[object, ...]] = {
    "auto_pad": (b"NOTSET", b""),
    "noop_with_empty_axes": (0,),
    "storage_order": (0,),
    "training_mode": (0,),
}


class UnsupportedError(Exception):
    """A graph that holds what the builder does not know; the text names all of it."""


@dataclass(frozen=True)
class Graph:
    """An ONNX graph that the builder knows. constants: float16 weights that are only cast are float32 in here."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Node:
    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Attributes


def read(path: Path) -> Graph:
    """Raises onnx's errors for a file that is no model, UnsupportedError for one that is not known here.

    Files beside it are not opened.
    """
    model = onnx.load(path, load_external_data=False)
    if any(uses_external_data(tensor) for tensor in model.graph.initializer):
        raise UnsupportedError("its weights are in another file")
    onnx.checker.check_model(model)
    graph = model.graph
    if lacking := sorted(set(_unsupported(graph))):
        raise UnsupportedError(f"the paddle backend does not have: {', '.join(lacking)}")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = tuple(_spec(value) for value in graph.input if value.name not in constants)
    outputs = tuple(map(_spec, graph.output))
    nodes = tuple(_without_constants(graph, constants))
    used = {name for node in nodes for name in node.inputs} | {spec.name for spec in outputs}
    return Graph(inputs, outputs, nodes, {name: value for name, value in constants.items() if name in used})


def build(paddle: Paddle, graph: Graph, prefix: Path) -> None:
    """Save the program as `prefix` with Paddle's endings. Inputs and outputs keep their order; 3.x renames outputs."""

    class Program(paddle.nn.Layer):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            for number, value in enumerate(graph.constants.values()):
                self.register_buffer(f"constant{number}", paddle.to_tensor(value))

        def forward(self, inputs):  # type: ignore[no-untyped-def]
            return self.computed(inputs)

        @paddle.jit.not_to_static
        def computed(self, inputs: list[Any]) -> list[Any]:
            values: dict[str, Any] = {"": None}
            values |= {spec.name: value for spec, value in zip(graph.inputs, inputs, strict=True)}
            values |= {name: getattr(self, f"constant{number}") for number, name in enumerate(graph.constants)}
            for node in graph.nodes:
                operands = [values[name] for name in node.inputs]
                values[node.output] = OPERATORS[node.operator](paddle, operands, node.attributes)
            return [values[spec.name] for spec in graph.outputs]

    program = Program()
    program.eval()
    specs = [paddle.static.InputSpec(list(spec.shape), spec.dtype, spec.name) for spec in graph.inputs]
    paddle.jit.save(program, str(prefix), input_spec=[specs])


def _unsupported(graph: onnx.GraphProto) -> Iterator[str]:
    constants = {tensor.name for tensor in graph.initializer}
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
            value = helper.get_attribute_value(attribute)
            if attribute.name in _KNOWN_VALUES and value not in _KNOWN_VALUES[attribute.name]:
                yield f"{node.op_type} with {attribute.name}"
            if attribute.name == "to" and value not in DTYPES:
                yield f"{node.op_type} to {onnx.TensorProto.DataType.Name(value)}"
            if attribute.name == "dilations" and node.op_type == "MaxPool" and set(value) != {1}:
                yield "MaxPool with dilations"


def _without_constants(graph: onnx.GraphProto, constants: dict[str, NDArray[np.generic]]) -> Iterator[Node]:
    """The nodes, without casts of constants, which are done now, and with axes as attributes."""
    for node in graph.node:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        inputs = tuple(node.input)
        if node.op_type == "Cast" and inputs[0] in constants:
            constants[node.output[0]] = constants[inputs[0]].astype(DTYPES[attributes["to"]])
            continue
        if node.op_type in REDUCTIONS and any(inputs[1:]):
            attributes["axes"] = [int(axis) for axis in constants[inputs[1]]]
        if node.op_type in REDUCTIONS:
            inputs = inputs[:1]
        yield Node(node.op_type, inputs, node.output[0], attributes)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    if tensor.elem_type not in DTYPES:
        raise UnsupportedError(f"{value.name} is no tensor of a type that Paddle has")
    shape = tuple(length.dim_value if length.HasField("dim_value") else -1 for length in tensor.shape.dim)
    return TensorSpec(value.name, shape, DTYPES[tensor.elem_type])
