"""The stand-in's .om: an ONNX model and what it was converted for. OpenVINO runs it, on the processor, in float32."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.api import CompiledModel, CompileOptions, DeviceRef, ModelArtifact
from uadx.plugins import Plugins

MAGIC = b"IMOD a stand-in\n"


@dataclass(frozen=True)
class Head:
    """inputs and outputs: name to [aclDataType, shape without the batch]. gears: one for a fixed batch."""

    soc: str
    gears: tuple[int, ...]
    inputs: dict[str, tuple[int, tuple[int, ...]]]
    outputs: dict[str, tuple[int, tuple[int, ...]]]
    digest: str


def pack(head: Head, onnx: bytes) -> bytes:
    text = json.dumps(asdict(head)).encode()
    return MAGIC + struct.pack("<QQ", len(text), len(onnx)) + text + onnx


def unpack(data: bytes) -> tuple[Head, bytes]:
    """Raises ValueError."""
    start = len(MAGIC) + 16
    if not data.startswith(MAGIC) or len(data) < start:
        raise ValueError("the magic number of the model is wrong")
    text, onnx = struct.unpack("<QQ", data[len(MAGIC) : start])
    if len(data) != start + text + onnx:
        raise ValueError("the model ends too early")
    fields = json.loads(data[start : start + text])
    sides = [
        {name: (kind, tuple(shape)) for name, (kind, shape) in fields[side].items()} for side in ("inputs", "outputs")
    ]
    return Head(fields["soc"], tuple(fields["gears"]), *sides, fields["digest"]), data[start + text :]


def digest_of(onnx: bytes) -> str:
    return hashlib.sha256(onnx).hexdigest()


def run(onnx: bytes, batch: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
    return _engine(onnx).infer(batch)


@cache
def _engine(onnx: bytes) -> CompiledModel:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(onnx)
        backend = Plugins().open("openvino", {})
        return backend.compile(ModelArtifact(path, "onnx", ""), DeviceRef("CPU"), CompileOptions())
