"""Other forms of a bundle's model, made by the backends that run them, kept in the bundle beside the ONNX file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from uadx.api import Exported, ExportOptions
from uadx.bundle.manifest import UNSEALED, Manifest, Variant
from uadx.bundle.reader import GOLDEN, MODEL, Bundle, open_bundle
from uadx.bundle.writer import write_files
from uadx.contract import misfit, plugin_code
from uadx.errors import CompileError, PluginError, UadxError, UsageError
from uadx.plugins import Plugins


def add_variant(bundle: Bundle, format: str, options: ExportOptions, output: Path) -> Variant:
    """Write the bundle with another form of its model to output, which may be where it came from.

    A form of the same format, target and precision is replaced. Raises UsageError where no backend makes such a
    format, what the exporter raises, PluginError where it gives something else than promised, OutputError.
    """
    plugins = Plugins()
    if format not in plugins.exports:
        formats = ", ".join(sorted(plugins.exports)) or "none"
        raise UsageError(f"no installed backend exports {format!r}", hint=f"formats that can be had here: {formats}")
    name = plugins.exports[format]
    exporter = plugins.exporter(name, format)
    with tempfile.TemporaryDirectory(prefix="uadx-export-") as directory:
        folder = Path(directory)
        with plugin_code(CompileError, f"the model could not be exported as {format}", name, "exporting"):
            made = exporter(bundle.artifact, folder, options)
        made = _checked(made, folder, name)
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    variant = Variant(
        file=made.path.name, format=format, target=made.target, precision=made.precision, files=tuple(sorted(files))
    )
    if clash := sorted(set(_kept(bundle, variant)) & set(files)):
        raise PluginError(f"the backend {name!r} is broken: it exports {clash[0]}, which the bundle has", backend=name)
    write_with(bundle, variant, files, output)
    return variant


def check_loses_nothing(bundle: Bundle, format: str, output: Path) -> None:
    """Make sure that the bundle with another form does not replace one of another model, or one that has more forms.

    Raises UsageError."""
    try:
        there = open_bundle(str(output.absolute()))  # "default" would be the one that ships
    except UadxError:
        return  # no bundle, or a damaged one: write_files tells them apart
    if _without_forms(there.manifest) != _without_forms(bundle.manifest):
        raise UsageError(
            f"{output} is a bundle of another model, which would be lost",
            hint=f"to add the form to that model: --model {output} and no --output; else name another --output",
        )
    kept = {variant.key for variant in bundle.manifest.variants}
    if lost := [one.file for one in there.manifest.variants if one.key not in kept and one.format != format]:
        raise UsageError(
            f"{output} has {', '.join(lost)}, which would be lost", hint=f"add the form to it: --model {output}"
        )


def write_with(bundle: Bundle, variant: Variant, files: Mapping[str, bytes], output: Path) -> None:
    """Write the bundle with this form of its model, whose files are given by name, in place of the one of its key.

    Raises UsageError where output is something else than a bundle, OutputError.
    """
    kept = {file: (bundle.path / file).read_bytes() for file in _kept(bundle, variant)}
    others = tuple(other for other in bundle.manifest.variants if other.key != variant.key)
    write_files(output, msgspec.structs.replace(bundle.manifest, variants=(*others, variant)), {**kept, **files})


def _without_forms(manifest: Manifest) -> Manifest:
    files = {name: manifest.files[name] for name in (MODEL, GOLDEN)}
    return msgspec.structs.replace(manifest, variants=(), files=files, seal=UNSEALED)


def _kept(bundle: Bundle, variant: Variant) -> list[str]:
    """The bundle's files without those of an earlier form that the new one replaces."""
    gone = {file for other in bundle.manifest.variants if other.key == variant.key for file in other.files}
    return [file for file in bundle.manifest.files if file not in gone]


def _checked(made: object, folder: Path, name: str) -> Exported:
    wrong = misfit(made) if isinstance(made, Exported) else f"its exporter gave {made!r}"
    if isinstance(made, Exported) and not wrong:
        if made.path.parent == folder and made.path.is_file():
            return made
        wrong = f"its exporter did not write {made.path.name}"
    raise PluginError(f"the backend {name!r} is broken: {wrong}", backend=name, stage="exporting")
