"""The engines of this distribution pass the kit, on the processor; what is skipped is skipped with a reason."""

import pytest

from uadx.devices.resolve import locate
from uadx.errors import UadxError
from uadx.testing import BackendConformance
from uadx.testing.kit import Kit


def if_usable(device):
    """Skips a class, in one line, where a backend or its SDK is not installed."""
    try:
        locate(device)
    except UadxError as error:
        return pytest.mark.skip(error.in_one_line)
    return lambda cls: cls


@if_usable("openvino:CPU")
class TestOpenVINO(BackendConformance):
    device = "openvino:CPU"


@if_usable("onnxruntime:CPUExecutionProvider")
class TestOnnxRuntime(BackendConformance):
    device = "onnxruntime:CPUExecutionProvider"


@if_usable("torch:cpu")
class TestTorch(BackendConformance):
    device = "torch:cpu"


@if_usable("executorch:cpu")
class TestExecuTorch(BackendConformance):
    device = "executorch:cpu"


def test_a_kind_is_tested_on_the_backend_that_serves_it():
    class TheKindCpu(BackendConformance):
        device = "cpu:0"

    kit = TheKindCpu()
    assert kit.subject.spec.name == locate("cpu").name
    kit.test_the_model_runs_on_the_device_that_was_asked_for()


def test_options_reach_the_backend_over_those_of_the_devices_file():
    pytest.importorskip("openvino", reason="openvino is not installed")

    hooks = {"device": "openvino:CPU", "options": {"NUM_STREAMS": "1"}}
    kit = type("WithOptions", (BackendConformance,), hooks)()
    assert kit.subject.backend.options == {**locate("openvino:CPU").backend.options, "NUM_STREAMS": "1"}
    assert not hasattr(Kit, "_subject")
