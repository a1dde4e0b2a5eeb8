"""`uadx export` to formats of the runtimes' own: run by these without uadx, and beside the ONNX file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from zipfile import ZipFile

import msgspec
import numpy as np
import pytest

from uadx.api import CompileOptions, DeviceRef, ModelArtifact
from uadx.bundle.reader import open_bundle
from uadx.bundle.writer import write_files
from uadx.errors import CompileError, UnavailableError
from uadx.parity import tolerance_for
from uadx.plugins import Plugins

LEVELS = ("level1", "level2", "level3")


@dataclass(frozen=True)
class Form:
    """file: the one that its runtime is given. device: where uadx runs it. packages: what that takes, as imported.
    precision: what the file computes in, "" where the runtime decides."""

    file: str
    device: str
    packages: tuple[str, ...]
    precision: str = ""


FORMS = {
    "openvino": Form("stfpm.openvino.xml", "openvino:CPU", ("openvino",)),
    "ort": Form("stfpm.ort", "onnxruntime:CPUExecutionProvider", ("onnxruntime",)),
    "torchscript": Form("stfpm.pt", "torch:cpu", ("torch", "onnx"), "f32"),
    "paddle": Form("stfpm.json", "paddle:cpu", ("paddle", "onnx")),
    "executorch": Form("stfpm.pte", "executorch:cpu", ("executorch", "torch", "onnx"), "f32"),
}
RUNTIMES = {
    "openvino": """
import openvino
compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
run = lambda image: [compiled({"image": image})[name] for name in ("level1", "level2", "level3")]
""",
    "ort": """
import onnxruntime
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
run = lambda image: session.run(["level1", "level2", "level3"], {"image": image})
""",
    "torchscript": """
import torch
model = torch.jit.load(path)
def run(image):
    with torch.inference_mode():
        return [level.numpy() for level in model(torch.from_numpy(image))]
""",
    "paddle": """
import paddle.inference
predictor = paddle.inference.create_predictor(paddle.inference.Config(path, path.replace(".json", ".pdiparams")))
def run(image):
    predictor.get_input_handle("image").copy_from_cpu(image)
    predictor.run()
    return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]
""",
    "executorch": """
import torch
from executorch.runtime import Runtime
method = Runtime.get().load_program(path).load_method("forward")
run = lambda image: [level.numpy() for level in method.execute([torch.from_numpy(image)])]
""",
}
"""A program in a process of its own for each: `run` takes one image and gives the levels in order."""

PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy
path, images, answer = sys.argv[1:]
{runtime}
rows = [run(image[None]) for image in numpy.load(images)]
numpy.savez(answer, *(numpy.concatenate(level) for level in zip(*rows)))
assert not [name for name in sys.modules if name.startswith("uadx")]
"""


def lacking(format_):
    """Its packages that are not installed; none is imported, as the first to do that decides what Paddle prints."""
    return [package for package in FORMS[format_].packages if find_spec(package) is None]


def needs(format_):
    if lacking(format_):
        pytest.skip(f"not installed: {', '.join(lacking(format_))}")


def apart(format_, model, tmp_path):
    """The largest difference from the golden vectors of what the runtime gives, which knows nothing of uadx."""
    bundle = open_bundle(model)
    images, answer = tmp_path / "images.npy", tmp_path / "answer.npz"
    np.save(images, bundle.golden.images)
    program = PROGRAM.format(runtime=RUNTIMES[format_])
    file = bundle.path / next(each.file for each in bundle.manifest.variants if each.format == format_)
    command = [sys.executable, "-c", program, str(file), str(images), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(answer) as levels:
        found = dict(zip(LEVELS, levels.values(), strict=True))
    return max(float(np.abs(found[name] - expected).max()) for name, expected in bundle.golden.maps.items())


@pytest.mark.parametrize("format_", FORMS)
def test_a_form_gives_the_model_s_numbers_in_its_own_runtime(uadx, tmp_path, format_):
    needs(format_)
    form, edge = FORMS[format_], tmp_path / "edge"
    done = uadx("export", "--model", "default", "--format", format_, "--output", edge)
    # Paddle's own log is quiet but where an earlier test imported Paddle first
    said = [line for line in done.err.splitlines() if not re.match(r"W\d{4} .*Paddle", line)]
    assert (done.code, said) == (0, [])
    has, repeats = done.out.splitlines()
    assert has == f"{edge} has {form.file}" + (f" ({form.precision})" if form.precision else "")
    assert repeats.startswith(f"{form.device} (f32) repeats the golden vectors with it: ")
    (variant,) = open_bundle(edge).manifest.variants
    assert (variant.format, variant.file, variant.precision) == (format_, form.file, form.precision)
    assert set(variant.files) <= set(open_bundle(edge).manifest.files)
    assert apart(format_, edge, tmp_path) <= tolerance_for("f32").maximum


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_torchscript_is_made_in_half_precision_too(uadx, tmp_path, precision):
    needs("torchscript")
    edge = tmp_path / "edge"
    done = uadx("export", "--model", "default", "--format", "torchscript", "--precision", precision, "--output", edge)
    if "not run here: " in done.out:
        pytest.skip(f"torch has no {precision} on this processor")
    assert done.out.splitlines()[0] == f"{edge} has stfpm.{precision}.pt ({precision})"
    assert f"torch:cpu ({precision}) repeats the golden vectors with it: " in done.out
    assert (edge / f"stfpm.{precision}.pt").stat().st_size < 8e6
    assert tolerance_for("f32").maximum < apart("torchscript", edge, tmp_path) <= tolerance_for(precision).maximum


def test_a_torchscript_file_says_nothing_of_the_machine_that_made_it(uadx, tmp_path):
    needs("torchscript")
    import uadx_torch.graph

    assert uadx("export", "-m", "default", "-f", "torchscript", "-o", tmp_path / "edge").code == 0
    with ZipFile(tmp_path / "edge" / "stfpm.pt") as saved:
        content = b"".join(map(saved.read, saved.namelist()))
    assert uadx_torch.graph.__file__.encode() not in content


def test_a_file_that_torch_saved_without_uadx_is_refused_with_what_makes_one(tmp_path):
    needs("torchscript")
    import torch

    path = tmp_path / "other.pt"
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)
    with pytest.raises(CompileError) as caught:
        Plugins().open("torch", {}).compile(ModelArtifact(path, "torchscript", ""), DeviceRef("cpu"), CompileOptions())
    assert "uadx.json, which `uadx export` puts into it" in caught.value.cause_text
    assert "uadx export --format torchscript" in caught.value.hint


