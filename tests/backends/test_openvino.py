"""What is particular to OpenVINO: the bfloat16 trap, its devices, and an import that reports to nobody."""

import os
import subprocess
import sys

import numpy as np
import pytest

from uadx.errors import ConfigError, UnavailableError, UsageError

openvino = pytest.importorskip("openvino", reason="openvino is not installed")

HINT = "INFERENCE_PRECISION_HINT"


@pytest.fixture(scope="module")
def host_with_bf16(small_model):
    """Skips where the trap does not exist: the runtime itself chooses bfloat16 only where the processor has it."""
    chosen = openvino.Core().compile_model(str(small_model.artifact.path), "CPU").get_property(HINT)
    if chosen != openvino.Type.bf16:
        pytest.skip("this processor has no bfloat16 instructions")


@pytest.mark.usefixtures("host_with_bf16")
def test_the_precision_is_pinned_where_the_runtime_would_choose_bf16(compiled, small_model):
    images = small_model.images(2)
    exact = small_model.reference(images)["features"]
    with compiled("openvino:CPU", precision="auto") as model:
        assert model.placement().precision == model.capabilities.precision == "bf16"
        left_alone = np.abs(model.infer({"image": images})["features"] - exact).max()
    with compiled("openvino:CPU") as model:
        assert model.placement().precision == model.capabilities.precision == "f32"
        pinned = np.abs(model.infer({"image": images})["features"] - exact).max()
    assert pinned < 1e-3 < 0.1 < left_alone


@pytest.mark.usefixtures("host_with_bf16")
def test_bf16_runs_where_it_is_asked_for(compiled):
    with compiled("openvino:CPU", precision="bf16") as model:
        assert model.placement().precision == "bf16"


@pytest.mark.usefixtures("host_with_bf16")
def test_f16_that_the_processor_lacks_is_reported_as_what_really_runs(compiled):
    with compiled("openvino:CPU", precision="f16") as model:
        assert model.placement().precision in {"f16", "bf16"}
        assert model.placement().precision == model.capabilities.precision


def test_the_placement_is_read_back_from_the_runtime(compiled):
    with compiled("openvino:CPU", threads=1) as model:
        placement = model.placement()
    assert placement.device == "CPU"
    assert placement.details == {
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": "1",
        "PERFORMANCE_HINT": "THROUGHPUT",
    }


def test_there_are_as_many_requests_as_the_runtime_finds_best(compiled, small_model):
    wanted = openvino.Core().compile_model(
        str(small_model.artifact.path), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", HINT: "f32"}
    )
    with compiled("openvino:CPU") as model:
        assert model.capabilities.async_depth == wanted.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")


def test_the_processor_is_listed_by_its_full_name(backend):
    cpu = next(device for device in backend("openvino").devices() if device.selector == "CPU")
    assert cpu.kind == "cpu"
    assert cpu.index == 0
    assert cpu.name == openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")
    assert "f32" in cpu.precisions


def test_an_unknown_device_is_refused_with_those_there_are(compiled):
    with pytest.raises(UnavailableError, match=r"OpenVINO has no device 'TPU' here; it has: .*CPU") as caught:
        compiled("openvino:TPU")
    assert 'Device with "TPU" name is not registered' in caught.value.cause_text


@pytest.mark.parametrize("selector", ["CPU:3", "CPU.1"])
def test_a_number_that_does_not_exist_is_a_missing_device_and_not_a_broken_model(selector, compiled):
    with pytest.raises(UnavailableError, match=rf"OpenVINO has no device '{selector}' here; it has: .*CPU"):
        compiled(f"openvino:{selector}")


def test_another_case_is_answered_with_the_spelling_of_the_runtime(compiled):
    with pytest.raises(UnavailableError) as caught:
        compiled("openvino:cpu")
    assert caught.value.hint == "write it as OpenVINO does: --device openvino:CPU"


@pytest.mark.parametrize("selector", ["AUTO", "AUTO:CPU", "HETERO:CPU", "MULTI:CPU"])
def test_a_device_that_chooses_for_itself_is_refused(selector, compiled):
    with pytest.raises(UsageError, match=f"^openvino:{selector} would let OpenVINO choose") as caught:
        compiled(f"openvino:{selector}")
    assert "openvino:CPU" in caught.value.hint


def test_properties_of_the_devices_file_reach_the_runtime(backend, small_model):
    from uadx.api import CompileOptions, DeviceRef

    opened = backend("openvino", {HINT: "f32", "NUM_STREAMS": "1"})
    with opened.compile(small_model.artifact, DeviceRef("CPU"), CompileOptions()) as model:
        assert model.placement().details["NUM_STREAMS"] == "1"


def test_the_devices_file_cannot_unpin_the_precision(backend):
    with pytest.raises(ConfigError, match=r"options\.openvino\.INFERENCE_PRECISION_HINT is 'bf16'"):
        backend("openvino", {HINT: "bf16"})


def test_importing_it_sends_no_telemetry_and_leaves_no_files(tmp_path):
    """`import openvino` alone forks a process that connects to Google Analytics and writes ~/intel."""
    code = """
import os, socket, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "os.fork"):
        os.write(2, event.encode())
        os._exit(3)
sys.addaudithook(refuse)
from uadx.plugins import Plugins
print(Plugins().open("openvino", {}).versions()["openvino"])
assert "openvino_telemetry" not in sys.modules
"""
    # not the whole environment: it keeps silent by itself where CI is set
    environment = {"HOME": str(tmp_path), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == openvino.get_version()
    assert list(tmp_path.iterdir()) == []
