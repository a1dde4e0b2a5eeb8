"""What is particular to torch: an executor of its own, precisions that are watched, devices by torch's names."""

import subprocess
import sys
import weakref
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from uadx.errors import CompileError, ConfigError, UnavailableError

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA card")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA card")


def run(nodes, inputs, constants, path, rank, y=TensorProto.FLOAT):
    """What the executor makes of some nodes that end in `y`, and what onnx's own reference makes of them."""
    from uadx_torch.graph import Graph, read

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
    onnx.save(model, path)
    ours = Graph(read(path), torch.device("cpu"), torch.float32)
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
    with pytest.raises(Exception, match=r"^the torch backend does not have: Sigmoid, Tanh$"):
        run(nodes, {"x": some(2)}, {}, tmp_path / "some.onnx", rank=1)


def test_an_int8_model_is_refused_with_the_backends_that_run_it(compiled, quantised_model):
    with pytest.raises(CompileError) as caught:
        compiled("torch:cpu", quantised_model)
    assert "QuantizeLinear (an int8 model runs on openvino and onnxruntime)" in caught.value.cause_text
    assert caught.value.hint is None  # the file is whole


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


def test_integers_are_divided_as_integers_and_stay_integers(tmp_path):
    nodes = [helper.make_node("Div", ["x", "c"], ["half"]), helper.make_node("Mul", ["half", "c"], ["y"])]
    inputs, constants = {"x": np.array([7, -7], np.int32)}, {"c": np.array(2, np.int32)}
    found, expected = run(nodes, inputs, constants, tmp_path / "some.onnx", 1, TensorProto.INT32)
    assert found.dtype == expected.dtype == np.int32
    assert found.tolist() == expected.tolist() == [6, -6]


def test_an_output_may_be_a_constant(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["unused"]), helper.make_node("Sqrt", ["c"], ["y"])]
    found, _ = run(nodes, {"x": some(2)}, {"c": np.array([4, 9], np.float32)}, tmp_path / "some.onnx", rank=1)
    assert found.tolist() == [2, 3]


def test_weights_in_another_file_are_refused_and_not_opened(compiled, small_model, tmp_path):
    model = onnx.load(small_model.artifact.path)
    path = tmp_path / "outside.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(CompileError) as caught:
        compiled("torch:cpu", type(small_model.artifact)(path, "onnx", ""))
    assert caught.value.cause_text == "its weights are in another file"


def test_values_that_nothing_needs_any_more_are_dropped(small_model):
    """Memory would grow with the depth of the network."""
    from uadx_torch.graph import Graph, read

    alive, most = weakref.WeakSet(), 0

    def watch(_, value):
        nonlocal most
        alive.add(value)
        most = max(most, len(alive))

    images = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    Graph(read(small_model.artifact.path), torch.device("cpu"), torch.float32)({"image": images}, watch)
    assert most == 2  # an operator's input and its result


def test_each_request_has_its_share_of_the_cores_and_other_threads_keep_theirs(compiled, small_model):
    def of_a_new_thread():
        with ThreadPoolExecutor(1) as other:
            return other.submit(torch.get_num_threads).result()

    before = torch.get_num_threads(), of_a_new_thread()
    with compiled("torch:cpu", threads=3) as model:
        assert model.capabilities.async_depth == 3
        assert model.placement().details["threads"] == "1"
        for future in [model.submit({"image": small_model.images(1)}) for _ in range(6)]:
            future.result(timeout=30)
        assert (torch.get_num_threads(), of_a_new_thread()) == before
    with compiled("torch:cpu", threads=3, hint="latency") as model:
        assert model.capabilities.async_depth == 1
        assert model.placement().details["threads"] == "3"
    assert (torch.get_num_threads(), of_a_new_thread()) == before


def test_the_callback_of_a_request_may_run_another(compiled, small_model):
    images = small_model.images(1)
    with compiled("torch:cpu", threads=1) as model:
        answer = Future()
        model.submit({"image": images}).add_done_callback(
            lambda _: answer.set_result(model.infer({"image": images})["means"])
        )
        np.testing.assert_allclose(answer.result(timeout=30), small_model.reference(images)["means"], rtol=1e-5)


def test_an_unknown_device_is_answered_with_those_there_are(compiled):
    with pytest.raises(UnavailableError, match=r"^torch has no device 'tpu' here; it has: .*cpu") as caught:
        compiled("torch:tpu")
    assert caught.value.hint == "name one of them: --device torch:cpu"


