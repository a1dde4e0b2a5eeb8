"""`uadx export` to OpenVINO's and ONNX Runtime's own formats: run by their runtimes, beside the ONNX file."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from uadx.bundle.reader import open_bundle
from uadx.bundle.writer import write_files

ENGINES = {"openvino": "openvino:CPU", "ort": "onnxruntime:CPUExecutionProvider"}


def by_openvino(path, images):
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = [compiled({"image": images[at : at + 1]}) for at in range(len(images))]
    return {name: np.concatenate([row[name] for row in rows]) for name in ("level1", "level2", "level3")}


def by_onnxruntime(path, images):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = ["level1", "level2", "level3"]
    rows = [session.run(names, {"image": images[at : at + 1]}) for at in range(len(images))]
    return {name: np.concatenate([row[index] for row in rows]) for index, name in enumerate(names)}


@pytest.mark.parametrize(
    ("format_", "file", "run"),
    [("openvino", "stfpm.openvino.xml", by_openvino), ("ort", "stfpm.ort", by_onnxruntime)],
)
def test_a_form_gives_the_model_s_numbers_in_its_own_runtime(uadx, tmp_path, format_, file, run):
    pytest.importorskip(ENGINES[format_].partition(":")[0], reason="its runtime is not installed")
    done = uadx("export", "--model", "default", "--format", format_, "--output", tmp_path / "edge")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == f"{tmp_path / 'edge'} has {file}"
    assert lines[1].startswith(f"{ENGINES[format_]} (f32) repeats the golden vectors with it: ")
    bundle = open_bundle(tmp_path / "edge")
    assert bundle.manifest.variants[0].format == format_
    maps = run(bundle.path / file, bundle.golden.images)
    for name, expected in bundle.golden.maps.items():
        np.testing.assert_allclose(maps[name], expected, atol=5e-5)


def test_both_forms_stand_beside_the_model_and_uadx_run_keeps_to_the_model(uadx, product, tmp_path):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    edge = tmp_path / "edge"
    assert uadx("export", "--model", "default", "--format", "openvino", "--output", edge).code == 0
    assert uadx("export", "--model", edge, "--format", "ort").code == 0
    assert {variant.format for variant in open_bundle(edge).manifest.variants} == {"openvino", "ort"}
    rows = []
    for model in ("default", edge):
        out = tmp_path / "out"
        told = ("--model", model, "--input", product / "test" / "hole", "--output", out, "--format", "jsonl")
        assert uadx("run", *told).code == 0
        rows.append([json.loads(line)["score"] for line in (out / "results.jsonl").read_text().splitlines()])
    assert rows[0] == rows[1]


@pytest.mark.parametrize("format_", ["openvino", "ort"])
@pytest.mark.parametrize("given", [("--precision", "f16"), ("--batch", "3"), ("--soc-version", "Ascend310P3")])
def test_what_the_formats_do_not_take_is_refused(uadx, tmp_path, format_, given):
    done = uadx("export", "--model", "default", "--format", format_, *given, "--output", tmp_path / "edge")
    assert done.code == 2
    assert f"the format {format_!r} is one file for every" in done.err
    assert given[0] in done.err
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
