"""The ONNX operators that the executor knows, each as one small torch function.

A function takes the operator's inputs (None for an omitted one) and its attributes, and gives its one output.
Convolutions compute in the dtype of their weights; what comes after the last of them, norms and distances, computes
in float32 whatever the precision. Definitions: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.nn import functional

Attributes = Mapping[str, Any]
Operator = Callable[[Sequence[Tensor | None], Attributes], Tensor]

DTYPES: Mapping[int, torch.dtype] = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.BFLOAT16: torch.bfloat16,
    onnx.TensorProto.DOUBLE: torch.float64,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.BOOL: torch.bool,
}


def _given(inputs: Sequence[Tensor | None], index: int) -> Tensor | None:
    return inputs[index] if index < len(inputs) else None


def _value(inputs: Sequence[Tensor | None], index: int = 0) -> Tensor:
    value = inputs[index]
    assert value is not None, "a required input is omitted"
    return value


def _wide(value: Tensor) -> Tensor:
    """At least float32: half precision keeps too few bits for a norm and overflows in a square."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _elementwise(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda inputs, _: function(_wide(_value(inputs)), _wide(_value(inputs, 1)))


def _cast(inputs: Sequence[Tensor | None], attributes: Attributes) -> Tensor:
    return _value(inputs).to(DTYPES[attributes["to"]])


def _padded(value: Tensor, attributes: Attributes, fill: float) -> tuple[Tensor, list[int]]:
    """What torch takes as padding; pads that differ between begin and end are applied beforehand."""
    pads = list(attributes.get("pads", [0] * 4))
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return value, pads[:half]
    # torch counts from the last axis, begin and end in turn
    reverse = [pad for axis in reversed(range(half)) for pad in (pads[axis], pads[axis + half])]
    return functional.pad(value, reverse, value=fill), [0] * half


def _conv(inputs: Sequence[Tensor | None], attributes: Attributes) -> Tensor:
    weight = _value(inputs, 1)
    value, padding = _padded(_value(inputs).to(weight.dtype), attributes, 0.0)
    return functional.conv2d(
        value,
        weight,
        _given(inputs, 2),
        stride=attributes.get("strides", [1, 1]),
        padding=padding,
        dilation=attributes.get("dilations", [1, 1]),
        groups=attributes.get("group", 1),
    )


def _max_pool(inputs: Sequence[Tensor | None], attributes: Attributes) -> Tensor:
    value, padding = _padded(_value(inputs), attributes, float("-inf"))
    return functional.max_pool2d(
        value,
        attributes["kernel_shape"],
        stride=attributes.get("strides", [1, 1]),
        padding=padding,
        dilation=attributes.get("dilations", [1, 1]),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _batch_norm(inputs: Sequence[Tensor | None], attributes: Attributes) -> Tensor:
    value = _value(inputs)
    scale, bias, mean, variance = (_value(inputs, index).to(value.dtype) for index in range(1, 5))
    return functional.batch_norm(value, mean, variance, scale, bias, eps=attributes.get("epsilon", 1e-5))


def _reduced(function: Callable[..., Tensor]) -> Operator:
    def reduce(inputs: Sequence[Tensor | None], attributes: Attributes) -> Tensor:
        value = _wide(_value(inputs))
        axes = tuple(attributes.get("axes") or range(value.ndim))
        return function(value, dim=axes, keepdim=bool(attributes.get("keepdims", 1)))

    return reduce


def _transpose(inputs: Sequence[Tensor | None], attributes: Attributes) -> Tensor:
    value = _value(inputs)
    return value.permute(attributes.get("perm", tuple(reversed(range(value.ndim)))))


def _add(inputs: Sequence[Tensor | None], _: Attributes) -> Tensor:
    """Residual connections stay in the precision of the convolutions that they join."""
    return _value(inputs) + _value(inputs, 1)


AXES_INPUT = 1
"""Where ReduceSum since opset 13, and ReduceMean since 18, take their axes; an attribute before."""

OPERATORS: Mapping[str, Operator] = {
    "Add": _add,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Conv": _conv,
    "Div": _elementwise(torch.div),
    "Identity": lambda inputs, _: _value(inputs),
    "MaxPool": _max_pool,
    "Mul": _elementwise(torch.mul),
    "Reciprocal": lambda inputs, _: torch.reciprocal(_wide(_value(inputs))),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Relu": lambda inputs, _: torch.relu(_value(inputs)),
    "Sqrt": lambda inputs, _: torch.sqrt(_wide(_value(inputs))),
    "Sub": _elementwise(torch.sub),
    "Transpose": _transpose,
}
