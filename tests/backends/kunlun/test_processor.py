"""Paddle on the CPU: a real engine, which gives what the others give."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("paddle", reason="Paddle is not installed: pip install 'uadx[paddle]'")

from uadx.api import CompileOptions, DeviceRef
from uadx.errors import ConfigError, PlacementError, UnavailableError
from uadx.parity import tolerance_for
from uadx.plugins import Plugins
from uadx.testing.golden import small

IMAGES, EXPECTED = small("stfpm").batch(2)


def opened(precision="f32", selector="cpu", **options):
    backend = Plugins().open("paddle", {})
    return backend.compile(small("stfpm").artifact, DeviceRef(selector), CompileOptions(precision, **options))


def python(code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def test_its_numbers_are_those_of_the_reference():
    with opened() as model:
        found = model.infer({"image": IMAGES})
    assert max(float(np.abs(found[name] - value).max()) for name, value in EXPECTED.items()) < 5e-6


def test_the_placement_says_what_the_config_says():
    with opened(threads=1) as model:
        placement = model.placement()
    assert (placement.device, placement.precision) == ("cpu", "f32")
    assert placement.details == {"onednn": "True", "threads": "1"}


def test_bf16_is_offered_where_the_processor_computes_in_it_and_refused_elsewhere():
    (device,) = Plugins().open("paddle", {}).devices()
    assert device.precisions[0] == "f32"
    if "bf16" in device.precisions:
        with opened("bf16") as model:
            found = model.infer({"image": IMAGES})
            assert model.placement().precision == "bf16"
        lost = max(float(np.abs(found[name] - value).max()) for name, value in EXPECTED.items())
        assert tolerance_for("f32").maximum < lost < tolerance_for("bf16").maximum
    else:
        with pytest.raises(PlacementError, match="paddle:cpu was asked for bf16, but computes in f32"):
            opened("bf16")


def test_what_it_does_not_have_is_refused():
    with pytest.raises(UnavailableError, match="paddle has no int8 on cpu; it has: f32, bf16") as caught:
        opened("int8")
    assert caught.value.hint == "an int8 model runs on openvino and onnxruntime"
    with pytest.raises(UnavailableError, match="paddle has no device 'gpu:0' here; it has: cpu"):
        opened(selector="gpu:0")
    with pytest.raises(ConfigError, match=r"options\.paddle has threads, and paddle takes no options here"):
        Plugins().open("paddle", {"threads": 2})


def test_a_run_gives_the_scores_of_the_default_device(uadx, parts, tmp_path):
    for device in ("paddle:cpu", "cpu"):
        assert uadx("run", "--device", device, "--input", parts, "--output", tmp_path / device).code == 8
    rows = [
        [json.loads(line) for line in (tmp_path / device / "results.jsonl").read_text().splitlines()]
        for device in ("paddle:cpu", "cpu")
    ]
    for one, other in zip(*rows, strict=True):
        assert one["input_path"] == other["input_path"]
        assert one["is_anomaly"] == other["is_anomaly"]
        assert one["score"] == other["score"] or abs(one["score"] - other["score"]) < 1e-4
    assert {row["device"]["used"] for row in rows[0]} == {"paddle:cpu"}


def test_importing_it_leaves_the_process_as_it_was():
    done = python(
        "import signal, os\n"
        "before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGSEGV)], dict(os.environ)\n"
        "from uadx.plugins import Plugins\n"
        "Plugins().open('paddle', {}).devices()\n"
        "after = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGSEGV)], dict(os.environ)\n"
        "assert before[0] == after[0]\n"
        "assert {k: v for k, v in after[1].items() if before[1].get(k) != v} == {}, after[1]\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    assert done.returncode == -15, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with opened() as model:
        assert list(tmp_path.iterdir()) == [], "the program is loaded, its files are gone"
        model.infer({"image": IMAGES})
    assert list(tmp_path.iterdir()) == []


def test_building_a_program_leaves_paddles_own_device_alone():
    import paddle

    before = paddle.device.get_device()
    opened().close()
    assert paddle.device.get_device() == before
