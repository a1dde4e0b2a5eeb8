"""ONNX operators in NumPy: a function each, attributes as keyword arguments with the defaults of the specification.

Source: https://onnx.ai/onnx/operators/. Arrays are never written to, because they may be the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

Array = NDArray[Any]


def add(a: Array, b: Array) -> Array:
    return np.add(a, b)


def batch_normalization(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, *, epsilon: float = 1e-5, momentum: float = 0.9
) -> Array:
    """momentum: of training, without a meaning here."""
    factor = scale / np.sqrt(variance + epsilon)
    return x * _per_channel(factor, x) + _per_channel(bias - mean * factor, x)


def cast(x: Array, *, to: int) -> Array:
    return x.astype(helper.tensor_dtype_to_np_dtype(to))


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    kernel_shape: Sequence[int] = (),
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
) -> Array:
    """[N, C, H, W], [O, C / group, kh, kw] -> [N, O, h, w]: im2col and a matrix product, image by image, so that the
    columns of one image are all the memory it takes. kernel_shape: weight has it too."""
    outputs, inputs, *kernel = weight.shape
    matrix = weight.reshape(group, outputs // group, -1)
    sums = []
    for image in x:
        windows = _windows(image, kernel, strides, pads, dilations, fill=0)
        _, height, width, *_ = windows.shape
        columns = windows.transpose(0, 3, 4, 1, 2).reshape(group, inputs * kernel[0] * kernel[1], height * width)
        sums.append((matrix @ columns).reshape(outputs, height, width))
    product = np.stack(sums)
    return product if bias is None else product + _per_channel(bias, product)


def max_pool(
    x: Array,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
) -> Array:
    """[N, C, H, W] -> [N, C, h, w]"""
    maxima: Array = _windows(x, kernel_shape, strides, pads, dilations, fill=-np.inf).max(axis=(-2, -1))
    return maxima


def mul(a: Array, b: Array) -> Array:
    return np.multiply(a, b)


def reciprocal(x: Array) -> Array:
    return np.reciprocal(x)


def reduce_sum(x: Array, axes: Array | None = None, *, keepdims: int = 1) -> Array:
    """No axes: all of them."""
    over = None if axes is None or axes.size == 0 else tuple(axes.tolist())
    return np.asarray(x.sum(axis=over, dtype=x.dtype, keepdims=bool(keepdims)))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sqrt(x: Array) -> Array:
    return np.sqrt(x)


def sub(a: Array, b: Array) -> Array:
    return np.subtract(a, b)


def transpose(x: Array, *, perm: Sequence[int] | None = None) -> Array:
    return x.transpose(perm)


OPERATORS: Mapping[str, Callable[..., Array]] = {
    "Add": add,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Conv": conv,
    "MaxPool": max_pool,
    "Mul": mul,
    "Reciprocal": reciprocal,
    "ReduceSum": reduce_sum,
    "Relu": relu,
    "Sqrt": sqrt,
    "Sub": sub,
    "Transpose": transpose,
}
"""By the operator's name in ONNX. An attribute that its function does not take is refused when a model is loaded."""


def _windows(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    fill: float,
) -> Array:
    """What the kernel sees at each position: [..., H, W] -> [..., h, w, kh, kw], a view of the padded array."""
    top, left, bottom, right = pads
    padding = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
    reach = [(length - 1) * step + 1 for length, step in zip(kernel, dilations, strict=True)]
    padded = np.pad(x, padding, constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(-2, -1))
    return windows[..., :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def _per_channel(values: Array, x: Array) -> Array:
    """[C] as it broadcasts over [N, C, ...]."""
    return values.reshape(-1, *[1] * (x.ndim - 2))
