"""The exported graph against the float64 reference, on real engines, and its shape for vendor compilers."""

import numpy as np
import pytest

from uadx.stfpm import reference, weights
from uadx.stfpm.difficulty import Difficulty

onnx = pytest.importorskip("onnx", reason="onnx comes with the test extra")

SIZE = (64, 96)
NONE = [Difficulty.none(count) for count in weights.CHANNELS]


def random_network(network, seed):
    """Folded, with weights of the scale that torch starts with."""
    rng = np.random.default_rng(seed)
    found = {}
    for conv in weights.convolutions(network):
        scale = np.sqrt(2 / (conv.outputs * conv.kernel**2))
        found[f"{conv.name}.weight"] = rng.normal(0, scale, conv.shape).astype(np.float16)
        found[f"{conv.name}.bias"] = rng.normal(0, 0.1, conv.outputs).astype(np.float16)
    return found


@pytest.fixture(scope="module")
def networks():
    """Teacher and student."""
    return random_network(weights.TEACHER, 0), random_network(weights.STUDENT, 1)


@pytest.fixture(scope="module")
def difficulties():
    rng = np.random.default_rng(3)
    return [Difficulty(rng.normal(0, 0.05, count).astype(np.float32), -1.0) for count in weights.CHANNELS]


@pytest.fixture(scope="module")
def model(networks, difficulties):
    from uadx.stfpm.graph import build

    return build(*networks, difficulties, *SIZE)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(2).integers(0, 256, (3, *SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(networks, images, difficulties):
    return reference.level_maps(images, *networks, difficulties)


def run_onnxruntime(model, images):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the test extra")
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {"image": images}), strict=True))


def run_openvino(model, images):
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {output.get_any_name(): value for output, value in compiled(images).items()}


def test_the_difficulty_is_taken_off_and_nothing_falls_below_zero(networks, images, expected):
    plain = reference.level_maps(images, *networks, NONE)
    for level, rest in expected.items():
        assert rest.min() == 0  # somewhere the difficulty is above the distance
        assert 0 < rest.max() < plain[level].max()


@pytest.mark.parametrize("run", [run_onnxruntime, run_openvino])
def test_engines_give_the_reference_level_maps(run, model, images, expected):
    outputs = run(model, images)
    assert set(outputs) == {"level1", "level2", "level3"}
    for level, value in expected.items():
        assert outputs[level].dtype == np.float32
        assert outputs[level].shape == value.shape
        np.testing.assert_allclose(outputs[level], value, atol=2e-5)


def test_levels_have_a_quarter_an_eighth_and_a_sixteenth_of_the_size(expected):
    assert [value.shape for value in expected.values()] == [(3, 16, 24), (3, 8, 12), (3, 4, 6)]


def test_features_are_at_distance_zero_of_themselves_and_two_of_their_opposite():
    features = np.random.default_rng(4).normal(0, 1, (2, 8, 3, 3))
    assert reference.normalised_distance(features, features).max() == 0
    assert reference.normalised_distance(features, -features).max() == pytest.approx(2, abs=1e-3)


def test_the_student_goes_on_from_the_teachers_first_convolution(networks, images):
    teacher, student = networks
    other = {**teacher, "conv1.weight": teacher["conv1.weight"][::-1]}
    of_other = reference.level_maps(images[:1], other, student, NONE)
    for level, value in reference.level_maps(images[:1], teacher, student, NONE).items():
        assert np.abs(of_other[level] - value).max() > 0.01
    assert not any(name.startswith("conv1") for name in student)


def test_a_black_feature_vector_does_not_divide_by_zero():
    nothing = np.zeros((1, 4, 2, 2))
    assert reference.normalised_distance(nothing, nothing).max() == 0


def test_the_graph_holds_only_operators_that_every_vendor_compiler_takes(model):
    graph = onnx.load_from_string(model)
    assert {node.op_type for node in graph.graph.node} == {
        "Add", "Cast", "Conv", "MaxPool", "Mul", "Reciprocal", "ReduceSum", "Relu", "Sqrt", "Sub", "Transpose",
    }  # fmt: skip
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 17)]
    assert not any(attribute.name == "dilations" for node in graph.graph.node for attribute in node.attribute)


def test_the_batch_is_dynamic_and_the_image_size_is_not(model):
    shape = onnx.load_from_string(model).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["N", 64, 96, 3]


def test_weights_are_stored_in_float16_and_found_again_by_name(model, networks):
    from uadx.stfpm.graph import network_weights

    assert len(model) < 7_200_000
    student = network_weights(model, "student")
    assert student.keys() == networks[1].keys()
    for name, value in networks[1].items():
        np.testing.assert_array_equal(student[name], value)


def test_weights_that_float16_cannot_hold_are_stored_in_float32(networks):
    from uadx.stfpm.graph import build, network_weights

    teacher, student = (dict(network) for network in networks)
    exact = teacher["layer1.0.conv1.weight"] * np.float32(1.0001)
    large = np.full(64, 1e6, np.float32)
    teacher |= {"layer1.0.conv1.weight": exact, "layer1.0.conv1.bias": large}
    found = network_weights(build(teacher, student, NONE, *SIZE), "teacher")
    np.testing.assert_array_equal(found["layer1.0.conv1.weight"], exact)
    np.testing.assert_array_equal(found["layer1.0.conv1.bias"], large)
    assert found["layer1.0.conv2.weight"].dtype == np.float16


@pytest.mark.parametrize("run", [run_onnxruntime, run_openvino])
def test_a_student_that_is_the_teachers_twin_begins_with_a_first_convolution_of_its_own(run, networks, images):
    from uadx.stfpm.graph import build

    twin = random_network(weights.TEACHER, 5)
    expected = reference.level_maps(images, networks[0], twin, NONE)
    other = reference.level_maps(images, networks[0], {**twin, "conv1.weight": twin["conv1.weight"][::-1]}, NONE)
    for level, value in run(build(networks[0], twin, NONE, *SIZE), images).items():
        np.testing.assert_allclose(value, expected[level], atol=2e-5)
        assert np.abs(other[level] - value).max() > 0.01
    for level in reference.level_maps(images, networks[0], networks[0], NONE).values():
        assert level.max() < 1e-12  # of its own teacher there is nothing left


def test_the_same_weights_give_the_same_file(networks, difficulties, model):
    from uadx.stfpm.graph import build

    assert build(*networks, difficulties, *SIZE) == model


def test_difficulties_are_found_again_in_the_model(model, difficulties):
    from uadx.stfpm.graph import difficulties as found

    for one, again in zip(difficulties, found(model), strict=True):
        np.testing.assert_array_equal(again.weight, one.weight)
        assert again.offset == pytest.approx(one.offset)


def test_folding_and_unfolding_batch_norms_changes_nothing(networks):
    folded = {name: value.astype(np.float32) for name, value in networks[0].items()}
    again = weights.fold(weights.unfold(folded))
    for name, value in folded.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-6, atol=1e-7)


def test_a_state_dict_that_is_no_resnet18_is_told_which_entry_is_wrong(networks):
    from uadx.errors import BundleError

    state = weights.unfold(networks[0])
    del state["layer2.0.downsample.0.weight"]
    with pytest.raises(BundleError, match=r"the weights have no entry `layer2.0.downsample.0.weight`"):
        weights.fold(state)
    state = weights.unfold(networks[0])
    state["conv1.weight"] = state["conv1.weight"][:, :1]
    with pytest.raises(BundleError, match=r"`conv1.weight` has shape \[64, 1, 7, 7\] where ResNet-18 has"):
        weights.fold(state)
