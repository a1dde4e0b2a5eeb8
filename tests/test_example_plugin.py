"""The backend in docs/examples is what a third party would install: from wheels, in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx, which the example runs on, is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from uadx.api import CompileOptions, DeviceRef, ModelArtifact  # noqa: E402
from uadx.bundle.reader import open_bundle  # noqa: E402
from uadx.devices.placement import check_placement  # noqa: E402
from uadx.errors import CompileError, InferenceError, PlacementError  # noqa: E402

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "uadx-backend-example"
SITE = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])


@dataclass(frozen=True)
class Environment:
    """A virtual environment. scripts: the folder of its commands."""

    root: Path
    scripts: Path

    def run(self, command: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """One of its commands, as in a shell of its own: nothing of this process's Python, pytest or uadx."""
        ours = ("PYTHON", "PYTEST", "UADX")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        words = [str(self.scripts / command), *map(str, arguments)]
        return subprocess.run(
            words, capture_output=True, text=True, cwd=self.root, env={**environment, **variables}, check=False
        )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """uadx and the example from wheels; what they depend on is borrowed from the interpreter that runs the tests."""
    root = tmp_path_factory.mktemp("environment")
    venv.create(root, with_pip=True)
    environment = Environment(root, root / ("Scripts" if os.name == "nt" else "bin"))
    pip = ("-m", "pip", "--disable-pip-version-check")
    wheels = root / "wheels"
    wheel = (*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT, EXAMPLE)
    if find_spec("hatchling"):
        built = environment.run("python", *wheel, "--no-build-isolation", PYTHONPATH=os.pathsep.join(SITE))
    else:
        built = environment.run("python", *wheel)
        if built.returncode and "No matching distribution found for hatchling" in built.stderr:
            pytest.skip("the build backend, hatchling, is neither installed nor can pip fetch it")
    assert built.returncode == 0, built.stderr
    # before the .pth file: pip is to install, and not to find that all is there
    done = environment.run("python", *pip, "install", "--no-deps", "--no-index", *wheels.glob("*.whl"))
    assert done.returncode == 0, done.stderr
    site = environment.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    Path(site, "borrowed.pth").write_text("\n".join(SITE))
    return environment


def test_uadx_and_the_example_are_those_of_the_environment(installed):
    code = "import uadx, uadx_backend_example as e, uadx.testing as t; print(uadx.__file__, e.__file__, t.__file__)"
    done = installed.run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    for path in done.stdout.split():
        assert installed.root.resolve() in Path(path).resolve().parents


def test_it_is_listed_with_both_its_devices_and_under_no_kind(installed):
    done = installed.run("uadx", "devices", "--json")
    assert done.returncode == 0, done.stderr
    listing = json.loads(done.stdout)
    rows = [row for row in listing["devices"] if row["backend"] == "example"]
    assert [(row["device"], row["status"], row["kind"]) for row in rows] == [
        ("example:0", "unverified", None),
        ("example:1", "unverified", None),
    ]
    assert {row["provider"] for row in rows} == {"uadx-backend-example 0.1.0"}
    assert rows[0]["versions"] == {"numpy": np.__version__, "onnx": onnx.__version__}
    assert not any((kind["device"] or "").startswith("example:") for kind in listing["kinds"].values())


def test_it_inspects_pictures_as_a_backend_of_uadx_does(installed, product, tmp_path):
    results = {}
    for device in ("example:0", "example:1", "cpu"):
        output = tmp_path / device.replace(":", "_")
        images = product / "test" / "hole"
        done = installed.run("uadx", "run", "--device", device, "--input", images, "--output", output)
        assert done.returncode == 0, done.stderr
        results[device] = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
    expected = [result["score"] for result in results["cpu"]]
    for device in ("example:0", "example:1"):
        assert [result["score"] for result in results[device]] == pytest.approx(expected, rel=1e-4)
        assert {result["device"]["used"] for result in results[device]} == {device}
        assert all(result["is_anomaly"] for result in results[device])


