"""Backends that are wrong in one thing about errors and placement."""

import os
from dataclasses import replace

import numpy as np
from correct import Correct

from uadx.api import CompileOptions, DeviceInfo, DeviceRef, Placement
from uadx.errors import CompileError, InferenceError


class OpensAnotherDevice(Correct):
    def compile(self, artifact, device, options):
        known = device.selector if device.selector in ("0", "1") else "0"
        return super().compile(artifact, DeviceRef(known), options)


class RaisesABareException(Correct):
    def compile(self, artifact, device, options):
        try:
            return super().compile(artifact, device, options)
        except CompileError as error:
            raise ValueError(error.cause_text) from error


class KeepsTheCauseToItself(Correct):
    def compile(self, artifact, device, options):
        try:
            return super().compile(artifact, device, options)
        except CompileError as error:
            raise CompileError("it did not compile") from error


class TakesAnyDtype(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return super().infer({name: value.astype(np.uint8) for name, value in batch.items()})


class TakesAnyShape(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            shape = self.inputs[0].shape[1:]
            return super().infer({name: np.resize(value, (len(value), *shape)) for name, value in batch.items()})


class TakesAnyName(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return super().infer(dict(zip(["image"], batch.values(), strict=False)))


class TakesTheLastBatchAgain(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            self.last = batch or getattr(self, "last", {"image": np.zeros((1, *self.inputs[0].shape[1:]), np.uint8)})
            return super().infer(self.last)


class BreaksAtAnError(Correct):
    class Model(Correct.Model):
        broken = False

        def infer(self, batch):
            if self.broken:
                raise InferenceError("the chip is in an undefined state")
            try:
                return super().infer(batch)
            except InferenceError:
                self.broken = True
                raise


class RunsWhenClosed(Correct):
    class Model(Correct.Model):
        def close(self):
            """Leaves the model open."""


class PrintsFromPython(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            print("running")
            return super().infer(batch)


class PrintsFromNativeCode(Correct):
    def compile(self, artifact, device, options):
        os.write(1, b"compiling\n")
        return super().compile(artifact, device, options)


class ClaimsAGpuAndRunsOnTheCpu(Correct):
    def devices(self):
        return [DeviceInfo("0", "GPU 0", "acme")]

    class Model(Correct.Model):
        def placement(self):
            return replace(super().placement(), device="CPU")


class IgnoresTheIndex(Correct):
    class Model(Correct.Model):
        def placement(self):
            return replace(super().placement(), device="0")


class ContradictsItself(Correct):
    class Model(Correct.Model):
        def __init__(self, inner, selector):
            super().__init__(inner, selector)
            self.capabilities = replace(inner.capabilities, precision="f16")


class RunsBf16AndClaimsF32(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return {name: _as_bf16(value) for name, value in super().infer(batch).items()}


class ClaimsAPrecisionThatItLacks(Correct):
    def compile(self, artifact, device, options):
        model = super().compile(artifact, device, CompileOptions("f32", options.max_batch))
        model.placement = lambda: Placement(device.selector, options.precision)
        return model


def _as_bf16(value):
    """float32 with the 7 bits of mantissa that bfloat16 has."""
    return (value.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
