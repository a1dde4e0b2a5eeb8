"""Writes a bundle whole or not at all: a directory, or one .zip where the path ends in .zip."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.bundle.manifest import Manifest, encode, listed
from uadx.bundle.reader import GOLDEN, MANIFEST, MODEL
from uadx.errors import OutputError, UsageError
from uadx.files import write_whole

_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's earliest date: the same bundle must be the same bytes


def write_bundle(path: Path, manifest: Manifest, model: bytes, golden: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a bundle in place of whatever bundle is at path. manifest.files is filled in here.

    golden: `image` uint8 [N, H, W, 3] and `level1` to `level3` float32 [N, h, w].
    Raises UsageError where path is something else than a bundle, OutputError where it cannot be written.
    """
    write_files(path, manifest, {MODEL: model, GOLDEN: npz(golden)})


def write_files(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write a bundle of these files, by name, in place of whatever bundle is at path; raises what write_bundle does."""
    path = path.resolve()  # where a link leads: a deployed link to a bundle stays a link
    check_replaceable(path)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents = {**contents, MANIFEST: encode(msgspec.structs.replace(manifest, files=hashes))}
    if path.suffix.lower() == ".zip":
        write_whole(path, _zip(contents))
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace_directory(path, contents)
    except OSError as error:
        raise OutputError(f"the bundle {path} cannot be written", cause_text=str(error)) from error


def npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """An .npz without time stamps; numpy.savez writes the hour into the archive."""
    members = {}
    for name in sorted(arrays):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    return _zip(members)


def zipped(path: Path) -> bytes:
    """The bundle directory at path as one .zip, for another machine."""
    return _zip({file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()})


def _zip(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(contents):
            packed.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def check_replaceable(path: Path) -> None:
    """Make sure that nothing but an older bundle, damaged or not, would be written over. Raises UsageError."""
    if not path.exists() or (path.is_dir() and path.suffix.lower() != ".zip" and not any(path.iterdir())):
        return
    try:
        if path.is_dir():
            with_files = {MANIFEST, *listed((path / MANIFEST).read_bytes())}
            ours = path.suffix.lower() != ".zip" and {entry.name for entry in path.iterdir()} == with_files
        else:
            with zipfile.ZipFile(path) as packed:
                listed(packed.read(MANIFEST))
            ours = path.suffix.lower() == ".zip"
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, msgspec.MsgspecError):
        ours = False
    if not ours:
        raise UsageError(
            f"{path} is there already and is no model bundle, or holds other files too",
            hint="name a path of its own: --output MODEL",
        )


def _replace_directory(path: Path, contents: Mapping[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    aside = temporary.with_suffix(".old")
    try:
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide the model from the line's own user
        for name, data in contents.items():
            (temporary / name).write_bytes(data)
        if not path.exists():
            os.replace(temporary, path)
            return
        os.replace(path, aside)  # a directory cannot be replaced in one step, so the old one steps aside first
        try:
            os.replace(temporary, path)
        except OSError:
            os.replace(aside, path)
            raise
        shutil.rmtree(aside)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
