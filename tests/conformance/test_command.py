"""`uadx conformance`, in a process of its own that has neither pytest nor onnx."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from uadx.testing.suite import GROUPS

CHECKS = [name for group in GROUPS for name in vars(group) if name.startswith("test_")]


@pytest.fixture
def conformance(mutants, tmp_path):
    """conformance("correct:0") -> exit code, printed text, the JSON report or None; without pytest and onnx."""
    (tmp_path / "pytest.py").write_text("raise ImportError('the kit needs no pytest')")
    (tmp_path / "onnx.py").write_text("raise ImportError('the kit needs no onnx')")
    path = os.pathsep.join(map(str, (tmp_path, *mutants, os.environ.get("PYTHONPATH", ""))))

    def call(device, *arguments):
        report = tmp_path / "report.json"
        command = [sys.executable, "-m", "uadx", "conformance", device, "--json", str(report), *arguments]
        environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout + done.stderr, json.loads(report.read_text()) if report.exists() else None

    return call


def test_the_command_runs_every_check_without_pytest_and_reports_each(conformance):
    code, text, report = conformance("correct:0")
    assert code == 0
    assert text.startswith("correct:0 (mutants 1.5; no SDK version)\nruns on 0 in f32, may differ from float64 by")
    assert "\nhygiene\n  PASS  Importing the module of the entry point loads neither the SDK nor NumPy.\n" in text
    assert f"\ncorrect:0: {len(CHECKS)} passed, 0 failed, 0 skipped in " in text
    assert "\x1b" not in text
    assert [check["name"] for check in report["checks"]] == CHECKS
    assert {key: report[key] for key in ("uadx", "device", "backend", "distribution", "version", "sdk")} == {
        "uadx": version("uadx"),
        "device": "correct:0",
        "backend": "correct",
        "distribution": "mutants",
        "version": "1.5",
        "sdk": {},
    }
    assert report["placement"] == {"device": "0", "details": {}}
    assert (report["precision"], report["tolerance"]["maximum"] < 1e-3) == ("f32", True)
    assert (report["passed"], report["failed"], report["skipped"]) == (len(CHECKS), 0, 0)
    first = report["checks"][0]
    assert first.keys() == {"group", "name", "sentence", "outcome", "message", "seconds"}
    assert (first["group"], first["outcome"]) == ("hygiene", "passed")


def test_a_check_that_fails_is_exit_code_6_and_says_what_to_do(conformance):
    code, text, report = conformance("reversesabatch:0")
    assert code == 6
    failed = next(check for check in report["checks"] if check["name"] == "test_the_order_of_a_batch_is_kept")
    assert failed["outcome"] == "failed"
    assert report["failed"] == sum(check["outcome"] == "failed" for check in report["checks"])
    assert "  FAIL  Row i of every output belongs to image i" in text
    assert "(test_the_order_of_a_batch_is_kept)\n          expected: images in order" in text
    assert "\n          fix: " in text


@pytest.mark.parametrize(
    ("device", "code", "words"),
    [
        ("openvino", 2, "needs a device of its own after the colon"),
        ("auto", 2, "auto names none"),
        ("nowhere:0", 2, "there is no device 'nowhere:0'"),
        ("npu:7", 4, "npu:7 is not usable"),
    ],
)
def test_a_device_that_cannot_be_opened_keeps_its_own_exit_code(device, code, words, conformance):
    ended, text, report = conformance(device)
    assert (ended, report) == (code, None)
    assert words in text


def test_a_devices_file_of_ones_own_is_used(conformance, tmp_path):
    devices = tmp_path / "devices.yaml"
    devices.write_text("version: 1\nkinds:\n  chip: {backends: [correct]}\n")
    code, text, _ = conformance("chip:0", "--devices-file", str(devices))
    assert (code, "it is not made for chip" in text) == (4, True)
