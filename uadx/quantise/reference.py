"""The float64 truth of a quantised graph, in NumPy alone: what every engine that runs int8 is compared with.

Rounding to 8 bits is part of the model and is done as ONNX says it; all sums are exact. An engine that adds in
integers or float32 may round a value that lies between two steps to the other one, so it differs by single steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from uadx.stfpm.reference import convolve, max_pool

Array = NDArray[Any]


def level_maps(model: bytes, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The outputs of a quantised STFPM graph by name, for uint8 RGB images [N, H, W, 3], one after another."""
    graph = onnx.load_from_string(model).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rows = [_run(graph, {**constants, "image": images[at : at + 1]}) for at in range(len(images))]
    return {
        output.name: np.concatenate([row[output.name] for row in rows]).astype(np.float32) for output in graph.output
    }


def _run(graph: Any, values: dict[str, Array]) -> dict[str, Array]:
    for node in graph.node:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        values[node.output[0]] = OPERATORS[node.op_type](*(values[name] for name in node.input), **attributes)
    return values


def _quantize(x: Array, scale: Array, zero: Array, axis: int = 1) -> Array:
    limits = np.iinfo(zero.dtype)
    steps = np.round(x / _along(scale, axis, x).astype(np.float64)) + _along(zero, axis, x)
    return np.clip(steps, limits.min, limits.max).astype(zero.dtype)


def _dequantize(x: Array, scale: Array, zero: Array, axis: int = 1) -> Array:
    return (x.astype(np.float64) - _along(zero, axis, x)) * _along(scale, axis, x)


def _along(values: Array, axis: int, x: Array) -> Array:
    """A value, or one for each index of an axis, in a shape that meets x."""
    return (
        values
        if values.ndim == 0 or values.size == 1
        else values.reshape([-1 if d == axis else 1 for d in range(x.ndim)])
    )


def _conv(x: Array, weight: Array, bias: Array, strides: list[int], **_: object) -> Array:
    return convolve(x, weight.astype(np.float64), strides[0]) + bias[:, None, None]


OPERATORS: Mapping[str, Callable[..., Array]] = {
    "Add": lambda a, b: a + b,
    "Cast": lambda x, to: x.astype(np.float64),
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "MaxPool": lambda x, **_: max_pool(x),
    "Mul": lambda a, b: a * b,
    "QuantizeLinear": _quantize,
    "Reciprocal": lambda x: 1 / x,
    "ReduceSum": lambda x, axes, keepdims: x.sum(tuple(axes), keepdims=bool(keepdims)),
    "Relu": lambda x: np.maximum(x, 0),
    "Sqrt": np.sqrt,
    "Sub": lambda a, b: a - b,
    "Transpose": lambda x, perm: x.transpose(perm),
}
"""What the graph of uadx.stfpm.graph is made of, and the pairs that quantising adds."""
