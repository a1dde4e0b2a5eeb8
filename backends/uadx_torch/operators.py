"""The ONNX operators that the executor knows, each as one small torch function.

A function takes the operator's inputs (None for an omitted one) and its attributes, and gives its one output.
Convolutions compute in the dtype of their weights, and so do the activations, pools and additions between them; all
else, norms and distances above all, computes in float32 at least. Definitions: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor
from torch.nn import functional

Inputs = Sequence[Any]  # tensors; None for an optional one that is left out
Attributes = Mapping[str, Any]
Operator = Callable[[Inputs, Attributes], Tensor]

_DTYPES: Mapping[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


def torch_dtype(element_type: int) -> torch.dtype:
    """torch's name for one of ONNX's types. Raises ValueError for those that NumPy or torch lacks."""
    if element_type not in _DTYPES:
        raise ValueError(f"the torch backend has no tensors of {TensorProto.DataType.Name(element_type)}")
    return _DTYPES[element_type]


def _wide(value: Tensor) -> Tensor:
    """At least float32: half precision keeps too few bits for a norm and overflows in a square."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _elementwise(function: Callable[..., Tensor]) -> Operator:
    return lambda inputs, _: function(*map(_wide, inputs))


def _divide(dividend: Tensor, divisor: Tensor) -> Tensor:
    return torch.div(dividend, divisor, rounding_mode=None if dividend.is_floating_point() else "trunc")


def _padded(value: Tensor, attributes: Attributes, fill: float) -> tuple[Tensor, list[int]]:
    """What torch takes as padding; pads that differ between begin and end are applied beforehand."""
    pads = list(attributes.get("pads", [0] * 4))
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return value, pads[:half]
    # torch counts from the last axis, begin and end in turn
    reverse = [pad for axis in reversed(range(half)) for pad in (pads[axis], pads[axis + half])]
    return functional.pad(value, reverse, value=fill), [0] * half


def _conv(inputs: Inputs, attributes: Attributes) -> Tensor:
    value, weight, bias = (*inputs, None)[:3]
    value, padding = _padded(value.to(weight.dtype), attributes, 0.0)
    return functional.conv2d(
        value,
        weight,
        bias,
        stride=attributes.get("strides", 1),
        padding=padding,
        dilation=attributes.get("dilations", 1),
        groups=attributes.get("group", 1),
    )


def _max_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    value, padding = _padded(inputs[0], attributes, float("-inf"))
    return functional.max_pool2d(
        value,
        attributes["kernel_shape"],
        stride=attributes.get("strides", 1),
        padding=padding,
        dilation=attributes.get("dilations", 1),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _batch_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    value, scale, bias, mean, variance = inputs
    normalised = functional.batch_norm(_wide(value), mean, variance, scale, bias, eps=attributes.get("epsilon", 1e-5))
    return normalised.to(value.dtype)  # a part of the convolution before it


def _reduced(function: Callable[..., Tensor]) -> Operator:
    def reduce(inputs: Inputs, attributes: Attributes) -> Tensor:
        value = _wide(inputs[0])
        axes = attributes.get("axes") or range(value.ndim)
        return function(value, dim=tuple(axes), keepdim=bool(attributes.get("keepdims", 1)))

    return reduce


def _transpose(inputs: Inputs, attributes: Attributes) -> Tensor:
    value: Tensor = inputs[0]
    return value.permute(attributes.get("perm", tuple(reversed(range(value.ndim)))))


REDUCTIONS: Mapping[str, Operator] = {"ReduceMean": _reduced(torch.mean), "ReduceSum": _reduced(torch.sum)}
"""Their second input, if any, is given as the attribute `axes`."""

OPERATORS: Mapping[str, Operator] = {
    "Add": lambda inputs, _: torch.add(*inputs),  # residual connections stay in the dtype of what they join
    "BatchNormalization": _batch_norm,
    "Cast": lambda inputs, attributes: inputs[0].to(torch_dtype(attributes["to"])),
    "Constant": lambda _, attributes: torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy()),
    "Conv": _conv,
    "Div": _elementwise(_divide),
    "Identity": lambda inputs, _: inputs[0],
    "MaxPool": _max_pool,
    "Mul": _elementwise(torch.mul),
    "Reciprocal": _elementwise(torch.reciprocal),
    "Relu": lambda inputs, _: torch.relu(inputs[0]),
    "Sqrt": _elementwise(torch.sqrt),
    "Sub": _elementwise(torch.sub),
    "Transpose": _transpose,
    **REDUCTIONS,
}
