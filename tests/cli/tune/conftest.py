"""Backends of a third party, a devices file that has them, and a cache and a machine of the test's own."""

import pytest

from uadx.tune.choice import HINTS

PLUGIN = """
from uadx.api import BackendSpec, hookimpl

@hookimpl
def uadx_backends():
    return [BackendSpec(name="acme", api=1, factory="acme_backend:AcmeBackend", kinds=("{kind}",), summary="a test",
                        install_hint="pip install acme", visible_env=("ACME_VISIBLE",))]
"""
# OpenVINO under another name, with a line of Python where it is opened and one where it answers
BACKEND = """
import os
import numpy as np
from uadx.api import Backend, Capabilities, CompiledModel, DeviceInfo, DeviceRef, Placement
from uadx.plugins import Plugins

class AcmeModel(CompiledModel):
    def __init__(self, inner):
        self.inner, self.inputs, self.outputs = inner, inner.inputs, inner.outputs
        self.capabilities = Capabilities("f32")
    def placement(self): return Placement("card0", "f32")
    def infer(self, batch):
        maps = self.inner.infer(batch)
        {answering}
        return maps
    def close(self): self.inner.close()

class AcmeBackend(Backend):
    def devices(self): return [DeviceInfo("card0", "Acme", "acme", "{kind}")]
    def versions(self): return {{"driver": os.environ.get("ACME_DRIVER", "1")}}
    def compile(self, artifact, device, options):
        {opening}
        openvino = Plugins().open("openvino", {{}})
        return AcmeModel(openvino.compile(artifact, DeviceRef("CPU"), options))
"""
DEVICES = """
version: 1
default: npu
kinds:
  npu: {backends: [gone, acme, openvino]}
"""


@pytest.fixture(autouse=True)
def _quick_and_apart(tmp_path, monkeypatch):
    """A cache of the test's own, a quiet machine; one round and one hint, enough where nobody looks at them."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("uadx.tune.choice.ROUNDS", 1)
    monkeypatch.setattr("uadx.tune.choice.HINTS", HINTS[:1])


@pytest.fixture
def cpu(tmp_path):
    """A devices file whose cpu has one backend, or those that are named."""

    def write(*backends):
        path = tmp_path / "cpu.yaml"
        path.write_text(f"version: 1\nkinds: {{cpu: {{backends: [{', '.join(backends)}]}}}}\n")
        return path

    return write


@pytest.fixture
def acme(install, tmp_path):
    """A devices file whose npu is a third party's card, and beside it two backends that have none."""

    def install_acme(opening="pass", answering="pass", kind="npu", backend=BACKEND):
        text = backend.format(opening=opening, answering=answering, kind=kind)
        install("acme", {"acme_plugin.py": PLUGIN.format(kind=kind), "acme_backend.py": text}, acme="acme_plugin")
        path = tmp_path / "devices.yaml"
        path.write_text(DEVICES)
        return path

    return install_acme
