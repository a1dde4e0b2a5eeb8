"""A simulator keeps to the limits of the vendor's backend: precision and rounding, batch sizes, file formats."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from uadx_simulators.limits import LIMITS, PADDLE, TORCH, Rounding
from uadx_simulators.rounding import apply

from uadx.api import CompileOptions, DeviceRef, ModelArtifact
from uadx.bundle.reader import open_bundle
from uadx.errors import CompileError, ConfigError, InferenceError, UnavailableError
from uadx.plugins import Plugins
from uadx.testing.golden import small

SIMULATORS = sorted(LIMITS)


def compiled(name, artifact=None, precision="auto", **options):
    backend = Plugins().open(name, {})
    artifact = artifact or small("stfpm").artifact
    return backend.compile(artifact, DeviceRef("0"), CompileOptions(precision, **options))


def graph_of(node, shape, *constants):
    """An ONNX file of one operator on x, with float32 output y."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def convolution(tmp_path):
    """convolution(weight): an artifact that multiplies each of 4 channels by one weight, and those weights."""

    def make(rng):
        weight = rng.normal(size=(4, 4, 1, 1)).astype(np.float32)
        node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1])
        path = tmp_path / "conv.onnx"
        onnx.save(graph_of(node, ["N", 4, 8, 8], numpy_helper.from_array(weight, "w")), path)
        return ModelArtifact(path, "onnx", ""), weight

    return make


@pytest.mark.parametrize("scale", [1e-7, 1e-5, 1e-3, 1.0, 1e3, 3e4])
def test_ascend_multiplies_what_numpy_rounds_to_float16_and_adds_it_in_float32(convolution, scale):
    rng = np.random.default_rng(0)
    artifact, weight = convolution(rng)
    x = (rng.normal(size=(2, 4, 8, 8)) * scale).astype(np.float32)
    half = np.clip(x, -65504, 65504).astype(np.float16).astype(np.float64)
    expected = np.einsum("nchw,oc->nohw", half, weight[:, :, 0, 0].astype(np.float16).astype(np.float64))
    exact = np.einsum("nchw,oc->nohw", x.astype(np.float64), weight[:, :, 0, 0].astype(np.float64))
    with compiled("ascend-sim", artifact, max_batch=2) as model:
        found = model.infer({"x": x})["y"]
    size = np.abs(expected).max()
    assert np.abs(found - expected).max() < 1e-6 * size
    assert np.abs(found - exact).max() > 1e-4 * size, "it does round"


def test_kunlun_left_to_itself_keeps_ten_bits_and_the_range_of_float32(convolution):
    rng = np.random.default_rng(0)
    artifact, weight = convolution(rng)
    x = (rng.normal(size=(2, 4, 8, 8)) * 1e6).astype(np.float32)
    exact = np.einsum("nchw,oc->nohw", x.astype(np.float64), weight[:, :, 0, 0].astype(np.float64))
    with compiled("kunlun-sim", artifact) as model:
        assert model.placement().precision == "tf32"
        lost = np.abs(model.infer({"x": x})["y"] - exact).max() / np.abs(exact).max()
    assert 1e-5 < lost < 1e-3
    with compiled("kunlun-sim", artifact, "f32") as model:
        assert model.placement().precision == "f32"
        assert np.abs(model.infer({"x": x})["y"] - exact).max() < 1e-6 * np.abs(exact).max()


def test_cambricon_in_f16_rounds_what_every_operator_gives(tmp_path):
    path = tmp_path / "sqrt.onnx"
    onnx.save(graph_of(helper.make_node("Sqrt", ["x"], ["y"]), ["N", 64]), path)
    x = np.linspace(0.001, 100, 128, dtype=np.float32).reshape(2, 64)
    with compiled("cambricon-sim", ModelArtifact(path, "onnx", ""), "f16") as model:
        assert np.array_equal(model.infer({"x": x})["y"], np.sqrt(x).astype(np.float16).astype(np.float32))


def test_the_shipped_model_rounds_on_the_way_and_stays_within_what_float16_may_differ_by():
    bundle = open_bundle()
    expected, images = bundle.golden.maps, bundle.golden.images
    for name, precision in (("ascend-sim", "f16"), ("cambricon-sim", "f16"), ("kunlun-sim", "auto")):
        with compiled(name, bundle.artifact, precision, max_batch=4) as model:
            found = model.infer({"image": images})
        lost = max(float(np.abs(found[level] - expected[level]).max()) for level in expected)
        assert 2e-5 < lost < 3e-3, name


