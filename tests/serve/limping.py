"""A backend that can be slow, break, be unplugged, hang and answer nonsense: OpenVINO under another name."""

from __future__ import annotations

import contextlib

import httpx
from serve.conftest import PATIENCE

from uadx.pipeline.config import PipelineConfig

ON_CHIP = PipelineConfig(device="limping:0")


def server_post(server, image):
    """A request on a connection of its own."""
    return httpx.post(f"{server.base_url}/v1/inspect", content=image.read_bytes(), timeout=PATIENCE)


@contextlib.contextmanager
def held(chip, file):
    """While this is open the chip answers nothing, so that what is asked waits, however long the asking takes."""
    file.touch()
    chip["hangs while"] = str(file)
    try:
        yield
    finally:
        file.unlink()


LIMPING = """
import os, time
from functools import partial
from uadx.api import Backend, BackendSpec, CompiledModel, DeviceInfo, DeviceRef, Placement, hookimpl
from uadx.plugins import Plugins

class Model(CompiledModel):
    def __init__(self, inner, selector):
        self.inner, self.selector = inner, selector
        self.inputs, self.outputs, self.capabilities = inner.inputs, inner.outputs, inner.capabilities

    def placement(self):
        return Placement(self.selector, self.inner.placement().precision)

    def infer(self, batch):
        time.sleep(STATE.get("seconds", 0))
        while os.path.exists(STATE.get("hangs while", "")):
            time.sleep(0.01)
        if STATE.get("broken"):
            STATE["broken"] -= 1
            raise RuntimeError("the chip fell off")
        maps = self.inner.infer(batch)
        for map in maps.values():
            map[batch["image"].min(axis=(1, 2, 3)) == 255] = float("nan")
        return maps

    def close(self):
        while STATE.get("does not close"):
            time.sleep(0.01)
        self.inner.close()

STATE = {"hangs while": os.environ.get("CHIP_HANGS_WHILE", "")}

class Limping(Backend):
    def __init__(self, spec, options, binding=None):
        super().__init__(spec, options, binding)
        self.openvino = Plugins().open("openvino", {})

    def devices(self):
        return [DeviceInfo(number, "chip", "acme", "npu", int(number)) for number in "01"]

    def compile(self, artifact, device, options):
        if STATE.get("unplugged"):
            raise RuntimeError("no chip in the slot")
        return Model(self.openvino.compile(artifact, DeviceRef("CPU"), options), device.selector)

@hookimpl
def uadx_backends():
    return [BackendSpec("limping", 1, "limping:Limping", ("npu",), summary="a slow one", install_hint="none")]
"""
