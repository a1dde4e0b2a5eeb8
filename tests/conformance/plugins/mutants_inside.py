"""Backends whose models are wrong in one thing: numbers, batches, what they leave behind."""

import os
import threading
from dataclasses import replace

import numpy as np
from correct import Correct

from uadx.errors import InferenceError


class ReversesTheShapes(Correct):
    class Model(Correct.Model):
        def __init__(self, inner, selector):
            super().__init__(inner, selector)
            self.outputs = tuple(replace(spec, shape=spec.shape[::-1]) for spec in inner.outputs)


class SwapsOutputs(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            outputs = super().infer(batch)
            return dict(zip(outputs, reversed(outputs.values()), strict=True))


class TakesBgr(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return super().infer({name: value[..., ::-1] for name, value in batch.items()})


class ComputesInFloat16(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return {name: value.astype(np.float16) for name, value in super().infer(batch).items()}


class MixesTheImagesOfABatch(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return {name: 0.99 * value + 0.01 * value.mean(0) for name, value in super().infer(batch).items()}


class DropsTheAxisOfASingleImage(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return {name: value[0] if len(value) == 1 else value for name, value in super().infer(batch).items()}


class DropsTheTailOfABatch(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            outputs = super().infer(batch)
            for value in outputs.values():
                whole = max(len(value) // 2 * 2, 1)
                value[whole:] = 0
            return outputs


class ReversesABatch(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            return {name: value[::-1].copy() for name, value in super().infer(batch).items()}


class CutsALongBatch(Correct):
    class Model(Correct.Model):
        def __init__(self, inner, selector):
            super().__init__(inner, selector)
            self.capabilities = replace(inner.capabilities, max_batch=8)

        def infer(self, batch):
            return super().infer({name: value[:8] for name, value in batch.items()})


class PadsAStaticBatch(Correct):
    class Model(Correct.Model):
        def __init__(self, inner, selector):
            super().__init__(inner, selector)
            self.capabilities = replace(inner.capabilities, static_batch=4)


class ClosesOnce(Correct):
    class Model(Correct.Model):
        def close(self):
            if self.closed:
                raise InferenceError("the handle is not valid")
            super().close()


class EntersAnotherModel(Correct):
    class Model(Correct.Model):
        def __enter__(self):
            return self.inner


class LeaksAThread(Correct):
    def compile(self, artifact, device, options):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().compile(artifact, device, options)


class LeaksAFile(Correct):
    def compile(self, artifact, device, options):
        os.open(os.devnull, os.O_RDONLY)
        return super().compile(artifact, device, options)


class HasRoomForOneModel(Correct):
    loaded = None

    def compile(self, artifact, device, options):
        if self.loaded is not None:
            self.loaded.close()
        self.loaded = super().compile(artifact, device, options)
        return self.loaded


class ReusesItsBuffers(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            outputs = super().infer(batch)
            self.buffers = {
                name: buffer if (buffer := getattr(self, "buffers", outputs)[name]).shape == value.shape else value
                for name, value in outputs.items()
            }
            for name, value in outputs.items():
                self.buffers[name][...] = value
            return self.buffers


class WritesItsInputs(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            outputs = super().infer(batch)
            for value in batch.values():
                if value.flags.writeable:
                    value[...] = 0
            return outputs


class NeedsWriteableInputs(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            if not all(value.flags.writeable for value in batch.values()):
                raise InferenceError("the buffer is read-only")
            return super().infer(batch)


class NeedsContiguousInputs(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            if not all(value.flags.c_contiguous for value in batch.values()):
                raise InferenceError("the buffer is not contiguous")
            return super().infer(batch)
