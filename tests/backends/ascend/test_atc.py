"""Conversion: the exact command line, run by a program `atc` on PATH, or given to the user where there is none."""

from __future__ import annotations

import json

import pytest
from uadx_ascend.atc import command, convert
from uadx_ascend.interface import read

from uadx.bundle.reader import open_bundle
from uadx.errors import CompileError, UnavailableError, UsageError
from uadx.testing.golden import small


def test_the_command_for_batch_sizes():
    onnx = open_bundle().artifact.path
    assert command(onnx, onnx.with_name("stfpm.om"), "Ascend310P3", [4, 1, 2, 2]) == [
        "atc",
        f"--model={onnx}",
        "--framework=5",
        f"--output={onnx.with_suffix('')}",
        "--soc_version=Ascend310P3",
        "--input_format=ND",
        "--input_shape=image:-1,256,256,3",
        "--precision_mode=cube_fp16in_fp32out",
        "--log=error",
        "--dynamic_batch_size=1,2,4",
    ]


def test_the_command_for_one_batch_size_and_float32():
    line = command(small("relu").artifact.path, small("relu").artifact.path, "Ascend910B1", [8], precision="f32")
    assert "--input_shape=image:8,6,10,3" in line
    assert "--precision_mode=must_keep_origin_dtype" in line
    assert not any("dynamic_batch_size" in word for word in line)


def test_an_om_comes_with_its_description_and_nothing_else(atc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "made" / "stfpm.om"
    out.parent.mkdir()
    convert(small("stfpm").artifact.path, out, "Ascend310B4", [1, 2])
    assert sorted(path.name for path in out.parent.iterdir()) == ["stfpm.om", "stfpm.om.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert json.loads((out.parent / "stfpm.om.json").read_text()) == {
        "soc_version": "Ascend310B4",
        "gears": [1, 2],
        "inputs": ["image"],
        "outputs": ["level1", "level2", "level3"],
        "precision": "f16",
    }


def test_paths_may_be_relative_although_atc_runs_elsewhere(atc, tmp_path, monkeypatch):
    (tmp_path / "a b.onnx").write_bytes(small("relu").artifact.path.read_bytes())
    monkeypatch.chdir(tmp_path)
    convert(type(tmp_path)("a b.onnx"), type(tmp_path)("c d.om"), "Ascend310P3", [1])
    assert (tmp_path / "c d.om").exists()


def test_what_atc_says_against_a_model_is_the_error_and_leaves_nothing(atc, tmp_path):
    with pytest.raises(CompileError) as caught:
        convert(small("relu").artifact.path, tmp_path / "x.om", "Ascend999", [1])
    assert "atc ended with 1" in caught.value.cause_text
    assert "E10001: Value [Ascend999] for parameter [soc_version]" in caught.value.cause_text
    assert "--soc_version" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_atc_that_ends_well_and_makes_nothing_is_an_error(atc, tmp_path):
    atc_that_lies = tmp_path / "atc"
    atc_that_lies.write_text("#!/bin/sh\necho done\n")
    atc_that_lies.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path), prepend=":")
        with pytest.raises(CompileError, match=r"atc ended with 0\n *done"):
            convert(small("relu").artifact.path, tmp_path / "x.om", "Ascend310P3", [1])


def test_without_atc_the_command_is_given_to_be_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    onnx = small("relu").artifact.path
    with pytest.raises(UnavailableError) as caught:
        convert(onnx, tmp_path / "x.om", "Ascend310P3", [1, 2])
    assert f"atc --model={onnx} --framework=5" in caught.value.cause_text
    assert "it needs no card" in caught.value.cause_text
    assert "set_env.sh" in caught.value.hint


@pytest.mark.parametrize(
    ("soc", "gears"),
    [
        ("310P3", [1]),
        ("Ascend310P3; rm", [1]),
        ("Ascend310P3", []),
        ("Ascend310P3", [0, 1]),
        ("Ascend310P3", range(1, 102)),
    ],
)
def test_arguments_that_atc_would_not_take_are_refused_before_it_runs(tmp_path, soc, gears):
    with pytest.raises(UsageError):
        command(small("relu").artifact.path, tmp_path / "x.om", soc, gears)


@pytest.mark.parametrize("content", [b"", b"this is no model" * 9, b"\x3a\xff"])
def test_a_file_that_is_no_onnx_model_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(CompileError, match=r"broken\.onnx is not converted") as caught:
        command(path, tmp_path / "x.om", "Ascend310P3", [1])
    assert caught.value.cause_text


def test_the_interface_is_read_as_the_onnx_package_reads_it():
    import onnx

    for path in (small("conv_bn").artifact.path, open_bundle().artifact.path):
        graph, found = onnx.load(path).graph, read(path)
        lengths = [[dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim] for value in graph.input]
        names = [value.name for value in graph.input]
        assert found.inputs == {name: tuple(shape) for name, shape in zip(names, lengths, strict=True)}
        assert found.outputs == tuple(value.name for value in graph.output)
