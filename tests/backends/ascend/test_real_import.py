"""The stand-in as the module `acl` on sys.path: the real import, the real command line, and the end of the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from uadx.testing.golden import MODELS

HERE = Path(__file__).parent
INFER = f"""
import warnings
import numpy as np
from uadx.api import CompileOptions, DeviceRef, ModelArtifact
from uadx.plugins import Plugins
from pathlib import Path
path = Path({str(MODELS / "stfpm.onnx")!r})
arrays = np.load(path.with_suffix(".npz"))
warnings.simplefilter("ignore")  # of the minutes that atc takes
backend = Plugins().open("ascend", {{}})
model = backend.compile(ModelArtifact(path, "onnx", ""), DeviceRef("1"), CompileOptions("f16", max_batch=2))
outputs = model.infer({{"image": arrays["image"][:2]}})
print(max(float(np.abs(value - arrays[name][:2]).max()) for name, value in outputs.items()))
"""


@pytest.fixture
def python(atc_folder):
    """python(code, devices=1) in a process that finds the stand-ins for acl and atc."""

    def run(*arguments, **knobs):
        environment = dict(os.environ, ACL_KNOBS=json.dumps(knobs))
        environment["PATH"] = f"{atc_folder}:{environment['PATH']}"
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE / "on_path"), str(HERE / "fakes"), *sys.path])
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)

    return run


def test_the_module_acl_is_imported_run_and_finalized(python):
    done = python("-c", INFER + "model.close()")
    assert (done.returncode, done.stderr) == (0, "acl: clean\n")
    assert float(done.stdout) < 3e-3


def test_cann_that_another_library_initialised_is_not_finalized(python):
    done = python("-c", INFER + "model.close()", initialised_by_another=True)
    assert (done.returncode, done.stderr) == (0, "acl: clean\n")


def test_a_model_that_is_left_open_does_not_keep_the_process(python):
    done = python("-c", INFER)
    assert done.returncode == 0
    assert "'model': 1" in done.stderr, "the stand-in sees what was left"
    assert "finalize" not in done.stderr


def test_the_command_line_lists_the_cards_as_unverified(python):
    done = python("-m", "uadx", "devices", "npu", "--json", devices=1, soc="Ascend910B1")
    [row] = [row for row in json.loads(done.stdout)["devices"] if row["backend"] == "ascend"]
    assert (row["device"], row["name"], row["status"]) == ("ascend:0", "Ascend910B1", "unverified")


def test_the_command_line_runs_a_folder(python, parts, tmp_path):
    output = tmp_path / "out"
    done = python("-m", "uadx", "run", "--device", "npu:1", "--precision", "f16", "--input", parts, "--output", output)
    assert done.returncode == 8, done.stderr  # one of the files is no picture
    results = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
    assert {result["device"]["used"] for result in results} == {"ascend:1"}
    assert "acl: clean" in done.stderr


@pytest.mark.parametrize(
    ("module", "words", "advice"),
    [
        (None, "the package 'acl' is not installed", "set_env.sh"),
        (
            "raise ImportError('libascend_hal.so: cannot open shared object file: No such file', name='acl')",
            "libascend_hal.so",
            "the driver is not there",
        ),
        (
            "raise ImportError('libascendcl.so: cannot open shared object file', name='acl')",
            "libascendcl",
            "set_env.sh",
        ),
    ],
)
def test_an_sdk_that_is_missing_or_does_not_load_is_a_reason_and_a_fix(good_image, tmp_path, module, words, advice):
    if module is not None:
        (tmp_path / "acl.py").write_text(module)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    command = [sys.executable, "-m", "uadx", "run", "--device", "ascend:0", "--input", str(good_image)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 4
    assert words in done.stderr
    assert advice in done.stderr.partition("fix:")[2]
