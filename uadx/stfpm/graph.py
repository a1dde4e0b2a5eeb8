"""The exported STFPM graph: uint8 NHWC RGB in, three level maps out, in a dozen plain ONNX operators.

Built node by node instead of traced, so that it is the same file whatever torch is installed and every vendor
compiler takes it: one opset entry, no shape arithmetic, batch norms folded, `x / sqrt(sum(x^2) + eps)` with an eps
that survives float16 (1e-4). Weights that float16 can hold are stored in it and cast once when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from uadx.stfpm.difficulty import Difficulty
from uadx.stfpm.reference import IMAGENET_MEAN, IMAGENET_STD, NORM_EPS
from uadx.stfpm.weights import LEVELS, STEM, TEACHER, Conv, Level, levels_of, stored

OPSET = 17
IR_VERSION = 8  # what ONNX Runtime 1.17 and OpenVINO 2024 still read
STRIDES = {"layer1": 4, "layer2": 8, "layer3": 16}


class _Graph:
    """Nodes and initialisers as they are added, each named after what it computes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def conv(self, x: str, conv: Conv, network: str, weights: Mapping[str, NDArray[np.floating]]) -> str:
        name = f"{network}.{conv.name}"
        pad = conv.kernel // 2
        return self.node(
            "Conv",
            [x, *(self.parameter(f"{name}.{part}", weights[f"{conv.name}.{part}"]) for part in ("weight", "bias"))],
            name,
            kernel_shape=[conv.kernel] * 2,
            strides=[conv.stride] * 2,
            pads=[pad] * 4,
        )

    def parameter(self, name: str, value: NDArray[np.floating]) -> str:
        weight = stored(value)
        self.constant(name, weight)
        if weight.dtype == np.float32:
            return name
        return self.node("Cast", [name], f"{name}/f32", to=TensorProto.FLOAT)

    def stem(self, x: str, name: str, weights: Mapping[str, NDArray[np.floating]]) -> str:
        """A first convolution, pooled: what a network goes on with."""
        x = self.node("Relu", [self.conv(x, STEM, name, weights)], f"{name}.relu")
        return self.node("MaxPool", [x], f"{name}.maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])

    def network(
        self, x: str, name: str, levels: tuple[Level, ...], weights: Mapping[str, NDArray[np.floating]]
    ) -> dict[str, str]:
        """The L2-normalised features of each level of one network."""
        features = {}
        for level in levels:
            for index, block in enumerate(level.blocks):
                at = f"{name}.{level.name}.{index}"
                inner = self.node("Relu", [self.conv(x, block.conv1, name, weights)], f"{at}.relu1")
                outer = self.conv(inner, block.conv2, name, weights)
                shortcut = self.conv(x, block.shortcut, name, weights) if block.shortcut else x
                x = self.node("Relu", [self.node("Add", [outer, shortcut], f"{at}.add")], f"{at}.relu2")
            found = self.conv(x, level.head, name, weights) if level.head else x
            features[level.name] = self.normalise(found, f"{name}.{level.name}")
        return features

    def normalise(self, x: str, name: str) -> str:
        squares = self.node("Mul", [x, x], f"{name}/squares")
        total = self.node("ReduceSum", [squares, "channel_axis"], f"{name}/sum", keepdims=1)
        norm = self.node("Sqrt", [self.node("Add", [total, "norm_eps"], f"{name}/eps")], f"{name}/norm")
        return self.node("Mul", [x, self.node("Reciprocal", [norm], f"{name}/inverse")], f"{name}/unit")

    def level(self, teacher: str, student: str, difficulty: Difficulty, output: str) -> str:
        """The distance less the difficulty, not below 0."""
        difference = self.node("Sub", [teacher, student], f"{output}/difference")
        squares = self.node("Mul", [difference, difference], f"{output}/squares")
        total = self.node("ReduceSum", [squares, "channel_axis"], f"{output}/sum", keepdims=0)
        distance = self.node("Mul", [total, "half"], f"{output}/distance")
        weight = self.constant(f"{output}.weight", difficulty.weight.astype(np.float32).reshape(1, -1, 1, 1))
        offset = self.constant(f"{output}.offset", np.array(difficulty.offset, np.float32))
        weighted = self.node("Mul", [teacher, weight], f"{output}/weighted")
        difficult = self.node("ReduceSum", [weighted, "channel_axis"], f"{output}/difficulty", keepdims=0)
        rest = self.node("Sub", [self.node("Add", [distance, offset], f"{output}/raised"), difficult], f"{output}/rest")
        return self.node("Relu", [rest], output)


def build(
    teacher: Mapping[str, NDArray[np.floating]],
    student: Mapping[str, NDArray[np.floating]],
    difficulties: Sequence[Difficulty],
    height: int,
    width: int,
) -> bytes:
    """Serialise the ONNX model from both folded networks (see uadx.stfpm.weights.fold) and the levels' difficulties.

    Input `image` uint8 [N, height, width, 3] RGB; outputs `level1`, `level2`, `level3` float32 [N, height / 4,
    width / 4], [.. / 8], [.. / 16]: the distance (0..2) less the difficulty, not below 0. height and width: multiples
    of 16.
    """
    graph = _Graph()
    graph.constant("channel_axis", np.array([1], np.int64))
    graph.constant("norm_eps", np.array(NORM_EPS, np.float32))
    graph.constant("half", np.array(0.5, np.float32))
    pixels = graph.node("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    mean = graph.constant("pixel_mean", (IMAGENET_MEAN * 255).astype(np.float32))
    scale = graph.constant("pixel_scale", (1 / (IMAGENET_STD * 255)).astype(np.float32))
    normalised = graph.node("Mul", [graph.node("Sub", [pixels, mean], "pixels/centred"), scale], "pixels/normalised")
    nchw = graph.node("Transpose", [normalised], "pixels/nchw", perm=[0, 3, 1, 2])
    levels = levels_of(student)
    first = graph.stem(nchw, "teacher", teacher)
    own = graph.stem(nchw, "student", student) if levels is TEACHER else first
    of_teacher = graph.network(first, "teacher", TEACHER, teacher)
    of_student = graph.network(own, "student", levels, student)
    outputs = []
    for number, (level, difficulty) in enumerate(zip(LEVELS, difficulties, strict=True), 1):
        graph.level(of_teacher[level], of_student[level], difficulty, f"level{number}")
        shape: list[str | int | None] = ["N", height // STRIDES[level], width // STRIDES[level]]
        outputs.append(helper.make_tensor_value_info(f"level{number}", TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "stfpm", [image], outputs, graph.initialisers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="uadx",
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def network_weights(model: bytes, network: str) -> dict[str, NDArray[np.floating]]:
    """The folded weights of `teacher` or `student` from an exported model, by name, without the prefix."""
    prefix = f"{network}."
    return {
        tensor.name.removeprefix(prefix): numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(model).graph.initializer
        if tensor.name.startswith(prefix)
    }


def difficulties(model: bytes) -> list[Difficulty]:
    """The levels' difficulties from an exported model."""
    tensors = {tensor.name: tensor for tensor in onnx.load_from_string(model).graph.initializer}
    return [
        Difficulty(
            numpy_helper.to_array(tensors[f"level{number}.weight"]).ravel(),
            float(numpy_helper.to_array(tensors[f"level{number}.offset"])),
        )
        for number in range(1, len(LEVELS) + 1)
    ]
