"""The grammar of device strings."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uadx.devices.grammar import Auto, BackendDevice, KindDevice, parse
from uadx.errors import DeviceSyntaxError

KINDS = {"cpu": "cpu", "gpu": "gpu", "cuda": "gpu", "npu": "npu", "ascend-npu": "npu"}
BACKENDS = ["openvino", "onnxruntime", "torch", "ascend-sim"]


def read(text):
    return parse(text, KINDS, BACKENDS)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("auto", Auto()),
        ("cpu", KindDevice("cpu")),
        ("gpu:0", KindDevice("gpu", (0,))),
        ("gpu:0,1", KindDevice("gpu", (0, 1))),
        ("gpu:3,1", KindDevice("gpu", (3, 1))),
        ("cuda:1", KindDevice("gpu", (1,))),
        ("ascend-npu", KindDevice("npu")),
        (" npu:0 ", KindDevice("npu", (0,))),
        ("openvino:GPU.0", BackendDevice("openvino", ("GPU.0",))),
        ("onnxruntime:CUDAExecutionProvider:1", BackendDevice("onnxruntime", ("CUDAExecutionProvider:1",))),
        ("torch:cuda:1", BackendDevice("torch", ("cuda:1",))),
        ("openvino:GPU.0,GPU.1", BackendDevice("openvino", ("GPU.0", "GPU.1"))),
        ("openvino:CPU,CPU", BackendDevice("openvino", ("CPU", "CPU"))),
        ("ascend-sim:0", BackendDevice("ascend-sim", ("0",))),
    ],
)
def test_a_device_string_is_read(text, device):
    assert read(text) == device


selectors = st.lists(st.text(string.ascii_letters + string.digits + ".:_-", min_size=1), min_size=1).map(tuple)
indices = st.lists(st.integers(0, 9999), unique=True, max_size=6).map(tuple)
devices = st.one_of(
    st.just(Auto()),
    st.builds(KindDevice, st.sampled_from(sorted(set(KINDS.values()))), indices),
    st.builds(BackendDevice, st.sampled_from(BACKENDS), selectors),
)


@given(devices)
def test_what_is_printed_is_read_back_as_the_same(device):
    assert read(str(device)) == device


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        device = read(text)
    except DeviceSyntaxError:
        return
    assert read(str(device)) == device


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gqu:0", "there is no device 'gqu:0'; did you mean 'gpu:0'?"),
        ("CPU", "there is no device 'CPU'; did you mean 'cpu'?"),
        ("opnvino:CPU", "there is no device 'opnvino:CPU'; did you mean 'openvino:CPU'?"),
        ("zzz", "there is no device 'zzz'"),
        ("", "there is no device ''"),
        ("gpu:", "device 'gpu:': '' is no list of device numbers"),
        ("gpu:x", "device 'gpu:x': 'x' is no list of device numbers"),
        ("gpu:-1", "device 'gpu:-1': '-1' is no list of device numbers"),
        ("gpu:0,", "device 'gpu:0,': '0,' is no list of device numbers"),
        ("gpu:0, 1", "device 'gpu:0, 1': '0, 1' is no list of device numbers"),
        ("gpu:٣", "device 'gpu:٣': '٣' is no list of device numbers"),
        ("gpu:99999", "device 'gpu:99999': '99999' is no list of device numbers"),
        ("gpu:1,0,1", "device 'gpu:1,0,1': gpu:1 is named twice"),
        ("auto:0", "device 'auto:0': auto takes no index"),
        ("openvino", "device 'openvino': openvino is a backend and needs a device of its own after the colon"),
        ("openvino:", "device 'openvino:': openvino is a backend and needs a device of its own after the colon"),
    ],
)
def test_a_wrong_device_string_is_refused_with_what_is_wrong(text, message):
    with pytest.raises(DeviceSyntaxError) as caught:
        read(text)
    assert caught.value.message == message
    assert caught.value.exit_code == 2


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(DeviceSyntaxError) as caught:
        read("zzz")
    assert caught.value.hint == "kinds: cpu, gpu, npu; backends: ascend-sim, onnxruntime, openvino, torch"
