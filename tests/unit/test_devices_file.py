"""devices.yaml: the shipped one, the user's over it, and errors that name the place."""

from pathlib import Path

import pytest

from uadx.devices.registry import load_devices
from uadx.errors import ConfigError


@pytest.fixture(autouse=True)
def no_user_file(monkeypatch, tmp_path):
    monkeypatch.delenv("UADX_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def write(tmp_path):
    def write_file(text, path="devices.yaml"):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    return write_file


def test_the_shipped_file_has_the_kinds_and_their_backends_in_order():
    devices = load_devices()
    assert devices.default == "cpu"
    assert {name: kind.backends for name, kind in devices.kinds.items()} == {
        "cpu": ("openvino", "onnxruntime", "torch"),
        "gpu": ("torch", "onnxruntime"),
        "npu": ("ascend",),
        "xpu": ("kunlun",),
        "mlu": ("cambricon",),
    }
    assert devices.auto == ("gpu", "npu", "xpu", "mlu", "cpu")
    assert devices.names["cuda"] == "gpu"
    assert devices.options == {"openvino": {"INFERENCE_PRECISION_HINT": "f32"}}
    assert [path.name for path in devices.sources] == ["devices.yaml"]


def test_a_users_file_replaces_whole_kinds_and_leaves_the_others(write):
    path = write("version: 1\nkinds:\n  gpu: {backends: [onnxruntime]}\n  dla: {backends: [acme], aliases: [nvdla]}\n")
    devices = load_devices(path)
    assert devices.kinds["gpu"].backends == ("onnxruntime",)
    assert devices.kinds["gpu"].aliases == ()  # the alias cuda went with the kind it belonged to
    assert devices.names["nvdla"] == "dla"
    assert devices.kinds["cpu"] == load_devices().kinds["cpu"]
    assert devices.auto == load_devices().auto
    assert devices.sources[1] == path


def test_default_auto_and_options_may_be_replaced_alone(write):
    path = write("version: 1\ndefault: openvino:CPU\nauto: [cpu]\noptions: {openvino: {NUM_STREAMS: '1'}}\n")
    devices = load_devices(path)
    assert (devices.default, devices.auto) == ("openvino:CPU", ("cpu",))
    assert devices.options == {"openvino": {"NUM_STREAMS": "1"}}
    assert devices.kinds == load_devices().kinds


def test_an_explicit_file_beats_the_environment_which_beats_the_configuration_directory(write, monkeypatch):
    write("version: 1\ndefault: npu\n", "config/uadx/devices.yaml")
    assert load_devices().default == "npu"
    monkeypatch.setenv("UADX_DEVICES", str(write("version: 1\ndefault: xpu\n", "environment.yaml")))
    assert load_devices().default == "xpu"
    assert load_devices(write("version: 1\ndefault: mlu\n", "explicit.yaml")).default == "mlu"


def test_the_current_directory_is_not_searched(write, monkeypatch):
    monkeypatch.chdir(write("version: 1\ndefault: npu\n").parent)
    assert load_devices().default == "cpu"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 2", "Invalid enum value 2 - at `$.version`"),
        ("kinds: {}", "Object missing required field `version`"),
        ("version: 1\nkind: {}", "Object contains unknown field `kind`"),
        ("version: 1\nkinds: {gpu: [torch]}", "Expected `object`, got `array` - at `$.kinds.gpu`"),
        ("version: 1\nkinds: {gpu: {backends: torch}}", "Expected `array`, got `str` - at `$.kinds.gpu.backends`"),
        ("version: 1\nkinds: {gpu: {backends: []}}", "- at `$.kinds.gpu.backends`"),
        ("version: 1\nkinds: {GPU: {backends: [torch]}}", "- at `key` in `$.kinds`"),
        ("version: 1\nkinds: {on: {backends: [torch]}}", "Expected `str`, got `bool` - at `key` in `$.kinds`"),
        ("version: 1\nauto: cpu", "Expected `array`, got `str` - at `$.auto`"),
        ("- cpu", "Expected `object`, got `array`"),
        ("", "Expected `object`, got `null`"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_file_and_place(text, words, write):
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_devices(path)
    assert caught.value.message == f"{path}: not a valid devices file"
    assert words in caught.value.cause_text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("auto: [gpu, gqu]", "there is no kind 'gqu' - at `$.auto[1]`"),
        ("kinds: {dla: {backends: [a], aliases: [cuda]}}", "already an alias of gpu - at `$.kinds.dla.aliases`"),
        ("kinds: {dla: {backends: [a], aliases: [npu]}}", "already the kind npu - at `$.kinds.dla.aliases`"),
        ("kinds: {auto: {backends: [a]}}", "a kind may not be called auto - at `$.kinds.auto`"),
    ],
)
def test_names_that_contradict_each_other_are_refused(text, words, write):
    path = write(f"version: 1\n{text}")
    with pytest.raises(ConfigError) as caught:
        load_devices(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert words in caught.value.message


def test_yaml_that_is_none_is_refused_with_the_line(write):
    with pytest.raises(ConfigError, match="is not valid YAML") as caught:
        load_devices(write("version: 1\nkinds: {gpu: [}"))
    assert "line 2" in caught.value.cause_text


@pytest.mark.parametrize("variable", [True, False])
def test_a_named_file_that_is_not_there_is_an_error(variable, monkeypatch):
    if variable:
        monkeypatch.setenv("UADX_DEVICES", "/nowhere/devices.yaml")
    with pytest.raises(ConfigError, match=r"^the devices file /nowhere/devices\.yaml cannot be read"):
        load_devices(None if variable else Path("/nowhere/devices.yaml"))
