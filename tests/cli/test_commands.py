"""`uadx`, `uadx info`, `uadx config`: what they print, what they import, how they refuse."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from uadx import __version__

HEAVY = {"openvino", "onnxruntime", "torch", "cv2", "numpy", "onnx", "rich", "msgspec", "yaml", "PIL"}


def modules_after(code):
    program = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", ["--help", "--version", "run --help", "train --help", "demo --help"])
def test_help_imports_no_engine_and_nothing_heavy(command):
    call = f"main({command.split()!r})"
    code = f"from uadx.cli import main\ntry:\n    {call}\nexcept SystemExit as stopped:\n    assert not stopped.code"
    assert not HEAVY & modules_after(code)


def test_importing_the_package_and_the_plugins_imports_no_sdk():
    assert not HEAVY & modules_after("import uadx, uadx.api, uadx_openvino, uadx_onnxruntime")


def test_help_names_every_command(uadx):
    run = uadx("--help")
    assert run.code == 0
    for name in ("run", "train", "info", "config", "demo"):
        assert f"\n  {name} " in run.out


def test_the_version_names_the_backends_and_who_brings_them(uadx):
    first, *others = uadx("--version").out.splitlines()
    assert first == f"uadx {__version__}"
    assert f"  openvino: uadx {__version__}" in others
    assert len(others) >= 8


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are closed otherwise there")
def test_where_nobody_reads_on_it_ends_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run([sys.executable, "-m", "uadx", "info"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (run.returncode, run.stderr) == (1, b"")


def test_an_unknown_command_gets_a_suggestion(uadx):
    run = uadx("rum", "--input", "x")
    assert run.code == 2
    assert "There is no command 'rum'. Did you mean 'run'?" in run.err


def test_info_shows_the_shipped_bundle(uadx):
    run = uadx("info")
    assert run.code == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in run.out.splitlines())
    assert rows["input"] == "256 x 256 RGB, letterbox"
    assert rows["certifies"].startswith("false-alarm rates of 0.00")
    assert float(rows["threshold (quantile)"]) > 0
    assert len(rows["file stfpm.onnx"]) == 64
    assert re.fullmatch("[0-9a-f]{64}, intact", rows["seal"])


def test_info_as_json_is_the_manifest(uadx):
    content = json.loads(uadx("info", "default", "--json").out)
    assert content["input"]["height"] == 256
    assert len(content["sha256"]) == 64


def test_info_of_something_else_exits_with_5(uadx, tmp_path):
    run = uadx("info", tmp_path)
    assert run.code == 5
    assert run.err.startswith(f"error: {tmp_path} is not a model bundle")


def test_config_writes_a_file_that_is_the_default(uadx, tmp_path):
    from uadx.pipeline.config import ConfigFile, load_config

    assert uadx("config", "anomaly_detection", "--save-path", tmp_path).code == 0
    path = tmp_path / "anomaly_detection.yaml"
    loaded = load_config(path)
    default = ConfigFile().Pipeline
    for name in default.__struct_fields__:
        assert getattr(loaded.Pipeline, name) == (getattr(default, name) if name != "model" else "default"), name
    assert set(yaml.safe_load(path.read_text())["Pipeline"]) == set(default.__struct_fields__)


def test_config_does_not_write_over_a_file(uadx, tmp_path):
    (tmp_path / "anomaly_detection.yaml").write_text("mine")
    run = uadx("config", "--save-path", tmp_path)
    assert run.code == 2
    assert "is there already" in run.err
    assert (tmp_path / "anomaly_detection.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Pipeline: {modell: x}", "Object contains unknown field `modell` - at `$.Pipeline`"),
        ("Pipeline: {batch_size: 0}", "Expected `int` >= 1 - at `$.Pipeline.batch_size`"),
        ("Pipeline: {device: [1]}", "Expected `str | null`, got `array` - at `$.Pipeline.device`"),
        ("Pipeline: {threshold: 1.0, fpr: 0.1}", "give `threshold` or `fpr`, not both - at `$.Pipeline`"),
        ("Global: {pipeline: x}", "unknown field `pipeline` - at `$.Global`"),
        ("Pipeline: [", "expected the node content"),
        ("- a", "Expected `object`, got `array`"),
    ],
)
def test_a_wrong_configuration_names_the_place(uadx, tmp_path, text, words):
    path = tmp_path / "line.yaml"
    path.write_text(text)
    run = uadx("run", "--pipeline", path, "--input", tmp_path)
    assert run.code == 2
    assert str(path) in run.err
    assert words in run.err


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("command", ["run --input x.mp4 --fps", "tune --seconds", "bench --seconds"])
def test_numbers_that_are_none_are_refused(uadx, command, value):
    run = uadx(*command.split(), value)
    assert run.code == 2
    assert f"{value} is not a finite number." in run.err or f"{value} is not in the range x>0." in run.err
