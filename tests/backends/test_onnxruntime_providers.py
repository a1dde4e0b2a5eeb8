"""What ONNX Runtime's providers are asked for and what is believed of what they report; and the CUDA driver's list."""

import ctypes

import pytest
from uadx_onnxruntime.cuda import Card, cards
from uadx_onnxruntime.providers import CPU, CUDA, first_device, reported, request, takes_one_batch

from uadx.errors import UnavailableError
from uadx.plugins import Plugins

TENSORRT, OPENVINO = "TensorrtExecutionProvider", "OpenVINOExecutionProvider"


@pytest.mark.parametrize(
    ("provider", "device", "precision", "options"),
    [
        (CPU, "", "f32", {}),
        (CUDA, "1", "f32", {"device_id": "1", "use_tf32": "0"}),
        (CUDA, "", "auto", {"device_id": "0"}),
        (TENSORRT, "", "f16", {"device_id": "0", "trt_fp16_enable": "1"}),
        (OPENVINO, "GPU.0", "f32", {"device_type": "GPU.0", "precision": "FP32"}),
        (OPENVINO, "", "auto", {}),
        ("CoreMLExecutionProvider", "", "f32", {}),
        ("NewExecutionProvider", "3", "f32", {"device_id": "3"}),
        ("NewExecutionProvider", "", "f32", {}),
    ],
)
def test_a_provider_is_asked_for_the_device_and_the_precision(provider, device, precision, options):
    assert request(provider, device, precision, {}) == options


def test_options_of_the_devices_file_are_passed_on_and_never_loosen_the_precision():
    given = {"gpu_mem_limit": 1 << 30, "use_tf32": 1, "device_id": 5}
    assert request(CUDA, "1", "f32", given) == {"gpu_mem_limit": str(1 << 30), "use_tf32": "0", "device_id": "1"}


@pytest.mark.parametrize(
    ("provider", "asked", "options", "believed"),
    [
        (CPU, "", {}, (CPU, "f32")),
        (CUDA, "1", {"device_id": "1", "use_tf32": "0"}, (f"{CUDA}:1", "f32")),
        (CUDA, "1", {"device_id": "0", "use_tf32": "0"}, (f"{CUDA}:0", "f32")),
        (CUDA, "0", {"device_id": "0", "use_tf32": "1"}, (f"{CUDA}:0", "tf32")),
        (CUDA, "0", {"device_id": "0"}, (f"{CUDA}:0", "unknown")),
        (TENSORRT, "0", {"device_id": "0", "trt_fp16_enable": "1"}, (f"{TENSORRT}:0", "f16")),
        (TENSORRT, "0", {"device_id": "0", "trt_fp16_enable": "0", "trt_int8_enable": "0"}, (f"{TENSORRT}:0", "tf32")),
        ("MIGraphXExecutionProvider", "0", {"device_id": "0", "migraphx_fp16_enable": "False"},
         ("MIGraphXExecutionProvider:0", "f32")),
        (OPENVINO, "GPU", {}, (f"{OPENVINO}:GPU", "unknown")),
        ("NewExecutionProvider", "", {}, ("NewExecutionProvider", "unknown")),
    ],
)  # fmt: skip
def test_only_what_a_provider_reports_is_believed_of_its_precision(provider, asked, options, believed):
    assert reported(provider, asked, options) == believed


def test_a_provider_without_numbers_is_listed_without_one():
    assert first_device(CUDA) == f"{CUDA}:0"
    assert first_device(OPENVINO) == OPENVINO


class Driver:
    """libcuda with two cards: the calls of the driver API that the listing uses, strict about their order."""

    def __init__(self, code: int = 0, count: int = 2) -> None:
        self.code, self.count, self.ready = code, count, False

    def cuInit(self, flags):  # noqa: N802
        assert flags == 0
        self.ready = self.code == 0
        return self.code

    def cuDeviceGetCount(self, count):  # noqa: N802
        assert self.ready
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device, index):  # noqa: N802
        assert self.ready
        assert 0 <= index < self.count
        device._obj.value = 40 + index
        return 0

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        text = f"Card {device.value - 40}".encode()
        assert len(text) < length
        name.value = text
        return 0

    def cuDeviceTotalMem_v2(self, memory, device):  # noqa: N802
        assert device.value in (40, 41)
        memory._obj.value = 80 << 30
        return 0

    def cuGetErrorString(self, code, text):  # noqa: N802
        assert code == self.code
        text._obj.value = b"no CUDA-capable device is detected"
        return 0


def test_the_cards_are_those_of_the_driver_in_its_order():
    assert cards(Driver()) == [Card("Card 0", 80 << 30), Card("Card 1", 80 << 30)]
    assert cards(Driver(count=0)) == []


def test_a_driver_that_sees_no_card_is_an_error_in_its_words():
    with pytest.raises(UnavailableError) as caught:
        cards(Driver(code=100))
    assert caught.value.cause_text == "cuInit: no CUDA-capable device is detected (100)"


def test_a_missing_driver_is_an_error_in_the_words_of_the_system():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        with pytest.raises(UnavailableError, match="there is no NVIDIA driver") as caught:
            cards()
        assert "libcuda.so.1" in caught.value.cause_text
    else:
        pytest.skip("this machine has an NVIDIA driver")


def test_cann_is_told_its_card_and_keeps_the_precision_that_was_asked_for():
    name = "CANNExecutionProvider"
    assert first_device(name) == "CANNExecutionProvider:0"
    assert request(name, "1", "f32", {}) == {"device_id": "1", "precision_mode": "must_keep_origin_dtype"}
    options = request(name, "", "f16", {"npu_mem_limit": 1 << 30})
    assert options == {"npu_mem_limit": "1073741824", "device_id": "0", "precision_mode": "cube_fp16in_fp32out"}
    assert reported(name, "", options) == ("CANNExecutionProvider:0", "f16")
    assert reported(name, "", {"device_id": "0", "precision_mode": "force_fp16"})[1] == "unknown"


def test_a_provider_that_compiles_anew_for_each_batch_size_is_given_one():
    assert takes_one_batch("CANNExecutionProvider")
    assert not takes_one_batch(CPU)
    assert not takes_one_batch("SomebodysExecutionProvider")


def test_missing_libraries_of_cann_come_with_advice():
    error = UnavailableError("CANN", cause_text="libascendcl.so: cannot open shared object file")
    assert "set_env.sh" in Plugins().explain("onnxruntime", error)
