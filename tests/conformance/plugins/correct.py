"""Backends without a fault: two chips, 0 and 1, each of them OpenVINO on the processor. Mutants subclass the first."""

from dataclasses import replace
from functools import partial

import numpy as np

from uadx.api import Backend, CompiledModel, CompileOptions, DeviceInfo, DeviceRef, Placement
from uadx.errors import InferenceError, UnavailableError
from uadx.plugins import Plugins
from uadx.request_pool import RequestPool


class Correct(Backend):
    class Model(CompiledModel):
        def __init__(self, inner, selector):
            self.inner = inner
            self.selector = selector
            self.inputs, self.outputs, self.capabilities = inner.inputs, inner.outputs, inner.capabilities
            self.pool = RequestPool(inner.capabilities.async_depth, "chip")
            self.closed = False

        def placement(self):
            return Placement(self.selector, self.inner.placement().precision)

        def infer(self, batch):
            return self.inner.infer(batch)

        def submit(self, batch):
            if self.closed:
                raise InferenceError("the model is closed")
            return self.pool.submit(partial(self.infer, batch))

        def close(self):
            self.closed = True
            self.pool.close()
            self.inner.close()

    def __init__(self, spec, options, binding=None):
        super().__init__(spec, options, binding)
        self.openvino = Plugins().open("openvino", {})

    def devices(self):
        return [DeviceInfo(str(index), f"chip {index}", "acme", index=index) for index in range(2)]

    def compile(self, artifact, device, options):
        if device.selector not in ("0", "1"):
            raise UnavailableError(f"there is no chip {device.selector!r}", hint="name chip 0 or 1")
        if options.precision not in ("f32", "auto"):
            raise UnavailableError(f"the chips have no {options.precision}", hint="ask for f32")
        return self.Model(self.openvino.compile(artifact, DeviceRef("CPU"), options), device.selector)


class StaticAndHalf(Correct):
    """Takes batches of one size, as most NPUs do, and computes in float16 only."""

    class Model(Correct.Model):
        def placement(self):
            return Placement(self.selector, "f16")

        def infer(self, batch):
            if any(len(value) != self.capabilities.static_batch for value in batch.values()):
                raise InferenceError(f"the batch is not {self.capabilities.static_batch}")
            outputs = super().infer(batch)
            return {name: value.astype(np.float16).astype(np.float32) for name, value in outputs.items()}

    def devices(self):
        return [replace(device, precisions=("f16",)) for device in super().devices()]

    def compile(self, artifact, device, options):
        if options.precision not in ("f16", "auto"):
            raise UnavailableError(f"the chips have no {options.precision}", hint="ask for f16")
        model = super().compile(artifact, device, CompileOptions("f32", options.max_batch))
        model.capabilities = replace(model.capabilities, precision="f16", static_batch=options.max_batch)
        return model


class SmallAndSynchronous(Correct):
    """Takes two images at most, one request at a time, from one thread: the least that the interface asks for."""

    class Model(Correct.Model):
        submit = CompiledModel.submit

        def __init__(self, inner, selector):
            super().__init__(inner, selector)
            self.capabilities = replace(inner.capabilities, max_batch=2, async_depth=1, thread_safe=False)

        def infer(self, batch):
            if any(len(value) > 2 for value in batch.values()):
                raise InferenceError("the batch is larger than 2")
            return super().infer(batch)
