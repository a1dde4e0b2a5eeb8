"""The kit on a real card: `python -m pytest tests/hw/kunlun`."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from uadx_kunlun.discovery import nodes

from uadx.machine import Machine
from uadx.testing import BackendConformance

MISSING = [
    what
    for what, there in {
        "no Kunlunxin card (/dev/xpu0)": nodes(Machine()),
        "Paddle is not installed": find_spec("paddle"),
        "onnx is not installed": find_spec("onnx"),
    }.items()
    if not there
]

if MISSING:
    pytest.skip("; ".join(MISSING), allow_module_level=True)


class TestCard(BackendConformance):
    device = "xpu:0"
    patience = 300.0
