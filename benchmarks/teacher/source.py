"""The network that the teacher learns from: an ImageNet MobileNetV2, run by OpenVINO, cut at strides 4 to 32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import openvino.opset13
from numpy.typing import NDArray

NETWORK = "mobilenet_v2_1.0_224_ptq.tflite"
BLOCKS = {4: (24,), 8: (32,), 16: (64, 96), 32: (160,)}
"""Channels of the last block of each shape, by stride (Sandler et al., CVPR 2018, table 2)."""
CHANNELS = {stride: sum(widths) for stride, widths in BLOCKS.items()}
FLOAT = 1 << 20


class Source:
    """features(uint8 RGB [N, H, W, 3]) -> by stride, float32 [N, CHANNELS[stride], H / stride, W / stride].

    Runs in bfloat16, without the files' 8-bit steps between the layers: what is left of a fine difference after them
    is less (nearest neighbours on magnetic tiles: .81 image AUROC against .80).
    """

    def __init__(self, folder: Path) -> None:
        self._model = _cut(openvino.Core().read_model(folder / NETWORK))
        self._compiled: dict[tuple[int, ...], openvino.CompiledModel] = {}

    def features(self, images: NDArray[np.uint8]) -> dict[int, NDArray[np.float32]]:
        if images.shape not in self._compiled:
            self._compiled[images.shape] = _compile(self._model, images.shape)
        values = iter(self._compiled[images.shape](images).values())
        return {
            stride: np.concatenate([np.array(next(values)) for _ in widths], 1) for stride, widths in BLOCKS.items()
        }


def _cut(model: openvino.Model) -> openvino.Model:
    sums = [node for node in model.get_ordered_ops() if node.get_type_name() == "Add"]
    ends = []
    for stride, widths in BLOCKS.items():
        size = model.input(0).get_partial_shape()[1].get_length() // stride
        for channels in widths:
            shape = openvino.PartialShape([1, channels, size, size])
            ends.append([node for node in sums if node.get_output_partial_shape(0) == shape][-1].output(0))
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and node.input_value(0).get_node().get_type_name() != "Constant":
            finer = openvino.opset13.fake_quantize(*node.input_values(), FLOAT)
            for target in list(node.output(0).get_target_inputs()):
                target.replace_source_output(finer.output(0))
    return openvino.Model(ends, model.get_parameters(), "features")


def _compile(model: openvino.Model, shape: tuple[int, ...]) -> openvino.CompiledModel:
    model.reshape(list(shape))
    precision = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16"}
    return openvino.compile_model(model, "CPU", precision)
