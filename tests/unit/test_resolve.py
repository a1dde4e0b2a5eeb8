"""From a device string to a compiled model: candidates, reasons, and the check of where it really runs."""

import onnx
import pytest
from onnx import TensorProto, helper

from uadx.api import ModelArtifact
from uadx.devices.compiling import Request
from uadx.devices.opened import open_model
from uadx.devices.unusable import NoUsableDeviceError
from uadx.errors import (
    CompileError,
    ConfigError,
    DeviceSyntaxError,
    PlacementError,
    PluginError,
    UadxWarning,
    UnavailableError,
)

PLUGIN = """
from uadx.api import BackendSpec, hookimpl

@hookimpl
def uadx_backends():
    return [BackendSpec(name="acme", api=1, factory="acme_backend:AcmeBackend", kinds={kinds!r}, summary="a test",
                        install_hint="pip install acme", simulated={simulated!r},
                        formats=("acme", "onnx"), default_precision={precision!r})]

@hookimpl
def uadx_explain_failure(backend, error):
    return "cool the card" if "507" in str(error) else None
"""

BACKEND = """
from uadx.api import Backend, Capabilities, CompiledModel, DeviceInfo, Placement
from uadx.errors import UnavailableError

closed = []

class Unprintable(Exception):
    def __str__(self): return 1 / 0

class AcmeModel(CompiledModel):
    inputs = outputs = ()
    capabilities = Capabilities("f32")
    def placement(self): return Placement({runs_on}, {precision!r})
    def infer(self, batch): return {{}}
    def close(self): closed.append(self)

class AcmeBackend(Backend):
    def devices(self):
        return [DeviceInfo("card0", "Acme 9", "acme", "npu"), DeviceInfo("card1", "Acme 9", "acme", "npu"{listed})]
    {choose}
    def compile(self, artifact, device, options):
        {compile}
        model = AcmeModel()
        model.device = device
        return model
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in ("UADX_DEVICE", "UADX_DEVICES", "UADX_LOAD_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def artifact(tmp_path):
    """The smallest model that an engine takes: a cast of the image."""
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["level1"], to=TensorProto.FLOAT)],
        "cast",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 4, 4, 3])],
        [helper.make_tensor_value_info("level1", TensorProto.FLOAT, ["N", 4, 4, 3])],
    )
    path = tmp_path / "cast.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return ModelArtifact(path, "onnx", "")


@pytest.fixture
def open_on(artifact):
    """open_on("cpu", precision="f32"); what it opened is closed at the end of the test."""
    opened = []

    def open_device(device=None, devices_file=None, **options):
        opened.append(open_model(Request((artifact,), **options), device, devices_file=devices_file))
        return opened[-1]

    yield open_device
    for each in opened:
        each.close()


@pytest.fixture
def acme(install, tmp_path):
    """A third party's backend for npu, and a devices file that puts it before the others."""

    def install_acme(
        runs_on="self.device.selector",
        compile="pass",
        kinds=("npu",),
        simulated=False,
        listed=", index=1",
        precision="f32",
        choose="",
    ):
        files = {
            "acme_plugin.py": PLUGIN.format(kinds=kinds, simulated=simulated, precision=precision),
            "acme_backend.py": BACKEND.format(
                runs_on=runs_on, compile=compile, listed=listed, precision=precision, choose=choose
            ),
        }
        install("acme", files, acme="acme_plugin")
        path = tmp_path / "devices.yaml"
        path.write_text("version: 1\nkinds:\n  npu: {backends: [acme, nobody]}\n")
        return path

    return install_acme


@pytest.fixture
def nobodys(tmp_path):
    """A devices file with a kind that no installed backend serves."""
    path = tmp_path / "nobodys.yaml"
    path.write_text("version: 1\nkinds: {tpu: {backends: [nobody]}}\nauto: [tpu, cpu]\n")
    return path


def test_cpu_is_the_first_of_its_backends(open_on):
    opened = open_on("cpu")
    assert (opened.requested, opened.used, opened.backend) == ("cpu", "openvino:CPU", "openvino")
    assert (opened.precision, opened.simulated, opened.fallback_reason) == ("f32", False, None)
    assert opened.skipped == ()


@pytest.mark.parametrize("device", ["openvino:CPU", "onnxruntime:CPUExecutionProvider"])
def test_a_named_backend_is_the_one_that_runs(device, open_on):
    opened = open_on(device)
    assert (opened.requested, opened.used) == (device, device)


def test_nothing_asked_for_is_the_default_of_the_devices_file(open_on, tmp_path):
    assert open_on().requested == "cpu"
    path = tmp_path / "mine.yaml"
    path.write_text("version: 1\ndefault: onnxruntime:CPUExecutionProvider\n")
    assert open_on(devices_file=path).used == "onnxruntime:CPUExecutionProvider"


