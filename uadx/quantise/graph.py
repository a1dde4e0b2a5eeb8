"""The int8 form of the exported graph: QuantizeLinear / DequantizeLinear pairs around both networks' convolutions.

Post-training quantisation by NNCF (https://docs.openvino.ai/2026/openvino-workflow/model-optimization.html). What
follows the networks (unit length, distance, difficulty) stays float32: it is cheap, and differences of nearly equal
features would drown in 8 bits. So does the first convolution: on a grid of 8 bits that is not their own, pixels lose
what a faint defect is (docs/performance.md).
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from uadx.errors import UnavailableError
from uadx.telemetry import unreported

FLOAT = [".*/.*", "level[123]", r"(teacher|student)\.conv1"]
"""Names of the nodes that stay float32 (see uadx.stfpm.graph): all but the networks' own have a slash."""


def quantise(model: bytes, images: NDArray[np.uint8]) -> bytes:
    """The int8 form of an exported model. images: good ones that give the ranges, uint8 RGB [N, H, W, 3] at its size.

    Raises UnavailableError where NNCF is not installed.
    """
    nncf = _sdk()
    data = nncf.Dataset(range(len(images)), lambda index: {"image": images[index : index + 1]})
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        quantised = nncf.quantize(
            float_weights(onnx.load_from_string(model)),
            data,
            preset=nncf.QuantizationPreset.PERFORMANCE,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(patterns=FLOAT),
            # each network by itself: it would move teacher and student apart, whose difference is the score
            advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
        )
    onnx.checker.check_model(quantised, full_check=True)
    return bytes(quantised.SerializeToString(deterministic=True))


def float_weights(model: Any) -> Any:
    """The same model with float32 weights, which the file keeps as float16 behind Casts that NNCF takes for layers."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    layers = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            assert node.attribute[0].i == TensorProto.FLOAT
            stored = numpy_helper.to_array(weights.pop(node.input[0]))
            weights[node.output[0]] = numpy_helper.from_array(stored.astype(np.float32), node.output[0])
        else:
            layers.append(node)
    for field, values in ((model.graph.node, layers), (model.graph.initializer, list(weights.values()))):
        del field[:]
        field.extend(values)
    return model


def _sdk() -> Any:
    # torch, which NNCF imports where it is there, warns of a CUDA compiler without a GPU: nothing is compiled here
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        with unreported():
            import nncf
    except ImportError as error:
        raise UnavailableError(
            "int8 takes NNCF, which cannot be imported here",
            stage="quantising",
            cause_text=str(error),
            hint="python -m pip install 'uadx[int8]'",
        ) from error
    nncf.set_log_level(logging.ERROR)
    return nncf
