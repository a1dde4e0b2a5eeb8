"""A simulator keeps to the limits of the vendor's backend: precision and rounding, batch sizes, file formats."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from uadx_simulators.limits import LIMITS, TORCH, Rounding
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


def graph_of(nodes, shape, *constants):
    """An ONNX model of operators on x, with float32 output y."""
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def convolution(tmp_path):
    """convolution(rng, groups): an artifact that mixes 4 channels, and its weights [out, in], zero between groups."""

    def make(rng, groups=1):
        weight = rng.normal(size=(4, 4 // groups, 1, 1)).astype(np.float32)
        node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1], group=groups)
        path = tmp_path / "conv.onnx"
        onnx.save(graph_of([node], ["N", 4, 8, 8], numpy_helper.from_array(weight, "w")), path)
        size = 4 // groups
        mixing = np.zeros((4, 4), np.float32)
        for row in range(4):
            start = row // size * size
            mixing[row, start : start + size] = weight[row, :, 0, 0]
        return ModelArtifact(path, "onnx", ""), mixing

    return make


def mixed(x, weight):
    """What the convolution gives in float64."""
    return np.einsum("nchw,oc->nohw", x.astype(np.float64), weight.astype(np.float64))


def half(array):
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("scale", [1e-7, 1e-5, 1e-3, 1.0, 1e4])
def test_ascend_multiplies_what_numpy_rounds_to_float16_and_adds_it_in_float32(convolution, scale, groups):
    rng = np.random.default_rng(0)
    artifact, weight = convolution(rng, groups)
    x = (rng.normal(size=(2, 4, 8, 8)) * scale).astype(np.float32)
    expected = mixed(half(x), half(weight))
    with compiled("ascend-sim", artifact, max_batch=2) as model:
        found = model.infer({"x": x})["y"]
    size = np.abs(expected).max()
    assert np.abs(found - expected).max() < 1e-6 * size
    assert np.abs(found - mixed(x, weight)).max() > 1e-4 * size, "it does round"


def test_float16_is_numpys_to_the_last_bit_and_ends_where_numpys_ends(convolution):
    artifact, _ = convolution(np.random.default_rng(0))
    one = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1])
    identity = numpy_helper.from_array(np.eye(4, dtype=np.float32)[:, :, None, None], "w")
    onnx.save(graph_of([one], ["N", 4, 8, 8], identity), artifact.path)
    rng = np.random.default_rng(1)
    normal = rng.normal(size=(400, 4, 8, 8))
    x = (normal * 10.0 ** rng.integers(-9, 5, size=normal.shape)).astype(np.float32)
    edges = [65504, 65519, -65519, 2**-14, 2**-24, 2**-25, 3 * 2**-25, 1 + 2**-10]
    x[0, 0, 0] = edges
    with compiled("ascend-sim", artifact, max_batch=400) as model:
        assert np.array_equal(model.infer({"x": x})["y"], half(x))
        x[:] = 65520
        assert np.isinf(half(x)).all()
        assert not np.isfinite(model.infer({"x": x})["y"]).any(), "what float16 does not reach is not hidden"


def test_kunlun_left_to_itself_keeps_ten_bits_and_the_range_of_float32(convolution):
    rng = np.random.default_rng(0)
    artifact, weight = convolution(rng)
    x = (rng.normal(size=(2, 4, 8, 8)) * 1e6).astype(np.float32)

    def ten_bits(array):
        mantissa, exponent = np.frexp(array)
        return np.ldexp(np.round(np.ldexp(mantissa, 11)), exponent - 11)

    for precision, reported, expected in (
        ("auto", "tf32", mixed(ten_bits(x), ten_bits(weight))),
        ("f32", "f32", mixed(x, weight)),
    ):
        with compiled("kunlun-sim", artifact, precision) as model:
            assert model.placement().precision == reported
            assert np.abs(model.infer({"x": x})["y"] - expected).max() < 1e-6 * np.abs(expected).max()


def test_cambricon_in_f16_rounds_what_convolutions_give_and_its_sums_and_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, 4, 1, 1)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["c", "r"], ["s"]),
        helper.make_node("Mul", ["s", "s"], ["y"]),
    ]
    path = tmp_path / "block.onnx"
    onnx.save(
        graph_of(nodes, ["N", 4, 8, 8], numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")), path
    )
    x = rng.normal(size=(2, 4, 8, 8)).astype(np.float32)
    convolved = half(mixed(half(x), half(weight[:, :, 0, 0])) + half(bias)[:, None, None])
    summed = half(convolved + np.maximum(convolved, 0))
    with compiled("cambricon-sim", ModelArtifact(path, "onnx", ""), "f16") as model:
        found = model.infer({"x": x})["y"]
    same = found == summed * summed  # a product in float32; in float16 hardly any would be the same
    assert same.mean() > 0.99, "but for sums that lie between two numbers of float16"


def test_cambricon_in_f16_is_as_far_from_the_reference_as_the_executor_that_runs_there():
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    bundle = open_bundle()

    def mean_difference(name, selector):
        with Plugins().open(name, {}).compile(bundle.artifact, DeviceRef(selector), CompileOptions("f16")) as model:
            found = [model.infer({"image": image[None]}) for image in bundle.golden.images]
        maps = bundle.golden.maps
        return {
            level: np.mean([np.abs(f[level] - m) for f, m in zip(found, maps[level], strict=True)]) for level in maps
        }

    simulated, executor = mean_difference("cambricon-sim", "0"), mean_difference("torch", "cpu")
    assert simulated == pytest.approx(executor, rel=0.2)


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
        for wrong in (images[:4], images[:0], np.uint8(0)):
            with pytest.raises(InferenceError, match="ascend-sim:0 failed") as caught:
                model.infer({"image": np.asarray(wrong)})
            shape = np.shape(wrong)
            assert caught.value.cause_text == (f"the model takes batches of up to 3; it was given {{'image': {shape}}}")


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
    model = graph_of([node, back], ["N", 4], scale)
    onnx.save(model, path)
    with pytest.raises(CompileError) as caught:
        compiled(name, ModelArtifact(path, "onnx", ""))
    assert caught.value.cause_text == f"{LIMITS[name].compiler} does not have: DequantizeLinear, QuantizeLinear"
    assert caught.value.hint == "an int8 model runs on openvino and onnxruntime"


def test_ascend_takes_no_size_that_is_left_open_but_the_batch(tmp_path):
    path = tmp_path / "open.onnx"
    onnx.save(graph_of([helper.make_node("Relu", ["x"], ["y"])], ["N", "C"]), path)
    with pytest.raises(CompileError) as caught:
        compiled("ascend-sim", ModelArtifact(path, "onnx", ""))
    assert caught.value.cause_text == "the input x leaves more open than its batch: [?,?]"
    for name in ("kunlun-sim", "cambricon-sim"):
        compiled(name, ModelArtifact(path, "onnx", "")).close()


@pytest.mark.parametrize("name", SIMULATORS)
def test_an_om_is_refused_because_it_holds_a_cards_own_code(name, tmp_path):
    path = tmp_path / "stfpm.om"
    path.write_bytes(b"IMOD")
    with pytest.raises(CompileError) as caught:
        compiled(name, ModelArtifact(path, "om", "", "Ascend310P3", "f16"))
    assert caught.value.cause_text == "it is an .om, which holds the code of a card, and nothing but that card runs it"


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
    onnx.save(graph_of([helper.make_node("Exp", ["x"], ["y"])], ["N", 4]), path)
    for name in ("kunlun-sim", "cambricon-sim"):
        with pytest.raises(CompileError) as caught:
            compiled(name, ModelArtifact(path, "onnx", ""))
        assert caught.value.cause_text.endswith(" backend does not have: Exp")
    compiled("ascend-sim", ModelArtifact(path, "onnx", "")).close()


def test_they_are_those_that_the_torch_executor_knows():
    pytest.importorskip("torch", reason="torch is not installed: pip install 'uadx[torch]'")
    from uadx_torch.operators import OPERATORS

    assert set(OPERATORS) == TORCH
