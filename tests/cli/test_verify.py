"""`uadx verify` and the check at the start of a run: a device that gives other numbers is found."""

import json
import re
import shutil

import pytest

from uadx.bundle.reader import default_path
from uadx.parity import beside

PLUGIN = """
from uadx.api import BackendSpec, hookimpl

@hookimpl
def uadx_backends():
    return [BackendSpec(name="acme", api=1, factory="acme_backend:AcmeBackend", kinds=(), summary="a test",
                        install_hint="pip install acme")]
"""
# OpenVINO with a slip: what a careless driver does
BACKEND = """
from dataclasses import replace
import numpy as np
from uadx.api import Backend, CompiledModel, DeviceRef, Placement
from uadx.plugins import Plugins

class AcmeModel(CompiledModel):
    def __init__(self, inner):
        self.inner, self.inputs, self.outputs = inner, inner.inputs, inner.outputs
        self.capabilities = inner.capabilities
    def placement(self): return Placement("card0", "f32")
    def infer(self, batch):
        maps = self.inner.infer(batch)
        {slip}
        return maps
    def close(self): self.inner.close()

class AcmeBackend(Backend):
    def devices(self): return []
    def compile(self, artifact, device, options):
        openvino = Plugins().open("openvino", {{}})
        return AcmeModel(openvino.compile(artifact, DeviceRef("CPU"), options))
"""


@pytest.fixture
def acme(install):
    """A backend that runs OpenVINO and then changes the level maps by a line of Python."""

    def install_acme(slip):
        files = {"acme_plugin.py": PLUGIN, "acme_backend.py": BACKEND.format(slip=slip)}
        install("acme", files, acme="acme_plugin")

    return install_acme


@pytest.mark.parametrize("device", ["cpu", "openvino:CPU", "onnxruntime:CPUExecutionProvider"])
def test_an_engine_that_repeats_the_golden_vectors_passes(uadx, device):
    pytest.importorskip(device.partition(":")[0] if ":" in device else "openvino", reason=f"no {device} here")
    done = uadx("verify", "--device", device)
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(
        r"\S+ [0-9a-f]{12}: the manifest's seal and 2 files' sha256 are right", done.out.splitlines()[0]
    )
    assert done.out.splitlines()[1].endswith("(f32), 3 golden images")
    assert done.out.splitlines()[-2].endswith("0 of 3 verdicts changed")
    assert done.out.splitlines()[-1] == "  passed"


def test_a_calibration_score_that_was_edited_by_hand_is_refused_with_what_to_do(uadx, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(default_path(), model)
    path = model / "manifest.json"
    content = path.read_text()
    score = re.search(r'"quantile": \[\s+([-0-9.e]+)', content)[1]
    path.write_text(content.replace(score, score[:-1] + str((int(score[-1]) + 1) % 10), 1))
    for command in ("verify", "info"):
        done = uadx(command, "--model", model) if command == "verify" else uadx(command, model)
        assert (done.code, done.out) == (5, "")
        assert done.err == (
            f"error: {model}: manifest.json is not valid\n"
            "    it was changed since it was written: its seal is another (for another threshold: --threshold, "
            "--fpr, or uadx recalibrate)\n"
            "  fix: copy the bundle again from where it was made, or train it anew: uadx train\n"
        )


def test_the_json_has_every_figure(uadx):
    (found,) = json.loads(uadx("verify", "--json").out)
    assert found["passed"] is True
    assert (found["device"], found["precision"], found["images"], found["flips"]) == ("openvino:CPU", "f32", 3, 0)
    assert set(found["levels"]) == {"level1", "level2", "level3"}
    assert all(0 < level["maximum"] < 5e-5 for level in found["levels"].values())


SLIPS = {
    "a constant": "maps['level2'] = maps['level2'] + np.float32(1e-4)",
    "ten bits of mantissa": "maps = {k: (v * 1024).round() / 1024 for k, v in maps.items()}",
    "levels swapped": "maps['level1'] = maps['level1'][:, ::-1].copy()",
    "one bad value": "maps['level3'][0, 3, 3] = np.nan",
}

ANSWERS = {
    "another shape": "maps['level3'] = maps['level3'][:, :8]",
    "another type": "maps['level3'] = maps['level3'].astype(np.float64)",
    "an output less": "del maps['level1']",
    "nothing": "maps = None",
    "an exit": "raise SystemExit(0)",
}


@pytest.mark.parametrize("slip", ANSWERS)
@pytest.mark.parametrize("command", ["verify", "run"])
def test_a_device_that_answers_with_something_else_fails_with_exit_7(uadx, acme, good_image, tmp_path, command, slip):
    acme(ANSWERS[slip])
    more = {"verify": [], "run": ["--input", good_image, "--output", tmp_path / "out", "--no-verify"]}[command]
    done = uadx(command, "--device", "acme:card0", *more)
    assert done.code == 7
    assert "unexpected" not in done.err


@pytest.mark.parametrize("slip", SLIPS)
def test_a_device_that_gives_other_numbers_fails_with_exit_6(uadx, acme, slip):
    acme(SLIPS[slip])
    done = uadx("verify", "--device", "acme:card0")
    assert done.code == 6
    assert "error: acme:card0 does not repeat the model's golden vectors in f32\n" in done.err


def test_a_difference_just_above_the_tolerance_reads_as_above(uadx, acme):
    acme("maps['level2'] = maps['level2'] + np.float32(5.003e-5)")
    done = uadx("verify", "--device", "acme:card0")
    assert done.code == 6
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if len(line.split()) == 3}
    assert rows["allowed"] == ["5e-05", "5e-06"]
    assert float(rows["level2"][0]) > 5e-5
    said = re.search(r"level2 differs by (\S+) at most and (\S+) in the mean; f32 may differ by (\S+) and", done.err)
    assert float(said[1]) > float(said[3])


@pytest.mark.parametrize(
    ("value", "allowed", "text"),
    [
        (0.01004, 0.01, "0.01004"),
        (0.0100001, 0.01, "0.0100001"),
        (0.0123, 0.01, "0.012"),
        (0.00996, 0.01, "0.01"),
        (float("inf"), 0.01, "inf"),
    ],
)
def test_a_value_has_the_digits_that_tell_it_from_what_is_allowed(value, allowed, text):
    assert beside(value, allowed) == text


def test_a_run_checks_the_device_first_unless_told_not_to(uadx, acme, good_image, tmp_path):
    acme(SLIPS["a constant"])
    run = ("run", "--input", good_image, "--output", tmp_path / "out", "--device", "acme:card0")
    done = uadx(*run)
    assert done.code == 6
    assert "level2 differs by 0.0001 at most and 0.0001 in the mean; f32 may differ by 5e-05 and 5e-06" in done.err
    assert not (tmp_path / "out").exists()
    assert uadx(*run, "--no-verify").code == 0


def test_what_a_precision_may_differ_by_is_that_of_the_precision_that_ran(uadx):
    done = uadx("verify", "--device", "openvino:CPU", "--precision", "auto")
    assert done.code == 0
    precision = done.out.partition("(")[2].partition(")")[0]
    assert precision in ("f32", "bf16", "f16")
    assert ("5e-05" in done.out) == (precision == "f32")


def test_several_devices_are_each_verified(uadx):
    assert uadx("verify", "--device", "openvino:CPU,CPU").out.count("passed") == 2