def test_the_environment_beats_the_default_and_an_explicit_device_beats_both(open_on, monkeypatch):
    monkeypatch.setenv("UADX_DEVICE", "onnxruntime:CPUExecutionProvider")
    assert open_on().used == "onnxruntime:CPUExecutionProvider"
    assert open_on("cpu").used == "openvino:CPU"


def test_a_wrong_device_names_where_it_was_written(open_on, monkeypatch, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("version: 1\ndefault: gqu\n")
    with pytest.raises(DeviceSyntaxError) as caught:
        open_on(devices_file=path)
    assert caught.value.message == f"{path}: default: there is no device 'gqu'; did you mean 'gpu'?"
    monkeypatch.setenv("UADX_DEVICE", "gqu")
    with pytest.raises(DeviceSyntaxError, match=r"^UADX_DEVICE: there is no device 'gqu'"):
        open_on()


def test_a_device_that_nothing_serves_is_an_error_with_a_reason_for_each_candidate(open_on, nobodys):
    with pytest.raises(UnavailableError) as caught:
        open_on("tpu:0", devices_file=nobodys)
    assert caught.value.exit_code == 4
    assert caught.value.render() == (
        "error: tpu:0 is not usable: 1 backend tried\n"
        "  nobody: no installed package provides the backend 'nobody'\n"
        "  fix: see what there is, and why not the rest: `uadx devices tpu`\n"
        "  or: run on another device, such as --device cpu"
    )


def test_an_index_that_does_not_exist_is_answered_with_those_that_do(open_on, acme):
    with pytest.raises(NoUsableDeviceError) as caught:
        open_on("npu:2", devices_file=acme())
    assert caught.value.render() == (
        "error: npu:2 is not usable: 2 backends tried\n"
        "  acme (acme 1.5): it sees no npu:2; it sees: npu:0 (Acme 9), npu:1 (Acme 9)\n"
        "  nobody: no installed package provides the backend 'nobody'\n"
        "  fix: name one that it sees: `uadx devices npu` lists them\n"
        "  or: run on another device, such as --device cpu"
    )


def test_the_words_of_the_sdk_and_its_plugins_advice_are_kept(open_on, acme):
    refuse = r"raise UnavailableError('card0 does not answer', cause_text='error 507\nhot')"
    with pytest.raises(UnavailableError) as caught:
        open_on("acme:card0", devices_file=acme(compile=refuse))
    assert caught.value.render() == (
        "error: acme:card0 is not usable: 1 backend tried\n"
        "  acme (acme 1.5): card0 does not answer\n"
        "    error 507\n"
        "    hot\n"
        "  fix: cool the card\n"
        "  or: run on another device, such as --device cpu"
    )


def test_an_index_reaches_the_backend_as_the_runtimes_own_name(open_on, acme):
    opened = open_on("npu:1", devices_file=acme())
    assert opened.used == "acme:card1"
    assert (opened.compiled.device.kind, opened.compiled.device.index) == ("npu", 1)


def test_auto_takes_the_first_kind_that_is_usable_and_keeps_why_the_others_were_not(open_on, acme, nobodys):
    opened = open_on("auto", devices_file=nobodys)
    assert opened.used == "openvino:CPU"
    assert [str(each) for each in opened.skipped] == ["nobody: no installed package provides the backend 'nobody'"]
    path = acme()
    path.write_text(path.read_text() + "auto: [npu, cpu]\n")
    assert open_on("auto", devices_file=path).used == "acme:card0"


def test_several_devices_each_hold_the_model_and_share_the_work_evenly(open_on, acme):
    opened = open_on("npu:1,0", devices_file=acme())
    assert opened.used == "acme:card1,card0"
    assert [share.compiled.device.index for share in opened.shares] == [1, 0]
    first, second, third = opened.borrow(), opened.borrow(), opened.borrow()
    assert [first.used, second.used] == ["acme:card1", "acme:card0"]
    opened.give_back(second)
    assert opened.borrow() is second
    assert third is first


def test_one_engine_may_hold_the_model_twice(open_on):
    opened = open_on("openvino:CPU,CPU")
    assert opened.used == "openvino:CPU,CPU"
    assert opened.async_depth == 2 * opened.compiled.capabilities.async_depth


def test_a_device_that_is_seen_and_cannot_be_used_is_passed_over_with_its_reason(open_on, acme):
    path = acme(listed=", index=1, unusable='driver 3 is too old'")
    with pytest.raises(NoUsableDeviceError) as caught:
        open_on("npu:1", devices_file=path)
    assert caught.value.render().splitlines()[1:3] == [
        "  acme (acme 1.5): its npu:1 (Acme 9) cannot be used",
        "    driver 3 is too old",
    ]


def test_one_missing_of_several_devices_is_an_error_that_names_it(open_on, acme):
    with pytest.raises(NoUsableDeviceError, match=r"it sees no npu:3 and no npu:5; it sees: npu:0 \(Acme 9\)"):
        open_on("npu:0,3,5", devices_file=acme())


def test_where_one_of_several_does_not_compile_the_others_are_closed(open_on, acme):
    path = acme(compile="if device.index == 1: raise RuntimeError('card1 is hot')")
    with pytest.raises(CompileError, match="card1 is hot"):
        open_on("npu:0,1", devices_file=path)
    import acme_backend

    assert len(acme_backend.closed) == 1


def test_a_kind_is_never_crossed_without_a_fallback_and_with_one_it_warns_and_says_why(artifact, nobodys):
    with pytest.warns(UadxWarning) as caught:
        opened = open_model(Request((artifact,)), "tpu:0", fallback="cpu", devices_file=nobodys)
    reason = "tpu:0 is not usable: 1 backend tried: nobody: no installed package provides the backend 'nobody'"
    assert str(caught[0].message) == f"{reason}; running on openvino:CPU, the fallback that was asked for"
    assert (opened.requested, opened.used, opened.fallback_reason) == ("tpu:0", "openvino:CPU", reason)
    opened.close()


def test_a_fallback_that_is_not_needed_is_not_used(artifact):
    opened = open_model(Request((artifact,)), "openvino:CPU", fallback="onnxruntime:CPUExecutionProvider")
    assert (opened.used, opened.fallback_reason) == ("openvino:CPU", None)
    opened.close()


def test_a_misspelt_fallback_is_found_before_it_is_needed(artifact):
    with pytest.raises(DeviceSyntaxError, match="there is no device 'cpuu'; did you mean 'cpu'"):
        open_model(Request((artifact,)), "cpu", fallback="cpuu")


def test_a_fallback_does_not_hide_a_model_that_is_broken(open_on, acme, artifact):
    path = acme(compile="raise RuntimeError('op 507 unsupported')")
    with pytest.raises(CompileError, match="op 507 unsupported"):
        open_model(Request((artifact,)), "npu", fallback="cpu", devices_file=path)


def test_a_device_that_leaves_its_place_is_what_a_fallback_is_for(artifact, acme):
    path = acme(runs_on="'host'")
    with pytest.warns(UadxWarning, match="acme:card0 was asked for, but the model runs on acme:host; running on open"):
        opened = open_model(Request((artifact,)), "npu", fallback="cpu", devices_file=path)
    opened.close()


def test_a_model_that_runs_elsewhere_is_a_placement_error_and_is_closed(open_on, acme):
    with pytest.raises(PlacementError) as caught:
        open_on("npu:1", devices_file=acme(runs_on="'card0'"))
    assert caught.value.message == "acme:card1 was asked for, but the model runs on acme:card0"
    assert caught.value.exit_code == 6
    import acme_backend

    assert len(acme_backend.closed) == 1


@pytest.mark.parametrize(("asked", "runs_on"), [("GPU", "GPU.0"), ("GPU.0", "GPU"), ("P", "P:0")])
def test_the_first_device_may_be_called_with_or_without_its_number(asked, runs_on, open_on, acme):
    assert open_on(f"acme:{asked}", devices_file=acme(runs_on=repr(runs_on))).used == f"acme:{runs_on}"


def test_another_precision_than_was_asked_for_is_a_placement_error(open_on):
    with pytest.raises(PlacementError) as caught:
        open_on("onnxruntime:CPUExecutionProvider", precision="bf16")
    assert caught.value.message == ("onnxruntime:CPUExecutionProvider was asked for bf16, but runs in f32")
    assert open_on("onnxruntime:CPUExecutionProvider", precision="auto").precision == "f32"


def test_a_model_that_does_not_compile_ends_the_search(open_on, acme):
    with pytest.raises(CompileError) as caught:
        open_on("npu", devices_file=acme(compile="raise RuntimeError('op 507 unsupported')"))
    assert caught.value.render() == (
        "error: the model could not be compiled\n"
        "  acme while compiling\n"
        "    RuntimeError: op 507 unsupported\n"
        "  fix: cool the card"
    )


@pytest.mark.parametrize("named", ["npu", "acme:card0"])
@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"compile": "raise SystemExit(0)"}, CompileError, "SystemExit: 0"),
        ({"compile": "raise Unprintable"}, CompileError, "Unprintable: (its text cannot be had: ZeroDivisionError)"),
        ({"compile": "return None"}, PluginError, "compile() gave None, no CompiledModel"),
        ({"runs_on": "1 / 0"}, PluginError, "ZeroDivisionError: division by zero"),
        ({"runs_on": "None"}, PluginError, "Placement: Expected `str`, got `null` - at `$.device`"),
    ],
    ids=["exits", "unprintable", "none", "placement raises", "placement of none"],
)
def test_whatever_a_backend_does_is_a_typed_error_that_names_it(open_on, acme, arguments, kind, words, named):
    if kind is PluginError and named == "npu":
        with pytest.warns(UadxWarning), pytest.raises(UnavailableError):
            open_on(named, devices_file=acme(**arguments))
        return
    with pytest.raises(kind) as caught:
        open_on(named, devices_file=acme(**arguments))
    assert words in caught.value.in_one_line