def test_a_torchscript_file_runs_in_the_precision_that_it_was_made_for_only(uadx, tmp_path):
    needs("torchscript")
    assert uadx("export", "-m", "default", "-f", "torchscript", "-o", tmp_path / "edge").code == 0
    artifact = open_bundle(tmp_path / "edge").artifacts[1]
    with pytest.raises(UnavailableError, match="was made for f32, and bf16 is asked for"):
        Plugins().open("torch", {}).compile(artifact, DeviceRef("cpu"), CompileOptions("bf16"))


def test_a_paddle_program_without_its_description_is_refused(uadx, tmp_path):
    needs("paddle")
    assert uadx("export", "-m", "default", "-f", "paddle", "-o", tmp_path / "edge").code == 0
    artifact = open_bundle(tmp_path / "edge").artifacts[1]
    artifact.path.with_suffix(".tensors.json").write_text("{}")
    with pytest.raises(CompileError) as caught:
        Plugins().open("paddle", {}).compile(artifact, DeviceRef("cpu"), CompileOptions())
    assert "stfpm.tensors.json does not describe a program" in caught.value.cause_text


def test_all_forms_stand_beside_the_model_and_uadx_run_keeps_to_the_model(uadx, product, tmp_path):
    here = [format_ for format_ in ("openvino", "ort", "torchscript", "paddle") if not lacking(format_)]
    edge = tmp_path / "edge"
    shutil.copytree(open_bundle().path, edge)
    for format_ in here:
        assert uadx("export", "--model", edge, "--format", format_).code == 0
    assert {variant.format for variant in open_bundle(edge).manifest.variants} == set(here)
    rows = []
    for model in ("default", edge):
        out = tmp_path / "out"
        told = ("--model", model, "--input", product / "test" / "hole", "--output", out, "--format", "jsonl")
        assert uadx("run", *told).code == 0
        rows.append([json.loads(line)["score"] for line in (out / "results.jsonl").read_text().splitlines()])
    assert rows[0] == rows[1]


@pytest.mark.parametrize("given", [("--precision", "int8"), ("--soc-version", "Ascend310P3"), ("--batch", "3")])
@pytest.mark.parametrize("format_", FORMS)
def test_what_the_formats_do_not_take_is_refused(uadx, tmp_path, format_, given):
    done = uadx("export", "--model", "default", "--format", format_, *given, "--output", tmp_path / "edge")
    assert done.code == 2
    assert f"the format {format_!r} is one file for every" in done.err
    assert given[0] in done.err
    assert not (tmp_path / "edge").exists()


@pytest.mark.parametrize(
    ("format_", "package", "extra"),
    [
        ("ort", "onnxruntime", "onnxruntime"),
        ("torchscript", "torch", "torch"),
        ("paddle", "paddle", "paddle"),
        ("executorch", "executorch", "executorch"),
    ],
)
def test_without_its_package_it_says_what_to_install_and_writes_nothing(tmp_path, format_, package, extra):
    told = ["export", "--model", "default", "--format", format_, "--output", str(tmp_path / "edge")]
    program = f"import sys; sys.modules[{package!r}] = None; from uadx.cli import main; main({told!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 4, done.stderr
    assert f"python -m pip install 'uadx[{extra}]'" in done.stderr
    assert not (tmp_path / "edge").exists()


def test_a_bundle_of_another_model_or_with_more_forms_is_not_written_over(uadx, tmp_path):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    edge, other = tmp_path / "edge", tmp_path / "other"
    for _ in range(2):  # the same once more is no loss
        assert uadx("export", "--model", "default", "--format", "openvino", "--output", edge).code == 0
    done = uadx("export", "--model", "default", "--format", "ort", "--output", edge)
    assert done.code == 2
    assert "has stfpm.openvino.xml, which would be lost" in done.err
    manifest = open_bundle().manifest
    files = {name: (open_bundle().path / name).read_bytes() for name in manifest.files}
    write_files(other, msgspec.structs.replace(manifest, name="another"), files)
    done = uadx("export", "--model", "default", "--format", "ort", "--output", other)
    assert done.code == 2
    assert "is a bundle of another model, which would be lost" in done.err
    assert open_bundle(other).manifest.name == "another"
