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

_UNROUNDED = frozenset({"Constant", "Parameter", "Result", "Convert", "Relu", "MaxPool", "Transpose"})
"""Operators that give no number that they were not given, and conversions of the input."""


def apply(openvino: Any, model: Any, rounding: Rounding) -> None:
    """Change a float32 model in place."""
    if rounding.bits >= 23:
        return
    operations = model.get_ordered_ops()  # before any is added
    if rounding.where == "convolutions":
        for node in operations:
            if node.get_type_name() == "Convolution":
                for port in node.inputs():
                    port.replace_source_output(_rounded(openvino, port.get_source_output(), rounding))
        return
    for node in operations:
        for output in node.outputs():
            if node.get_type_name() not in _UNROUNDED and output.get_element_type() == openvino.Type.f32:
                readers = output.get_target_inputs()
                after = _rounded(openvino, output, rounding)
                for reader in readers:
                    reader.replace_source_output(after)
                after.get_tensor().set_names(output.get_names())
    for port in (port for node in operations if node.get_type_name() == "Convolution" for port in node.inputs()):
        if port.get_source_output().get_node().get_type_name() in ("Constant", "Convert"):
            port.replace_source_output(_rounded(openvino, port.get_source_output(), rounding))


def _rounded(openvino: Any, value: Any, rounding: Rounding) -> Any:
    opset = openvino.opset13

    def times(value: Any, factor: float) -> Any:
        return opset.multiply(value, opset.constant(np.float32(factor)))

    if rounding.narrow:
        value = opset.clamp(value, -_LARGEST, _LARGEST)
    split = times(value, 2.0 ** (23 - rounding.bits) + 1)
    rounded = opset.subtract(split, opset.subtract(split, value))
    if rounding.narrow:
        small = opset.less(opset.abs(value), opset.constant(np.float32(_LEAST_NORMAL)))
        rounded = opset.select(small, times(opset.round(times(value, 1 / _STEP), "half_to_even"), _STEP), rounded)
    return rounded.output(0)
