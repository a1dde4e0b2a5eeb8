"""Makes an OpenVINO graph round as a card does, in float32 arithmetic.

The CPU plugin drops a conversion to float16 and back, so the rounding is arithmetic: with a factor of 2^13 + 1 the
part of a float32 beyond 10 bits cancels out (Dekker, Numerische Mathematik 1971; Boldo, IJCAR 2006), to the nearest
and, where both are as near, to either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from uadx_simulators.limits import Rounding

_LARGEST, _LEAST_NORMAL, _STEP = 65504.0, 2.0**-14, 2.0**-24
"""Of float16; numbers below the least normal one come in equal steps."""

_PRODUCTS = frozenset(
    ["Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul"]
)
_PASS_ON = frozenset(["Relu", "MaxPool", "Transpose"])
"""Operators that give no number that they were not given."""


def apply(openvino: Any, model: Any, rounding: Rounding) -> None:
    """Change a float32 model in place."""
    if rounding.bits >= 23:
        return
    operations = model.get_ordered_ops()  # before any is added
    for node in operations:
        if node.get_type_name() in _PRODUCTS:
            for port in node.inputs():
                _round_input(openvino, port, rounding)
    if rounding.where == "activations":
        _round_activations(openvino, operations, rounding)


def _round_activations(openvino: Any, operations: list[Any], rounding: Rounding) -> None:
    """What products give, with their bias, and what comes of that until an operator of another sort."""
    narrow: set[str] = set()
    for node in operations:
        kind, name = node.get_type_name(), node.get_name()
        given = [port.get_source_output().get_node().get_name() in narrow for port in node.inputs()]
        bias = _bias(node)
        if kind in _PASS_ON and given[0]:
            narrow.add(name)
            continue
        if kind in _PRODUCTS:
            if any(_bias(reader.get_node()) for reader in node.output(0).get_target_inputs()):
                continue  # added up in float32, rounded once
        elif bias is not None:
            _round_input(openvino, bias, rounding)
        elif not (kind == "Add" and all(given)) and not (kind == "BatchNormInference" and given[0]):
            continue
        narrow |= {name, _round_output(openvino, node.output(0), rounding)}


def _bias(node: Any) -> Any | None:
    """The second input of the addition that OpenVINO makes of a convolution's bias."""
    if node.get_type_name() != "Add":
        return None
    first, second = node.inputs()
    kinds = [port.get_source_output().get_node().get_type_name() for port in (first, second)]
    return second if kinds[0] in _PRODUCTS and kinds[1] == "Reshape" else None


def _round_input(openvino: Any, port: Any, rounding: Rounding) -> None:
    if port.get_element_type() == openvino.Type.f32:
        port.replace_source_output(_rounded(openvino, port.get_source_output(), rounding))


def _round_output(openvino: Any, output: Any, rounding: Rounding) -> str:
    """The name of the operator that gives it now."""
    readers = output.get_target_inputs()
    after = _rounded(openvino, output, rounding)
    for reader in readers:
        reader.replace_source_output(after)
    after.get_tensor().set_names(output.get_names())
    return str(after.get_node().get_name())


def _rounded(openvino: Any, value: Any, rounding: Rounding) -> Any:
    opset = openvino.opset13

    def times(value: Any, factor: float) -> Any:
        return opset.multiply(value, opset.constant(np.float32(factor)))

    def beyond(value: Any, limit: float) -> Any:
        return opset.greater(opset.abs(value), opset.constant(np.float32(limit)))

    if rounding.narrow:
        value = opset.clamp(value, -2 * _LARGEST, 2 * _LARGEST)  # or the product below would overflow
    split = times(value, 2.0 ** (23 - rounding.bits) + 1)
    rounded = opset.subtract(split, opset.subtract(split, value))
    if rounding.narrow:
        steps = times(opset.round(times(value, 1 / _STEP), "half_to_even"), _STEP)
        rounded = opset.select(beyond(value, _LEAST_NORMAL), rounded, steps)
        rounded = opset.select(beyond(rounded, _LARGEST), times(rounded, 2.0**127), rounded)  # infinite
    return rounded.output(0)
