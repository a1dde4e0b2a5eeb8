"""The kit on a real card: `python -m pytest tests/hw/ascend`. Converts its models first, which takes a while."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest
from uadx_ascend.discovery import nodes

from uadx.machine import Machine
from uadx.testing import BackendConformance

MISSING = [
    what
    for what, there in {
        "no Ascend card (/dev/davinci0)": nodes(Machine()),
        "CANN's Python package acl is not importable": find_spec("acl"),
        "atc, which converts the kit's models, is not on PATH": shutil.which("atc"),
    }.items()
    if not there
]


if MISSING:
    pytest.skip("; ".join(MISSING), allow_module_level=True)


class TestCard(BackendConformance):
    device = "npu:0"
    patience = 600.0
