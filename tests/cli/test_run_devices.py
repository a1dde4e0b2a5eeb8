"""`uadx run --device`: what runs where, what is said of it, and what stops a run."""

import json

import pytest


@pytest.fixture
def results(tmp_path):
    """The lines of results.jsonl."""
    return lambda: [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]


@pytest.fixture
def run(uadx, parts, tmp_path):
    """Inspect the parts without pictures: run("--device", "cpu")."""
    return lambda *more: uadx("run", "-i", parts, "-o", tmp_path / "out", "--format", "jsonl", *more)


def test_a_device_that_is_not_there_stops_with_exit_4_and_four_lines_that_say_why_and_what_to_type(run):
    done = run("--device", "npu:0")
    assert done.code == 4
    assert done.err.splitlines()[0] == "error: npu:0 is not usable: 1 backend tried"
    assert done.err.splitlines()[-1] == "  or: run on another device, such as --device cpu"
    assert len(done.err.splitlines()) == 4


def test_a_fallback_is_warned_of_and_stands_in_each_result(run, results):
    done = run("--device", "npu:0", "--fallback", "cpu")
    assert done.code == 8  # for the broken picture among the parts
    assert "warning: npu:0 is not usable: 1 backend tried" in done.err
    for result in results():
        device = result["device"]
        assert (device["requested"], device["used"]) == ("npu:0", "openvino:CPU")
        assert device["fallback_reason"].startswith("npu:0 is not usable")


def test_strict_refuses_a_fallback_that_the_configuration_file_asks_for(run, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("Pipeline: {device: npu, fallback: cpu}\n")
    done = run("--pipeline", path, "--strict")
    assert done.code == 2
    assert "`strict` forbids the fallback 'cpu'" in done.err


def test_results_of_several_devices_come_in_input_order_and_name_their_own_device(run, results):
    done = run("--device", "openvino:CPU,CPU")
    assert [r["input_path"].rpartition("parts/")[2] for r in results()] == [
        "a.png", "b.png", "sub/a.png", "sub/broken.png",
    ]  # fmt: skip
    assert {r["device"]["used"] for r in results() if r["error"] is None} == {"openvino:CPU"}
    assert "on openvino:CPU,CPU (f32)" in done.out


PLUGIN = """
from uadx.api import BackendSpec, hookimpl

@hookimpl
def uadx_backends():
    return [BackendSpec(name="acme", api=1, factory="acme_backend:AcmeBackend", kinds=("npu",), summary="a test",
                        install_hint="none")]
"""
# two cards that take one batch at a time and answer when it is done: what a plain vendor's call does
BACKEND = """
import time
from uadx.api import Backend, Capabilities, CompiledModel, DeviceInfo, DeviceRef, Placement
from uadx.plugins import Plugins

class AcmeModel(CompiledModel):
    def __init__(self, inner, selector):
        self.inner, self.selector, self.inputs, self.outputs = inner, selector, inner.inputs, inner.outputs
        self.capabilities = Capabilities("f32", {limits})
    def placement(self): return Placement(self.selector, "f32")
    def infer(self, batch):
        assert len(batch["image"]) == self.capabilities.static_batch or not self.capabilities.static_batch
        time.sleep(0.5)  # in which the next picture is decoded, on a busy machine too
        {fault}
        return self.inner.infer(batch)
    def close(self): self.inner.close()

class AcmeBackend(Backend):
    def devices(self): return [DeviceInfo(f"card{{n}}", "Acme", "acme", "npu", n) for n in (0, 1)]
    def compile(self, artifact, device, options):
        inner = Plugins().open("openvino", {{}}).compile(artifact, DeviceRef("CPU"), options)
        return AcmeModel(inner, device.selector)
"""


@pytest.fixture
def acme(install, tmp_path):
    """A devices file whose npu is two cards of a third party."""

    def install_acme(limits="", fault="pass"):
        files = {"acme_plugin.py": PLUGIN, "acme_backend.py": BACKEND.format(limits=limits, fault=fault)}
        install("acme", files, acme="acme_plugin")
        path = tmp_path / "devices.yaml"
        path.write_text("version: 1\nkinds: {npu: {backends: [acme]}}\n")
        return path

    return install_acme


@pytest.mark.parametrize("limits", ["", "static_batch=2"])
def test_two_cards_that_take_one_batch_at_a_time_both_work(run, results, acme, limits):
    run("--device", "npu:0,1", "--devices-file", acme(limits), "--batch-size", 1)
    used = [result["device"]["used"] for result in results() if result["error"] is None]
    assert set(used) == {"acme:card0", "acme:card1"}
    assert [result["is_anomaly"] for result in results()] == [False, True, False, None]


def test_a_card_that_fails_in_a_run_ends_it_with_its_name(run, acme):
    path = acme(fault="if self.selector == 'card1' and len(batch['image']) == 1: raise OSError('card lost')")
    done = run("--device", "npu:0,1", "--devices-file", path, "--batch-size", 1, "--no-verify")
    assert done.code == 7
    assert done.err.endswith(
        "error: acme:card1 failed while it ran the model\n  acme while running the model\n    OSError: card lost\n"
    )


def test_a_devices_file_says_which_backend_serves_a_kind(run, results, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / "devices.yaml"
    path.write_text("version: 1\nkinds: {cpu: {backends: [onnxruntime]}}\n")
    run("--devices-file", path)
    assert results()[0]["device"]["used"] == "onnxruntime:CPUExecutionProvider"


def test_a_devices_file_that_is_missing_is_named(run, tmp_path):
    done = run("--devices-file", tmp_path / "none.yaml")
    assert done.code == 2
    assert done.err.startswith(f"error: the devices file {tmp_path / 'none.yaml'} cannot be read")


def test_a_precision_that_does_not_exist_is_refused_in_a_file_too(run, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("Pipeline: {precision: q}\n")
    done = run("--pipeline", path)
    assert done.code == 2
    assert "Invalid enum value 'q' - at `$.Pipeline.precision`" in done.err


def test_without_a_model_it_says_that_the_demo_products_is_used(run):
    assert "no --model is given: this is the demo product's" in run().err
    assert "no --model" not in run("--model", "default").err


def test_a_second_input_is_refused_and_not_dropped(run, good_image):
    done = run("--input", good_image)
    assert done.code == 2
    assert done.err.startswith("error: --input is given 2 times")


@pytest.mark.parametrize("option", ["--output", "--model"])
def test_an_empty_name_is_refused(uadx, parts, option):
    done = uadx("run", "--input", parts, option, "")
    assert done.code == 2
    assert f"Invalid value for '{option}'" in done.err
    assert "is empty" in done.err
