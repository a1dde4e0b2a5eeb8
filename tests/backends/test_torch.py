"""What is particular to torch: an executor of its own, precisions that are watched, devices by torch's names."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from uadx.errors import CompileError, ConfigError, UnavailableError

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA card")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA card")


def run(nodes, inputs, constants, path, rank):
    """What the executor makes of some nodes that end in `y`, and what onnx's own reference makes of them."""
    from uadx_torch.graph import Graph

    graph = helper.make_graph(
        nodes,
        "some",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    ours = Graph(path, torch.device("cpu"), torch.float32)
    found = ours({name: torch.from_numpy(value) for name, value in inputs.items()})["y"]
    return found.numpy(), ReferenceEvaluator(model).run(["y"], inputs)[0]


def some(*shape):
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


NODES = {
    "pads that differ": (
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[0, 1, 2, 3], strides=[2, 1])],
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
    "a batch norm": (
        [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-3)],
        {"x": some(2, 3, 4, 5)}, {"s": some(3), "b": some(3), "m": some(3), "v": abs(some(3))},
    ),
    "a sum over axes that are an input": (
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        {"x": some(2, 3, 4)}, {"axes": np.array([1, -1])},
    ),
    "a mean over all axes": ([helper.make_node("ReduceMean", ["x"], ["y"])], {"x": some(2, 3, 4)}, {}),
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
}  # fmt: skip


RANKS = {
    "a sum over axes that are an input": 1,
    "a mean over all axes": 3,
    "a constant part": 2,
    "one value used late again": 2,
}


@pytest.mark.parametrize("case", NODES)
def test_an_operator_means_what_onnx_says(case, tmp_path):
    nodes, inputs, constants = NODES[case]
    found, expected = run(nodes, inputs, constants, tmp_path / "some.onnx", RANKS.get(case, 4))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_all_operators_that_it_lacks_are_named(tmp_path):
    nodes = [helper.make_node("Sigmoid", ["x"], ["a"]), helper.make_node("Tanh", ["a"], ["y"])]
    with pytest.raises(Exception, match=r"^operators that this backend does not have: Sigmoid, Tanh$"):
        run(nodes, {"x": some(2)}, {}, tmp_path / "some.onnx", rank=1)


def test_an_int8_model_is_refused_with_the_backends_that_run_it(compiled, quantised_model):
    with pytest.raises(CompileError) as caught:
        compiled("torch:cpu", quantised_model)
    assert "an int8 model runs on openvino and onnxruntime, not on torch" in caught.value.cause_text


def test_bf16_runs_in_bf16_and_its_norms_do_not(compiled, small_model):
    images = small_model.images(2)
    exact = small_model.reference(images)["features"]
    with compiled("torch:cpu", precision="bf16") as model:
        assert model.placement().precision == model.capabilities.precision == "bf16"
        outputs = model.infer({"image": images})
    assert outputs["features"].dtype == np.float32
    assert 1e-2 < np.abs(outputs["features"] - exact).max() < 4
    np.testing.assert_allclose(  # a mean of 256 values of bfloat16, summed in float32
        outputs["means"], outputs["features"].mean(axis=(2, 3)), rtol=1e-5
    )


def test_a_precision_that_the_device_lacks_is_refused_with_those_it_has(compiled):
    with pytest.raises(UnavailableError, match=r"^torch has no int8 on cpu; it has: f32, bf16") as caught:
        compiled("torch:cpu", precision="int8")
    assert caught.value.hint == "an int8 model runs on openvino and onnxruntime"


def test_auto_is_float32_on_the_processor(compiled):
    with compiled("torch:cpu", precision="auto") as model:
        assert model.placement().precision == "f32"


def test_the_placement_is_what_the_dispatcher_saw():
    from uadx_torch.observer import observe

    with observe() as seen:
        x = torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16)
        torch.nn.functional.conv2d(x, x).float()
    assert (seen.device, seen.precision) == ("cpu", "bf16")


def test_an_unknown_device_is_answered_with_those_there_are(compiled):
    with pytest.raises(UnavailableError, match=r"^torch has no device 'tpu' here; it has: .*cpu") as caught:
        compiled("torch:tpu")
    assert caught.value.hint == "name one of them: --device torch:cpu"


@without_cuda
def test_a_machine_without_a_card_says_why(compiled, backend):
    (gpu,) = [device for device in backend("torch").devices() if device.kind == "gpu"]
    assert gpu.unusable
    with pytest.raises(UnavailableError) as caught:
        compiled("torch:cuda:0")
    assert caught.value.cause_text == gpu.unusable


def test_options_are_refused(backend):
    with pytest.raises(ConfigError, match=r"^options\.torch has fast, and torch takes no options here"):
        backend("torch", {"fast": 1})


def test_listing_makes_no_context(backend):
    code = """
import torch
from uadx.plugins import Plugins
Plugins().open("torch", {}).devices()
assert not torch.cuda.is_available() or torch.cuda.memory_reserved() == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tf32_is_off_once_it_is_switched_off():
    code = """
import warnings
warnings.simplefilter("error")
from uadx_torch import tf32
assert tf32.is_on()
tf32.switch_off()
assert not tf32.is_on()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("CUDA out of memory. Tried to allocate", "use smaller batches"),
        ("CUDA error: no kernel image is available", "this torch is not built for this card"),
        ("The NVIDIA driver on your system is too old (found version 1)", "update the NVIDIA driver"),
    ],
)
def test_errors_of_torch_are_explained(words, advice):
    from uadx_torch import uadx_explain_failure

    assert uadx_explain_failure("torch", RuntimeError(words)).startswith(advice)
    assert uadx_explain_failure("torch", RuntimeError("something else")) is None


@needs_cuda
@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_a_card_gives_the_numbers_of_the_reference_in_the_precision_that_was_asked_for(
    compiled, small_model, precision
):
    images = small_model.images(5)
    with compiled("torch:cuda:0", precision=precision, max_batch=8) as model:
        assert (model.placement().device, model.placement().precision) == ("cuda:0", precision)
        futures = [model.submit({"image": images[: n + 1]}) for n in range(5)]
        exact = small_model.reference(images)["features"]
        for n, future in enumerate(futures):
            found = future.result(timeout=60)["features"]
            np.testing.assert_allclose(found, exact[: n + 1], atol=1e-3 if precision == "f32" else 1)
