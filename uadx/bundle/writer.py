"""Writes a bundle whole or not at all: a directory, or one .zip where the path ends in .zip."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.bundle.manifest import Manifest, encode
from uadx.bundle.reader import GOLDEN, MANIFEST, MODEL
from uadx.files import write_whole

_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's earliest date: the same bundle must be the same bytes


def write_bundle(path: Path, manifest: Manifest, model: bytes, golden: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a bundle in place of whatever bundle is at path. manifest.files is filled in here.

    golden: `image` uint8 [N, H, W, 3] and `level1` to `level3` float32 [N, h, w].
    """
    contents = {MODEL: model, GOLDEN: _npz(golden)}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[MANIFEST] = encode(msgspec.structs.replace(manifest, files=hashes))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".zip":
        write_whole(path, _zip(contents))
    else:
        _replace_directory(path, contents)


def _npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """An .npz without time stamps; numpy.savez writes the hour into the archive."""
    members = {}
    for name in sorted(arrays):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    return _zip(members)


def _zip(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(contents):
            packed.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _replace_directory(path: Path, contents: Mapping[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide the model from the line's own user
        for name, data in contents.items():
            (temporary / name).write_bytes(data)
        if path.exists():  # a directory cannot be replaced in one step, so the old one steps aside first
            aside = temporary.with_suffix(".old")
            os.replace(path, aside)
            os.replace(temporary, path)
            shutil.rmtree(aside)
        else:
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