@pytest.mark.parametrize("device", ["example:0", "example:1"])
def test_it_passes_every_check_of_the_conformance_kit(installed, device, tmp_path):
    done = installed.run("uadx", "conformance", device, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["device"], report["precision"]) == (device, "f32")
    assert {check["outcome"] for check in report["checks"]} == {"passed"}


def test_its_own_tests_pass(installed, tmp_path):
    copy = shutil.copytree(EXAMPLE, tmp_path / "copy")
    done = installed.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", copy)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "example:7"), ["no device '7'; it has: 0, 1", "fix: name one of them: --device example:0"]),
        (("--device", "example:0", "--precision", "bf16"), ["in f32 only, and bf16 was asked for", "--precision f32"]),
    ],
)
def test_what_it_does_not_have_is_refused_and_said(installed, good_image, arguments, words):
    done = installed.run("uadx", "run", "--input", good_image, *arguments)
    assert done.returncode == 4
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')", ["not installed", "pip install onnx"]),
        ("ImportError('cannot import name builder')", ["cannot be loaded", "name builder", "--upgrade onnx protobuf"]),
    ],
)
def test_an_onnx_that_cannot_be_imported_is_one_line_of_advice(installed, good_image, tmp_path, failure, words):
    (tmp_path / "onnx.py").write_text(f"raise {failure}")
    arguments = ("run", "--device", "example:0", "--input", good_image)
    done = installed.run("uadx", *arguments, PYTHONPATH=str(tmp_path))
    assert done.returncode == 4
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., object]:
    """load(model or path) -> the model compiled by the example, in this process."""
    monkeypatch.syspath_prepend(EXAMPLE / "src")
    from uadx_backend_example import SPEC
    from uadx_backend_example.backend import ExampleBackend

    def compile_model(model, selector="0", precision="f32"):
        path = model if isinstance(model, Path) else tmp_path / "model.onnx"
        if path is not model:
            onnx.save(model, path)
        artifact = ModelArtifact(path, "onnx", "")
        return ExampleBackend(SPEC, {}).compile(artifact, DeviceRef(selector), CompileOptions(precision))

    return compile_model