def test_without_rounding_nothing_is_changed():
    import openvino

    model = openvino.Core().read_model(small("stfpm").artifact.path)
    before = len(model.get_ordered_ops())
    apply(openvino, model, Rounding("f32"))
    assert len(model.get_ordered_ops()) == before


@pytest.mark.parametrize(
    ("name", "precision", "words"),
    [
        ("ascend-sim", "f32", "ascend-sim does not compute in f32; it has: f16"),
        ("ascend-sim", "int8", "ascend-sim does not compute in int8; it has: f16"),
        ("kunlun-sim", "f16", "kunlun-sim does not compute in f16; it has: f32"),
        ("cambricon-sim", "bf16", "cambricon-sim does not compute in bf16; it has: f32, f16"),
    ],
)
def test_a_precision_that_the_card_lacks_is_refused(name, precision, words):
    with pytest.raises(UnavailableError) as caught:
        compiled(name, precision=precision)
    assert caught.value.message == words


def test_ascend_takes_batches_up_to_the_largest_that_the_model_is_converted_for():
    images = small("stfpm").batch(5)[0]
    with compiled("ascend-sim", max_batch=3) as model:
        assert model.capabilities.max_batch == 3
        alone = model.infer({"image": images[:1]})
        assert all(np.array_equal(value[:1], alone[name]) for name, value in model.infer({"image": images[:3]}).items())
        with pytest.raises(InferenceError) as caught:
            model.infer({"image": images[:4]})
    assert caught.value.cause_text == "the model was converted for batches of up to 3, it was given 4"


@pytest.mark.parametrize("name", ["kunlun-sim", "cambricon-sim"])
def test_the_others_take_any_batch(name):
    images = small("stfpm").batch(5)[0]
    with compiled(name, max_batch=2) as model:
        assert len(model.infer({"image": images})["level1"]) == 5


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_quantised_model_is_refused_as_the_vendors_tools_do(name, tmp_path):
    scale = numpy_helper.from_array(np.float32(0.1), "s")
    path = tmp_path / "int8.onnx"
    node = helper.make_node("QuantizeLinear", ["x", "s"], ["q"])
    back = helper.make_node("DequantizeLinear", ["q", "s"], ["y"])
    model = graph_of(node, ["N", 4], scale)
    model.graph.node.append(back)
    onnx.save(model, path)
    with pytest.raises(CompileError) as caught:
        compiled(name, ModelArtifact(path, "onnx", ""))
    assert "do not take: DequantizeLinear, QuantizeLinear" in caught.value.cause_text


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_size_that_is_left_open_is_refused(name, tmp_path):
    path = tmp_path / "open.onnx"
    onnx.save(graph_of(helper.make_node("Relu", ["x"], ["y"]), ["N", "C"]), path)
    with pytest.raises(CompileError) as caught:
        compiled(name, ModelArtifact(path, "onnx", ""))
    assert "the input x leaves more open than its batch" in caught.value.cause_text


def test_there_is_one_device_and_there_are_no_options():
    with pytest.raises(UnavailableError, match="kunlun-sim has no device '1'; it has: 0"):
        Plugins().open("kunlun-sim", {}).compile(small("relu").artifact, DeviceRef("1"), CompileOptions())
    with pytest.raises(ConfigError, match=r"options\.ascend-sim has speed, and ascend-sim takes no options"):
        Plugins().open("ascend-sim", {"speed": 9})


def test_errors_name_the_simulator_and_not_what_runs_it():
    with compiled("ascend-sim") as model, pytest.raises(InferenceError) as caught:
        model.infer({"image": np.zeros((1, 4, 4, 3), np.float32)})
    assert (caught.value.backend, caught.value.message) == (
        "ascend-sim",
        "ascend-sim:0 failed while it ran the model",
    )


def test_operators_that_the_vendors_backend_does_not_have_are_refused(tmp_path):
    path = tmp_path / "exp.onnx"
    onnx.save(graph_of(helper.make_node("Exp", ["x"], ["y"]), ["N", 4]), path)
    for name in ("kunlun-sim", "cambricon-sim"):
        with pytest.raises(CompileError) as caught:
            compiled(name, ModelArtifact(path, "onnx", ""))
        assert caught.value.cause_text.endswith("do not take: Exp")
    compiled("ascend-sim", ModelArtifact(path, "onnx", "")).close()


def test_they_are_those_that_the_backends_themselves_know():
    from uadx_kunlun.operators import OPERATORS

    assert set(OPERATORS) == PADDLE
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    from uadx_torch.operators import OPERATORS as OF_TORCH

    assert set(OF_TORCH) == TORCH