def test_two_devices_of_one_number_are_an_error_and_not_the_last_of_them(open_on, acme):
    with pytest.warns(UadxWarning, match="it lists npu:0 twice"), pytest.raises(UnavailableError):
        open_on("npu", devices_file=acme(listed=", index=0"))


def test_options_for_a_backend_that_nobody_knows_are_warned_of(open_on, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("version: 1\noptions: {openvin: {A: 1}}\n")
    with pytest.warns(UadxWarning, match="options for 'openvin', a backend that is not installed"):
        assert open_on("cpu", devices_file=path).used == "openvino:CPU"


def test_a_fallback_that_cannot_be_used_either_says_what_it_was_for(artifact, nobodys):
    with pytest.raises(
        UnavailableError, match=r"openvino:GPU.9 is not usable: .* and it is the fallback: tpu is not usa"
    ):
        open_model(Request((artifact,)), "tpu", fallback="openvino:GPU.9", devices_file=nobodys)


def test_a_broken_plugin_is_passed_over_with_a_warning_and_fatal_where_it_is_named(open_on, install, tmp_path):
    install("acme", {"acme_plugin.py": "raise SystemExit(1)"}, acme="acme_plugin")
    path = tmp_path / "devices.yaml"
    path.write_text("version: 1\nkinds: {cpu: {backends: [acme, openvino]}}\n")
    with pytest.warns(UadxWarning, match="the backend 'acme' is broken: SystemExit: 1; passed over for cpu"):
        opened = open_on("cpu", devices_file=path)
    assert opened.used == "openvino:CPU"
    with pytest.raises(PluginError) as caught:
        open_on("acme:card0", devices_file=path)
    assert caught.value.exit_code == 3


def test_a_simulator_never_serves_a_kind_and_says_so_where_it_is_named(open_on, acme):
    path = acme(simulated=True)
    with pytest.raises(UnavailableError, match="it is a simulator, used by its own name only"):
        open_on("npu", devices_file=path)
    assert open_on("acme:card0", devices_file=path).simulated


def test_a_backend_serves_only_the_kinds_it_is_made_for(open_on, acme):
    with pytest.raises(UnavailableError, match="it is not made for npu"):
        open_on("npu", devices_file=acme(kinds=("cpu",)))


def test_a_format_that_a_backend_does_not_take_is_a_reason(artifact):
    model = ModelArtifact(artifact.path, "om", "")
    with pytest.raises(UnavailableError, match=r"openvino \(uadx .*\): it takes onnx, openvino models and not om"):
        open_model(Request((model,)), "openvino:CPU")


def test_options_of_the_devices_file_reach_the_backend(open_on, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("version: 1\noptions: {openvino: {INFERENCE_PRECISION_HINT: bf16}}\n")
    with pytest.raises(ConfigError, match="may only pin f32"):
        open_on("cpu", devices_file=path)


def test_where_no_precision_is_asked_for_it_is_the_backends_default(acme, open_on):
    path = acme(precision="f16")
    assert open_on("npu", devices_file=path).precision == "f16"
    assert open_on("npu", devices_file=path, precision="f16").precision == "f16"
    with pytest.raises(PlacementError, match="was asked for f32, but runs in f16"):
        open_on("npu", devices_file=path, precision="f32")


def test_of_several_forms_of_a_model_each_backend_is_offered_those_that_it_takes(acme, artifact, tmp_path):
    path = acme(compile="assert artifact.format == 'onnx' and not artifact.target, artifact")
    forms = [ModelArtifact(tmp_path / "chip", "acme", "", "chip9"), artifact, ModelArtifact(tmp_path, "om", "")]
    open_model(Request(forms), "npu", devices_file=path).close()
    with pytest.raises(NoUsableDeviceError, match="it takes acme, onnx models and not om"):
        open_model(Request(forms[2:]), "npu", devices_file=path)


def test_a_backend_that_chooses_what_it_was_not_offered_is_broken(acme, open_on):
    path = acme(choose="def choose(self, artifacts, device, options): return 'my own'")
    with pytest.raises(PluginError, match=r"choose\(\) gave 'my own'"):
        open_on("acme:card0", devices_file=path)