def model_of(nodes, shape, *, constants=(), outputs=("y",), types=TensorProto.FLOAT):
    """An ONNX model with the float input `x`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, types, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in dict(constants).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("com.vendor", 1), helper.make_opsetid("", 17)])
    model.ir_version = 8
    return onnx.shape_inference.infer_shapes(model)


def random(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def test_it_agrees_with_the_golden_vectors_whatever_the_batch(load):
    bundle = open_bundle()
    images, expected = bundle.golden.images, bundle.golden.maps
    with load(bundle.artifact.path, "1") as model:
        together = model.infer({"image": images})
        alone = model.infer({"image": images[1:2]})
    for name, maps in expected.items():
        np.testing.assert_allclose(together[name], maps, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(alone[name], together[name][1:2])


@pytest.mark.parametrize(
    ("node", "shape", "constants"),
    [
        (("Conv", ["x", "w", "b"], {"group": 2, "dilations": [2, 1], "strides": [1, 2], "pads": [1, 0, 2, 3]}),
         (2, 4, 9, 11), {"w": random(6, 2, 3, 2), "b": random(6)}),
        (("Conv", ["x", "w"], {"auto_pad": "NOTSET", "kernel_shape": [2, 2]}), (1, 3, 5, 4), {"w": random(2, 3, 2, 2)}),
        (("MaxPool", ["x"], {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [0, 1, 1, 1], "ceil_mode": 0}),
         (2, 3, 7, 6), {}),
        (("BatchNormalization", ["x", "s", "b", "m", "v"], {"epsilon": 1e-3, "momentum": 0.5}),
         (5, 3), {"s": random(3), "b": random(3), "m": random(3), "v": random(3) ** 2}),
        (("ReduceSum", ["x"], {"keepdims": 0}), (2, 3, 4), {}),
        (("ReduceSum", ["x", "axes"], {}), (2, 3, 4), {"axes": np.array([-1, 0])}),
        (("Transpose", ["x"], {}), (2, 3, 4), {}),
        (("Reciprocal", ["x"], {}), (), {}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and value and isinstance(value[0], str) else "",
)  # fmt: skip
def test_operators_are_those_of_the_onnx_specification(load, node, shape, constants):
    operator, inputs, attributes = node
    model = model_of([helper.make_node(operator, inputs, ["y"], **attributes)], shape, constants=constants)
    x = np.asarray(random(*shape))
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    found = load(model).infer({"x": x})["y"]
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_outputs_that_are_views_or_constants_belong_to_the_caller(load):
    nodes = [helper.make_node("Transpose", ["x"], ["view"]), helper.make_node("Relu", ["c"], ["constant"])]
    with load(model_of(nodes, (2, 3), constants={"c": np.ones(2, np.float32)}, outputs=("view", "constant"))) as model:
        x = np.zeros((2, 3), np.float32)
        for value in model.infer({"x": x}).values():
            value.fill(7)
        assert (x == 0).all()
        assert (model.infer({"x": x})["constant"] == 1).all()


def test_all_operators_that_it_lacks_are_named_and_the_file_to_write_them_in(load):
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["a"]),
        helper.make_node("Softmax", ["a"], ["b"]),
        helper.make_node("Fused", ["b"], ["c"], domain="com.vendor"),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    with pytest.raises(CompileError) as caught:
        load(model_of(nodes, (2, 3)))
    words = "UnsupportedError: there is no Sigmoid, no Softmax, no com.vendor.Fused; there is: Add, BatchNormalization"
    assert caught.value.cause_text.startswith(words)
    from uadx_backend_example import uadx_explain_failure

    assert "uadx_backend_example/operators.py" in uadx_explain_failure("example", caught.value)
    assert (EXAMPLE / "src" / "uadx_backend_example" / "operators.py").is_file()


def test_attributes_that_it_lacks_are_refused_and_not_ignored(load):
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a"], kernel_shape=[2, 2], ceil_mode=1),
        helper.make_node("Conv", ["a", "w"], ["y"], auto_pad="SAME_UPPER"),
    ]
    with pytest.raises(CompileError, match=r"there is no Conv with auto_pad, no MaxPool with ceil_mode;"):
        load(model_of(nodes, (1, 3, 5, 5), constants={"w": random(2, 3, 2, 2)}))


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_file_that_is_no_model_is_an_error_in_the_readers_words(load, tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(CompileError, match="check that the file is whole") as caught:
        load(path)
    assert caught.value.cause_text.startswith(("DecodeError: ", "ValidationError: "))


@pytest.mark.parametrize(
    ("ends_in", "precision"), [(TensorProto.FLOAT16, "f16"), (TensorProto.FLOAT, "unknown")], ids=["f16", "mixed"]
)
def test_a_graph_that_computes_in_float16_is_not_said_to_run_in_f32(load, ends_in, precision):
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Relu", ["half"], ["positive"]),
        helper.make_node("Cast", ["positive"], ["y"], to=ends_in),
    ]
    placement = load(model_of(nodes, (2, 3), types=ends_in)).placement()
    assert placement.precision == precision
    with pytest.raises(PlacementError, match="asked for f32"):
        check_placement(placement, DeviceRef("0"), "example", CompileOptions("f32"))


def test_a_wrong_batch_is_described(load):
    model = load(model_of([helper.make_node("Relu", ["x"], ["y"])], ("N", 3)))
    for batch, words in [
        ({}, "the model takes x, and was given nothing"),
        (
            {"x": np.zeros((2, 4), np.float32)},
            r"must be float32 \[-1, 3\], where -1 is any length, and is float32 \[2, 4\]",
        ),
        ({"x": np.zeros((2, 3))}, r"is float64 \[2, 3\]"),
    ]:
        with pytest.raises(InferenceError, match=words):
            model.infer(batch)
