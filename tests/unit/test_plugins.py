"""The plugin loader, with distributions laid out as pip lays them out."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from uadx.errors import PluginError, UnavailableError
from uadx.plugins import Plugins

GOOD = """
from uadx.api import BackendSpec, hookimpl

@hookimpl
def uadx_backends():
    return [BackendSpec(name={name!r}, api={api}, factory={factory!r}, kinds=("cpu",), summary="a test",
                        install_hint="pip install {name}", sdk_modules=("acme_sdk",))]
"""


def good(name, api=1, factory="acme_backend:AcmeBackend"):
    return GOOD.format(name=name, api=api, factory=factory)


def test_the_built_in_backends_come_through_the_same_entry_points():
    plugins = Plugins()
    assert {"openvino", "onnxruntime"} <= set(plugins.names)
    for name in ("openvino", "onnxruntime"):
        plugin = plugins.load(name)
        assert (plugin.status, plugin.distribution, plugin.version) == ("ok", "uadx", version("uadx"))
        assert plugin.spec.name == name
        assert plugins.describe(name) == f"{name} (uadx {version('uadx')})"


def test_loading_the_built_in_plugins_imports_no_sdk_and_not_numpy():
    code = """
import sys
from uadx.plugins import Plugins
plugins = Plugins()
assert all(plugins.load(name).status == "ok" for name in ("openvino", "onnxruntime"))
print(sorted({"openvino", "onnxruntime", "numpy", "cv2", "torch", "rich"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_third_party_backend_is_listed_without_being_imported(install):
    install("acme", {"acme_plugin.py": good("acme")}, acme="acme_plugin")
    plugins = Plugins()
    assert "acme" in plugins.names
    assert "acme_plugin" not in sys.modules
    plugin = plugins.load("acme")
    assert (plugin.status, plugin.distribution, plugin.version) == ("ok", "acme", "1.5")


def test_only_the_plugin_that_is_needed_is_imported(install):
    install("acme", {"acme_plugin.py": good("acme")}, acme="acme_plugin")
    install("other", {"other_plugin.py": good("other")}, other="other_plugin")
    Plugins().load("acme")
    assert "acme_plugin" in sys.modules
    assert "other_plugin" not in sys.modules


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("import acme_missing_part", "ModuleNotFoundError: No module named 'acme_missing_part'"),
        ("def broken(:", "SyntaxError: "),
        (
            "from uadx.api import hookimpl\n@hookimpl\ndef uadx_backend(): return []",
            "PluginValidationError: unknown hook 'uadx_backend'",
        ),
        (
            "from uadx.api import hookimpl\n@hookimpl\ndef uadx_backends(config): return []",
            "PluginValidationError: ",
        ),
        (
            "from uadx.api import hookimpl\n@hookimpl\ndef uadx_backends(): raise SystemExit(3)",
            "SystemExit: 3",
        ),
        (
            "from uadx.api import hookimpl\n@hookimpl\ndef uadx_backends(): return ['acme']",
            "TypeError: uadx_backends() gave 'acme', which is no BackendSpec",
        ),
        (good("acne"), "LookupError: acme_plugin declares no backend 'acme'; it declares: acne"),
        ("", "LookupError: acme_plugin declares no backend 'acme'; it declares: none"),
    ],
    ids=["exits", "import", "syntax", "misspelt", "arguments", "hook-exits", "no-spec", "other-name", "empty"],
)
def test_a_broken_plugin_is_a_status_with_its_reason_and_harms_no_other(install, module, reason):
    install("acme", {"acme_plugin.py": module}, acme="acme_plugin")
    plugins = Plugins()
    plugin = plugins.load("acme")
    assert plugin.status == "broken"
    assert plugin.reason.startswith(reason)
    assert plugins.load("openvino").status == "ok"
    with pytest.raises(PluginError) as caught:
        plugins.open("acme", {})
    assert caught.value.message == f"the backend 'acme' is broken: {plugin.reason}"
    assert caught.value.hint == "reinstall acme, or tell its authors"
    assert caught.value.exit_code == 3


def test_control_c_during_an_import_is_not_caught(install):
    install("acme", {"acme_plugin.py": "raise KeyboardInterrupt"}, acme="acme_plugin")
    with pytest.raises(KeyboardInterrupt):
        Plugins().load("acme")


def test_a_plugin_for_another_api_version_is_incompatible(install):
    install("acme", {"acme_plugin.py": good("acme", api=7)}, acme="acme_plugin")
    with pytest.raises(PluginError) as caught:
        Plugins().open("acme", {})
    assert caught.value.render() == (
        "error: the backend 'acme' is incompatible: "
        "written for version 7 of the backend API, this uadx has version 1\n"
        "  acme\n"
        "  fix: install versions of acme and uadx that fit each other"
    )


def test_a_name_claimed_twice_is_a_conflict_that_names_both_and_is_fatal_only_when_selected(install):
    install("acme", {"acme_plugin.py": good("acme")}, acme="acme_plugin")
    install("evil", {"evil_plugin.py": good("acme")}, acme="evil_plugin")
    plugins = Plugins()
    plugin = plugins.load("acme")
    assert (plugin.status, plugin.reason) == ("conflict", "claimed by acme 1.5 and by evil 1.5")
    assert not {"acme_plugin", "evil_plugin"} & set(sys.modules)
    assert plugins.load("openvino").status == "ok"
    with pytest.raises(PluginError, match=r"is in conflict: claimed by acme 1\.5 and by evil 1\.5"):
        plugins.open("acme", {})


def test_the_allow_list_stops_a_plugin_before_its_import(install, monkeypatch):
    install("acme", {"acme_plugin.py": good("acme")}, acme="acme_plugin")
    monkeypatch.setenv("UADX_LOAD_PLUGINS", "openvino, onnxruntime")
    plugins = Plugins()
    assert plugins.load("openvino").status == "ok"
    assert plugins.load("acme").status == "blocked"
    assert "acme_plugin" not in sys.modules
    with pytest.raises(PluginError, match="is blocked: UADX_LOAD_PLUGINS does not list it") as caught:
        plugins.open("acme", {})
    assert caught.value.hint == "add acme to UADX_LOAD_PLUGINS, or unset it"


def test_an_empty_allow_list_blocks_every_plugin(monkeypatch):
    monkeypatch.setenv("UADX_LOAD_PLUGINS", "")
    plugins = Plugins()
    assert {plugins.load(name).status for name in plugins.names} == {"blocked"}


def test_a_backend_that_nothing_provides_is_unavailable():
    with pytest.raises(UnavailableError, match="no installed package provides the backend 'acme'"):
        Plugins().open("acme", {})


BACKEND = """
from uadx.api import Backend
class AcmeBackend(Backend):
    def __init__(self, spec, options, binding=None):
        super().__init__(spec, options, binding)
        import acme_sdk
    def devices(self): return []
    def compile(self, artifact, device, options): raise NotImplementedError
"""


def test_a_missing_sdk_is_unavailable_with_the_command_that_installs_it(install):
    install("acme", {"acme_plugin.py": good("acme"), "acme_backend.py": BACKEND}, acme="acme_plugin")
    with pytest.raises(UnavailableError) as caught:
        Plugins().open("acme", {})
    assert caught.value.render() == (
        "error: the package 'acme_sdk' is not installed\n  acme while importing acme_sdk\n  fix: pip install acme"
    )


def test_an_sdk_that_is_there_but_does_not_load_is_told_apart_in_its_own_words(install):
    sdk = "raise OSError('libacme.so.3: cannot open shared object file')"
    files = {"acme_plugin.py": good("acme"), "acme_backend.py": BACKEND, "acme_sdk.py": sdk}
    install("acme", files, acme="acme_plugin")
    with pytest.raises(UnavailableError) as caught:
        Plugins().open("acme", {})
    assert caught.value.render() == (
        "error: the SDK of 'acme' is installed but cannot be loaded\n"
        "  acme while importing acme_sdk\n"
        "    OSError: libacme.so.3: cannot open shared object file\n"
        "  fix: reinstall it: pip install acme"
    )


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("acme_nowhere:AcmeBackend", "No module named 'acme_nowhere'"),
        ("acme_backend:Missing", "is no Backend class"),
        ("acme_backend", "is no Backend class"),
        ("acme_buggy:AcmeBackend", "ImportError: cannot import name 'nothing'"),
    ],
)
def test_a_factory_that_fails_by_itself_is_the_plugins_fault_and_not_the_sdks(install, factory, words):
    files = {
        "acme_plugin.py": good("acme", factory=factory),
        "acme_backend.py": BACKEND,
        "acme_buggy.py": "from uadx.api import nothing",
    }
    install("acme", files, acme="acme_plugin")
    with pytest.raises(PluginError, match=f"broken: its factory {factory!r}") as caught:
        Plugins().open("acme", {})
    assert words in str(caught.value)


def test_a_plugin_may_explain_the_errors_of_its_backend(install):
    advice = "\n@hookimpl\ndef uadx_explain_failure(backend, error): return f'ask {backend} about {error}'\n"
    install("acme", {"acme_plugin.py": good("acme") + advice}, acme="acme_plugin")
    assert Plugins().explain("acme", OSError("error 507")) == "ask acme about error 507"
    assert Plugins().explain("openvino", OSError("error 507")) is None


def test_advice_that_fails_does_not_hide_the_error(install):
    advice = "\n@hookimpl\ndef uadx_explain_failure(backend, error): return error.no_such_thing\n"
    install("acme", {"acme_plugin.py": good("acme") + advice}, acme="acme_plugin")
    assert Plugins().explain("acme", OSError()).startswith("(the plugin's own advice failed: AttributeError:")
