"""Exports by a backend's own function, whoever wrote it: what it makes goes into the bundle, or nothing changes."""

import shutil

import pytest

from uadx.api import ExportOptions
from uadx.bundle.reader import default_path, open_bundle
from uadx.bundle.variants import add_variant
from uadx.errors import BundleError, CompileError, PluginError, UsageError

PLUGIN = """
from uadx.api import BackendSpec, hookimpl

@hookimpl
def uadx_backends():
    return [BackendSpec(name="acme", api=1, factory="acme_export:Nothing", kinds=(), summary="a test",
                        install_hint="pip install acme", formats=("acme", "onnx"),
                        exports={"acme": "acme_export:export", "om": "acme_export:export"})]
"""
EXPORT = """
from uadx.api import Exported

def export(artifact, folder, options):
    path = folder / f"acme.{{options.target}}"
    path.write_bytes(artifact.path.read_bytes()[:10])
    {then}
    return Exported(path, options.target, "f16")
"""


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "model"
    shutil.copytree(default_path(), path)
    return open_bundle(path)


@pytest.fixture
def acme(install):
    """A third party's backend that exports a format of its own; then: a line of Python at its end."""

    def install_acme(then="pass"):
        install("acme", {"acme_plugin.py": PLUGIN, "acme_export.py": EXPORT.format(then=then)}, acme="acme_plugin")

    return install_acme


def test_a_third_party_exports_a_format_of_its_own(acme, bundle):
    acme("(folder / 'acme.txt').write_text('a note')")
    add_variant(bundle, "acme", ExportOptions(target="chip9"), bundle.path)
    artifacts = open_bundle(bundle.path).artifacts
    assert [(each.path.name, each.format, each.target, each.precision) for each in artifacts] == [
        ("stfpm.onnx", "onnx", "", ""),
        ("acme.chip9", "acme", "chip9", "f16"),
    ]
    assert (bundle.path / "acme.txt").read_text() == "a note"


def test_what_belonged_to_the_form_that_is_replaced_goes_with_it(acme, bundle):
    acme("(folder / f'{len(options.batches)}.txt').write_text('')")
    add_variant(bundle, "acme", ExportOptions(target="chip9", batches=(1, 2)), bundle.path)
    add_variant(open_bundle(bundle.path), "acme", ExportOptions(target="chip9", batches=(1,)), bundle.path)
    assert [path.name for path in bundle.path.glob("*.txt")] == ["1.txt"]


def test_a_format_of_uadx_is_not_taken_over_by_another_package(acme, bundle):
    acme()
    with pytest.raises(UsageError, match="an \\.om is made for one kind of card"):
        add_variant(bundle, "om", ExportOptions(), bundle.path)


def test_a_format_that_nobody_makes_is_refused_with_those_that_can_be_had(bundle):
    with pytest.raises(UsageError, match="no installed backend exports 'tflite'") as caught:
        add_variant(bundle, "tflite", ExportOptions(), bundle.path)
    assert "om" in caught.value.hint


@pytest.mark.parametrize(
    ("then", "error", "words"),
    [
        ("return None", PluginError, "its exporter gave None"),
        ("return Exported(folder / 'other')", PluginError, "its exporter did not write other"),
        ("return Exported(path, 9)", PluginError, "Exported: Expected `str`, got `int`"),
        ("path = path.rename(folder / 'stfpm.onnx')", PluginError, "it exports stfpm.onnx, which the bundle has"),
        ("raise SystemExit(0)", CompileError, "the model could not be exported as acme"),
        ("raise ValueError('bad luck')", CompileError, "the model could not be exported as acme"),
    ],
)
def test_an_exporter_that_fails_is_named_and_the_bundle_stays(acme, bundle, then, error, words):
    acme(then)
    before = {path.name: path.read_bytes() for path in bundle.path.iterdir()}
    with pytest.raises(error) as caught:
        add_variant(bundle, "acme", ExportOptions(target="chip9"), bundle.path)
    assert words in caught.value.message
    assert caught.value.backend == "acme"
    assert {path.name: path.read_bytes() for path in bundle.path.iterdir()} == before


def test_a_manifest_that_names_a_form_without_its_file_is_refused(acme, bundle):
    acme()
    add_variant(bundle, "acme", ExportOptions(target="chip9"), bundle.path)
    manifest = bundle.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"file": "acme.chip9"', '"file": "../secret"'))
    with pytest.raises(BundleError) as caught:
        open_bundle(bundle.path)
    assert caught.value.cause_text == "`variants`: `files` does not list ../secret and what belongs to it"
