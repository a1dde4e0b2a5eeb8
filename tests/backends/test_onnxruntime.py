"""What is particular to ONNX Runtime: one provider, and none of its three ways to the CPU."""

import shutil
import sys

import pytest

from uadx.errors import PlacementError, UnavailableError

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def test_the_placement_is_the_provider_that_the_session_has(compiled):
    with compiled("onnxruntime:CPUExecutionProvider") as model:
        placement = model.placement()
    assert (placement.device, placement.precision) == ("CPUExecutionProvider", "f32")
    assert placement.details == {"providers": "CPUExecutionProvider"}


def test_a_provider_that_this_wheel_lacks_is_refused_with_those_it_has(compiled):
    with pytest.raises(UnavailableError) as caught:
        compiled("onnxruntime:FancyExecutionProvider:1")
    assert caught.value.render() == (
        f"error: this onnxruntime has no provider 'FancyExecutionProvider'; "
        f"it has: {', '.join(onnxruntime.get_available_providers())}\n"
        "  onnxruntime while opening FancyExecutionProvider\n"
        "  fix: install the onnxruntime package that has it, such as onnxruntime-gpu for CUDA"
    )


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="this onnxruntime has no provider that is present and takes no operator",
)
def test_a_model_that_would_end_up_on_the_cpu_is_a_placement_error(compiled, small_model, capfd):
    left_alone = onnxruntime.InferenceSession(str(small_model.artifact.path), providers=["AzureExecutionProvider"])
    assert left_alone.get_providers() == ["AzureExecutionProvider", "CPUExecutionProvider"]  # and runs on the CPU
    capfd.readouterr()
    with pytest.raises(PlacementError, match=r"^AzureExecutionProvider cannot run the whole model") as caught:
        compiled("onnxruntime:AzureExecutionProvider")
    assert "fallback to CPU EP has been explicitly disabled" in caught.value.cause_text
    assert caught.value.exit_code == 6
    assert capfd.readouterr() == ("", "")  # all that the runtime has to say is in the error


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers() or shutil.which("nvidia-smi") is not None,
    reason="needs onnxruntime-gpu on a machine without CUDA",
)
def test_a_provider_whose_libraries_do_not_load_is_unavailable_in_the_words_of_the_system(compiled, capfd):
    with pytest.raises(UnavailableError, match="its libraries cannot be loaded") as caught:
        compiled("onnxruntime:CUDAExecutionProvider:0")
    assert "cannot open shared object file" in caught.value.cause_text
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers() or sys.platform == "darwin",
    reason="needs an onnxruntime without CUDA on a machine that could have it",
)
def test_a_wheel_without_cuda_says_why_there_is_no_gpu(backend):
    (gpu,) = [device for device in backend("onnxruntime").devices() if device.kind == "gpu"]
    assert gpu.unusable == "this onnxruntime is built without CUDA: install onnxruntime-gpu in its place"


def test_the_processor_is_listed(backend):
    assert [device.selector for device in backend("onnxruntime").devices() if device.kind == "cpu"] == [
        "CPUExecutionProvider"
    ]


def test_the_version_is_told(backend):
    assert backend("onnxruntime").versions() == {"onnxruntime": onnxruntime.__version__}
