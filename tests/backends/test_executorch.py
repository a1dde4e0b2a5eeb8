"""What is particular to ExecuTorch: a .pte that says its own names, one image at a time, words that it only prints."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from uadx.api import CompileOptions, DeviceRef, ModelArtifact
from uadx.bundle.reader import open_bundle
from uadx.errors import CompileError, ConfigError, InferenceError, UnavailableError
from uadx.plugins import Plugins
from uadx.testing.golden import small

if find_spec("executorch") is None:
    pytest.skip("ExecuTorch is not installed: pip install 'uadx[executorch]'", allow_module_level=True)

CPU = DeviceRef("cpu")


@pytest.fixture(scope="module")
def backend():
    return Plugins().open("executorch", {})


@pytest.fixture(scope="module")
def program(tmp_path_factory, backend):
    """A small model's .pte."""
    from uadx_executorch.lowering import lower

    path = tmp_path_factory.mktemp("executorch") / "small.pte"
    path.write_bytes(lower(small("stfpm").artifact.path))
    return ModelArtifact(path, "executorch", "")


def test_a_program_knows_its_tensors_by_name_and_takes_one_image(backend, program):
    golden = small("stfpm")
    images, expected = golden.batch(1)
    with backend.compile(program, CPU, CompileOptions()) as model:
        assert [spec.name for spec in model.inputs] == ["image"]
        assert [spec.name for spec in model.outputs] == list(expected)
        assert (model.capabilities.static_batch, model.placement().precision) == (1, "f32")
        found = model.infer({"image": images})
        with pytest.raises(InferenceError, match="executorch:cpu failed while it ran the model"):
            model.infer({"image": np.concatenate([images, images])})
    assert max(float(np.abs(found[name] - level).max()) for name, level in expected.items()) < 5e-6


def test_a_broken_program_is_refused_in_the_runtime_s_words_and_nothing_is_printed(backend, program, tmp_path, capfd):
    path = tmp_path / "broken.pte"
    path.write_bytes(program.path.read_bytes()[:400])
    with pytest.raises(CompileError, match=r"ExecuTorch does not compile .*broken\.pte") as caught:
        backend.compile(ModelArtifact(path, "executorch", ""), CPU, CompileOptions())
    assert "File size is too small" in caught.value.cause_text
    assert capfd.readouterr() == ("", "")


def test_a_program_that_does_not_say_its_names_is_refused(backend, tmp_path):
    import torch
    from executorch.exir import to_edge_transform_and_lower

    path = tmp_path / "other.pte"
    traced = torch.export.export(torch.nn.ReLU(), (torch.zeros(2),))
    path.write_bytes(to_edge_transform_and_lower(traced).to_executorch().buffer)
    with pytest.raises(CompileError) as caught:
        backend.compile(ModelArtifact(path, "executorch", ""), CPU, CompileOptions())
    assert caught.value.cause_text == "the program does not say its inputs, outputs, precision"


def test_what_it_does_not_have_is_refused(backend, program):
    with pytest.raises(UnavailableError, match="executorch has no f16 on cpu; it has: f32"):
        backend.compile(program, CPU, CompileOptions("f16"))
    with pytest.raises(UnavailableError, match="executorch has no device 'gpu:0' here; it has: cpu"):
        backend.compile(program, DeviceRef("gpu:0"), CompileOptions())
    with pytest.raises(ConfigError, match=r"options\.executorch has threads"):
        Plugins().open("executorch", {"threads": 2})


def test_a_run_takes_the_exported_program_and_gives_the_default_device_s_scores(uadx, parts, tmp_path, monkeypatch):
    edge = tmp_path / "edge"
    assert uadx("export", "-m", "default", "-f", "executorch", "-o", edge).code == 0
    assert open_bundle(edge).artifacts[1].format == "executorch"
    monkeypatch.setattr("uadx_executorch.backend.lower", None)  # making it anew would fail
    rows = []
    for device in ("executorch:cpu", "cpu"):
        out = tmp_path / device.replace(":", "-")
        assert uadx("run", "-m", edge, "--device", device, "--input", parts, "--output", out).code == 8
        rows.append([json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()])
    for one, other in zip(*rows, strict=True):
        assert (one["input_path"], one["is_anomaly"]) == (other["input_path"], other["is_anomaly"])
        if one["score"] is not None:
            assert abs(one["score"] - other["score"]) < 1e-5