@without_cuda
def test_a_machine_without_a_card_says_why(compiled, backend):
    (gpu,) = [device for device in backend("torch").devices() if device.kind == "gpu"]
    assert gpu.unusable
    for selector in ("cuda", "cuda:0", "cuda:1"):
        with pytest.raises(UnavailableError) as caught:
            compiled(f"torch:{selector}")
        assert caught.value.cause_text == gpu.unusable


@pytest.mark.skipif(torch.version.cuda is not None or torch.version.hip is not None, reason="this torch has CUDA")
def test_a_torch_for_the_cpu_alone_says_so_in_its_own_words_and_how_to_get_another(backend):
    from uadx_torch import uadx_explain_failure

    (gpu,) = [device for device in backend("torch").devices() if device.kind == "gpu"]
    assert gpu.unusable == "Torch not compiled with CUDA enabled"
    assert "install a CUDA build" in uadx_explain_failure("torch", UnavailableError("gpu", cause_text=gpu.unusable))


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


@pytest.mark.parametrize(
    ("major", "minor", "built"),
    [
        (8, 0, ["sm_75", "sm_80"]),
        (8, 9, ["sm_80", "sm_86"]),  # later of the same major version
        (12, 0, ["sm_80", "compute_90"]),  # compiled by the driver
        (10, 3, ["sm_90", "sm_100"]),
        (9, 0, ["sm_90a"]),
        (9, 0, []),  # a torch that does not say
    ],
)
def test_a_card_that_this_torch_has_code_for_is_usable(major, minor, built):
    from uadx_torch.devices import missing_code

    assert missing_code(major, minor, built) == ""


@pytest.mark.parametrize(
    ("major", "minor", "built"),
    [(7, 0, ["sm_75", "sm_80", "compute_80"]), (9, 0, ["sm_100", "compute_100"]), (12, 0, ["sm_80", "sm_90"])],
)
def test_a_card_that_this_torch_has_no_code_for_says_so(major, minor, built):
    from uadx_torch.devices import missing_code

    words = f"this torch is built for {', '.join(built)} and the card is sm_{major}{minor}"
    assert missing_code(major, minor, built) == words


SWITCHES = """
import warnings
warnings.simplefilter("error")
import torch
from uadx_torch.precision import full_precision

def switches():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

cuda = full_precision(torch.device("cuda:0"))
"""


def in_a_process_of_its_own(code):
    done = subprocess.run([sys.executable, "-c", SWITCHES + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tf32_is_off_while_a_model_of_float32_is_open_and_then_as_it_was():
    in_a_process_of_its_own("""
before = switches()
assert before[0] and cuda.in_effect() == "tf32"
cuda.acquire()
cuda.acquire()
cuda.release()
assert switches() == (False, False) and cuda.in_effect() == "f32"
with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # what others use still works
    pass
assert cuda.in_effect() == "f32"
cuda.release()
assert switches() == before and cuda.in_effect() == "tf32"
""")


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="this torch has the older switches only")
def test_tf32_that_the_newer_switches_ask_for_is_off_too():
    in_a_process_of_its_own("""
torch.backends.fp32_precision = "tf32"
cuda.acquire()
assert cuda.in_effect() == "f32"
assert torch.backends.cudnn.conv.fp32_precision == torch.backends.cuda.matmul.fp32_precision == "ieee"
cuda.release()
assert cuda.in_effect() == "tf32" and torch.backends.cuda.matmul.fp32_precision == "tf32"
""")


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="this torch has no such switch")
def test_a_model_of_float32_holds_the_switch_of_its_device_until_it_is_closed(compiled):
    def on_the_cpu():
        return torch.backends.mkldnn.conv.fp32_precision

    before, torch.backends.mkldnn.conv.fp32_precision = on_the_cpu(), "bf16"
    try:
        with compiled("torch:cpu") as model:
            assert (on_the_cpu(), model.placement().precision) == ("ieee", "f32")
            model.close()
            assert on_the_cpu() == "bf16"
        with compiled("torch:cpu", precision="bf16"):
            assert on_the_cpu() == "bf16"
    finally:
        torch.backends.mkldnn.conv.fp32_precision = before


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("CUDA out of memory. Tried to allocate", "use a smaller --batch-size"),
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
