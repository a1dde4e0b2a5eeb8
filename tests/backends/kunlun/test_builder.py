"""The program that is built from an ONNX file means what ONNX says, and what is not known is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

pytest.importorskip("paddle", reason="Paddle is not installed: pip install 'uadx[paddle]'")

from uadx_kunlun.binding import Binding, load
from uadx_kunlun.builder import UnsupportedError, read
from uadx_kunlun.errors import SdkError


def some(*shape):
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def built(nodes, inputs, constants, folder, rank=4, y=TensorProto.FLOAT):
    """The ONNX model of some nodes that end in `y`, and the graph that is read from its file."""
    graph = helper.make_graph(
        nodes,
        "some",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_tensor_value_info("y", y, [None] * rank)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "some.onnx")
    return model, read(folder / "some.onnx")


def run(model, graph, inputs, folder):
    """What Paddle makes of it, and what onnx's own reference makes of it."""
    sdk = Binding(load())
    predictor = sdk.create_predictor(sdk.cpu_config(*sdk.save(graph, folder / "model"), 1, "f32"))
    (found,) = sdk.run(predictor, [inputs[spec.name] for spec in graph.inputs])
    return found, ReferenceEvaluator(model).run(["y"], inputs)[0]


NODES = {
    "pads that differ": (
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[0, 1, 2, 3], strides=[2, 1])],
        {"x": some(2, 3, 9, 11)}, {"w": some(4, 3, 3, 3)},
    ),
    "pads that differ by axis": (
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[0, 2, 0, 2])],
        {"x": some(2, 3, 9, 11)}, {"w": some(4, 3, 3, 3)},
    ),
    "groups and dilations": (
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], group=2, dilations=[2, 2])],
        {"x": some(1, 4, 9, 9)}, {"w": some(6, 2, 3, 3), "b": some(6)},
    ),
    "a pool over padding of negative values": (
        [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])],
        {"x": -1 - abs(some(1, 2, 7, 8))}, {},
    ),
    "a pool whose last window is cut": (
        [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
        {"x": some(1, 2, 7, 9)}, {},
    ),
    "a pool without strides": (
        [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])], {"x": some(1, 2, 5, 5)}, {},
    ),
    "a batch norm": (
        [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-3)],
        {"x": some(2, 3, 4, 5)}, {"s": some(3), "b": some(3), "m": some(3), "v": abs(some(3))},
    ),
    "a sum over axes that are an input": (
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        {"x": some(2, 3, 4)}, {"axes": np.array([1, -1])},
    ),
    "a mean over all axes": ([helper.make_node("ReduceMean", ["x"], ["y"])], {"x": some(2, 3, 4)}, {}),
    "a mean over two axes": (
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[0, 2], keepdims=0)], {"x": some(2, 3, 4)}, {},
    ),
    "a transposition that reverses": ([helper.make_node("Transpose", ["x"], ["y"])], {"x": some(2, 3, 4)}, {}),
    "weights that are stored as float16": (
        [
            helper.make_node("Cast", ["half"], ["whole"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", "whole"], ["y"]),
        ],
        {"x": some(2, 3)}, {"half": some(3).astype(np.float16)},
    ),
    "a constant part": (
        [
            helper.make_node("Sqrt", ["c"], ["root"]),
            helper.make_node("Reciprocal", ["root"], ["inverse"]),
            helper.make_node("Mul", ["x", "inverse"], ["scaled"]),
            helper.make_node("Div", ["scaled", "c"], ["y"]),
        ],
        {"x": some(2, 3)}, {"c": abs(some(3)) + 1},
    ),
    "one value used late again": (
        [
            helper.make_node("Relu", ["x"], ["a"]),
            helper.make_node("Sub", ["a", "x"], ["b"]),
            helper.make_node("Identity", ["b"], ["c"]),
            helper.make_node("Add", ["c", "a"], ["d"]),
            helper.make_node("Transpose", ["d"], ["y"], perm=[1, 0]),
        ],
        {"x": some(2, 3)}, {},
    ),
    "two inputs, of which the first is subtracted from": (
        [helper.make_node("Sub", ["x", "z"], ["y"])], {"x": some(2, 3), "z": 3 + some(2, 3)}, {},
    ),
    "an input that is an output": ([helper.make_node("Identity", ["x"], ["y"])], {"x": some(2, 3)}, {}),
}  # fmt: skip

RANKS = {
    "a sum over axes that are an input": 1,
    "a mean over all axes": 3,
    "a mean over two axes": 1,
    "a transposition that reverses": 3,
    "weights that are stored as float16": 2,
    "a constant part": 2,
    "one value used late again": 2,
    "two inputs, of which the first is subtracted from": 2,
    "an input that is an output": 2,
}


@pytest.mark.parametrize("case", NODES)
def test_an_operator_means_what_onnx_says(case, tmp_path):
    nodes, inputs, constants = NODES[case]
    found, expected = run(*built(nodes, inputs, constants, tmp_path, RANKS.get(case, 4)), inputs, tmp_path)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_integers_are_not_divided_because_paddle_gives_fractions(tmp_path):
    inputs = {"x": np.array([7, -7], np.int32)}
    nodes = [helper.make_node("Div", ["x", "c"], ["y"])]
    model, graph = built(nodes, inputs, {"c": np.array(2, np.int32)}, tmp_path, 1, TensorProto.INT32)
    with pytest.raises(SdkError) as caught:
        run(model, graph, inputs, tmp_path)
    assert caught.value.text == "ValueError: Div of integers, which Paddle divides as numbers with a fraction"


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            [helper.make_node("Sigmoid", ["x"], ["a"]), helper.make_node("Tanh", ["a"], ["y"])],
            "Sigmoid, Tanh",
        ),
        ([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], auto_pad="SAME_UPPER")], "with auto_pad"),
        ([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])], "MaxPool with dilations"),
        ([helper.make_node("MaxPool", ["x"], ["y", "at"], kernel_shape=[2, 2])], "MaxPool with several outputs"),
        (
            [
                helper.make_node("Cast", ["x"], ["axes"], to=TensorProto.INT64),
                helper.make_node("ReduceSum", ["x", "axes"], ["y"]),
            ],
            "ReduceSum with computed axes",
        ),
        ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)], "Cast to STRING"),
    ],
)
def test_what_is_not_known_is_refused_by_name(nodes, words, tmp_path):
    with pytest.raises(UnsupportedError, match=words):
        built(nodes, {"x": some(1, 2, 4, 4)}, {}, tmp_path)


def test_a_quantised_model_is_refused_with_the_backends_that_run_it(quantised_model):
    with pytest.raises(UnsupportedError, match=r"\(an int8 model runs on openvino and onnxruntime\)"):
        read(quantised_model.path)


def test_weights_in_another_file_are_refused_and_not_opened(small_model, tmp_path):
    model = onnx.load(small_model.artifact.path)
    onnx.save(model, tmp_path / "outside.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(UnsupportedError, match="its weights are in another file"):
        read(tmp_path / "outside.onnx")
