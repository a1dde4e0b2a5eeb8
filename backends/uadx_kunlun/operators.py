"""The ONNX operators that the builder knows, each as one small call of Paddle.

A function takes the module paddle, the operator's inputs (None for an omitted one) and its attributes, and gives its
one output. Definitions: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from uadx_kunlun.sdk import Paddle

Inputs = Sequence[Any]  # Paddle's tensors; None for an optional one that is left out
Attributes = Mapping[str, Any]
Operator = Callable[[Paddle, Inputs, Attributes], Any]

DTYPES: Mapping[int, str] = {
    1: "float32",
    10: "float16",
    11: "float64",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
}
"""The names that Paddle and NumPy have for ONNX's types (TensorProto.DataType of onnx.proto, whose package this module
does without)."""


def _padding(paddle: Paddle, value: Any, attributes: Attributes, fill: float) -> tuple[Any, list[int]]:
    """What Paddle takes as padding; pads that differ between begin and end are applied beforehand."""
    top, left, bottom, right = attributes.get("pads", [0] * 4)
    if (top, left) == (bottom, right):
        return value, [top, left]
    return paddle.nn.functional.pad(value, [left, right, top, bottom], value=fill), [0, 0]


def _conv(paddle: Paddle, inputs: Inputs, attributes: Attributes) -> Any:
    value, weight, bias = (*inputs, None)[:3]
    value, padding = _padding(paddle, value, attributes, 0.0)
    return paddle.nn.functional.conv2d(
        value,
        weight,
        bias,
        stride=attributes.get("strides", [1, 1]),
        padding=padding,
        dilation=attributes.get("dilations", [1, 1]),
        groups=attributes.get("group", 1),
    )


def _max_pool(paddle: Paddle, inputs: Inputs, attributes: Attributes) -> Any:
    value, padding = _padding(paddle, inputs[0], attributes, float("-inf"))
    return paddle.nn.functional.max_pool2d(
        value,
        attributes["kernel_shape"],
        stride=attributes.get("strides", [1, 1]),
        padding=padding,
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _batch_norm(paddle: Paddle, inputs: Inputs, attributes: Attributes) -> Any:
    value, scale, bias, mean, variance = inputs
    epsilon = attributes.get("epsilon", 1e-5)
    return paddle.nn.functional.batch_norm(value, mean, variance, scale, bias, training=False, epsilon=epsilon)


def _divide(paddle: Paddle, inputs: Inputs, _: Attributes) -> Any:
    if "float" not in str(inputs[0].dtype):
        raise ValueError("Div of integers, which Paddle divides as numbers with a fraction")
    return paddle.divide(*inputs)


def _sum(paddle: Paddle, inputs: Inputs, attributes: Attributes) -> Any:
    return paddle.sum(inputs[0], axis=attributes.get("axes"), keepdim=bool(attributes.get("keepdims", 1)))


def _mean(paddle: Paddle, inputs: Inputs, attributes: Attributes) -> Any:
    return paddle.mean(inputs[0], axis=attributes.get("axes"), keepdim=bool(attributes.get("keepdims", 1)))


def _transpose(paddle: Paddle, inputs: Inputs, attributes: Attributes) -> Any:
    return paddle.transpose(inputs[0], attributes.get("perm", list(reversed(range(len(inputs[0].shape))))))


REDUCTIONS: Mapping[str, Operator] = {"ReduceMean": _mean, "ReduceSum": _sum}
"""Their second input, if any, is given as the attribute `axes`."""

OPERATORS: Mapping[str, Operator] = {
    "Add": lambda paddle, inputs, _: paddle.add(*inputs),
    "BatchNormalization": _batch_norm,
    "Cast": lambda paddle, inputs, attributes: paddle.cast(inputs[0], DTYPES[attributes["to"]]),
    "Conv": _conv,
    "Div": _divide,
    "Identity": lambda paddle, inputs, _: paddle.assign(inputs[0]),
    "MaxPool": _max_pool,
    "Mul": lambda paddle, inputs, _: paddle.multiply(*inputs),
    "Reciprocal": lambda paddle, inputs, _: paddle.reciprocal(inputs[0]),
    "Relu": lambda paddle, inputs, _: paddle.nn.functional.relu(inputs[0]),
    "Sqrt": lambda paddle, inputs, _: paddle.sqrt(inputs[0]),
    "Sub": lambda paddle, inputs, _: paddle.subtract(*inputs),
    "Transpose": _transpose,
    **REDUCTIONS,
}
