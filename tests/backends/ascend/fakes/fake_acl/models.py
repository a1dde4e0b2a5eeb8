"""acl.mdl: models that belong to a context, data sets of buffers, gears set through the hidden input."""

from __future__ import annotations

import ctypes
import math
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fake_acl.core import Core
from fake_acl.om import Head, run, unpack
from fake_acl.runtime import LOST, NO_CONTEXT, Rt

HIDDEN = "ascend_mbatch_shape_data"
NUMPY = {0: np.float32, 1: np.float16, 3: np.int32, 4: np.uint8, 9: np.int64}


@dataclass
class Model:
    head: Head
    onnx: bytes
    context: int
    running: threading.Lock = field(default_factory=threading.Lock)

    @property
    def has_gears(self) -> bool:
        return len(self.head.gears) > 1

    @property
    def inputs(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """Names, types and dims, -1 for the batch of a model with gears, whose hidden input is the last."""
        batch = -1 if self.has_gears else self.head.gears[0]
        found = [(name, kind, (batch, *shape)) for name, (kind, shape) in self.head.inputs.items()]
        return [*found, (HIDDEN, 9, (1,))] if self.has_gears else found

    @property
    def outputs(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """Of the largest gear; called node:edge:name."""
        largest = max(self.head.gears)
        return [
            (f"PartitionedCall_Node_{at}:{at}:{name}", kind, (largest, *shape))
            for at, (name, (kind, shape)) in enumerate(self.head.outputs.items())
        ]

    def size(self, port: tuple[str, int, tuple[int, ...]]) -> int:
        _, kind, dims = port
        return math.prod(max(self.head.gears) if length == -1 else length for length in dims) * NUMPY[kind]().itemsize


@dataclass
class Desc:
    model: Model | None = None
    gear: int | None = None


class Mdl:
    def __init__(self, core: Core, rt: Rt) -> None:
        self.core, self._rt = core, rt

    def load_from_file(self, path: str, /) -> tuple[int, int]:
        if type(path) is not str:
            self.core.misuse(f"load_from_file takes text, it was given {path!r}")
        if self.core.context is None:
            return 0, self.core.fail(NO_CONTEXT, "no context in this thread")
        try:
            head, onnx = unpack(Path(path).read_bytes())
        except OSError as error:
            return 0, self.core.fail(145002, f"EE4001: {error}")
        except ValueError as error:
            return 0, self.core.fail(100003, f"EE4002: {error}")
        if head.soc != self.core.knobs.soc:
            return 0, self.core.fail(500002, f"EE4003: the model is for {head.soc}, not for {self.core.knobs.soc}")
        return self.core.make("model", Model(head, onnx, self.core.context)), 0

    def unload(self, model: int, /) -> int:
        self._own(model)
        if any(desc.model is self.core.get("model", model) for desc in self.core.things["desc"].values()):
            self.core.misuse("unload before destroy_desc")
        self.core.drop("model", model)
        return self._answer()

    def create_desc(self, /) -> int:
        return self.core.make("desc", Desc())

    def get_desc(self, desc: int, model: int, /) -> int:
        self.core.get("desc", desc).model = self._own(model)
        return 0

    def destroy_desc(self, desc: int, /) -> int:
        self.core.drop("desc", desc)
        return self._answer()

    def get_num_inputs(self, desc: int, /) -> int:
        return len(self._model(desc).inputs)

    def get_num_outputs(self, desc: int, /) -> int:
        return len(self._model(desc).outputs)

    def get_input_name_by_index(self, desc: int, index: int, /) -> str:
        return self._model(desc).inputs[index][0]

    def get_output_name_by_index(self, desc: int, index: int, /) -> str:
        return self._model(desc).outputs[index][0]

    def get_input_size_by_index(self, desc: int, index: int, /) -> int:
        model = self._model(desc)
        return model.size(model.inputs[index])

    def get_output_size_by_index(self, desc: int, index: int, /) -> int:
        model = self._model(desc)
        return model.size(model.outputs[index])

    def get_input_dims(self, desc: int, index: int, /) -> tuple[dict[str, Any], int]:
        return _dims(*self._model(desc).inputs[index]), 0

    def get_output_dims(self, desc: int, index: int, /) -> tuple[dict[str, Any], int]:
        return _dims(*self._model(desc).outputs[index]), 0

    def get_cur_output_dims(self, desc: int, index: int, /) -> tuple[dict[str, Any], int]:
        name, kind, dims = self._model(desc).outputs[index]
        gear = self.core.get("desc", desc).gear
        if self._model(desc).has_gears and gear is None:
            self.core.misuse("get_cur_output_dims before set_dynamic_batch_size")
        return _dims(name, kind, (gear or dims[0], *dims[1:])), 0

    def get_input_data_type(self, desc: int, index: int, /) -> int:
        return self._model(desc).inputs[index][1]

    def get_output_data_type(self, desc: int, index: int, /) -> int:
        return self._model(desc).outputs[index][1]

    def get_input_index_by_name(self, desc: int, name: str, /) -> tuple[int, int]:
        names = [port[0] for port in self._model(desc).inputs]
        return (names.index(name), 0) if name in names else (0, self.core.fail(100000, f"no input {name}"))

    def get_dynamic_batch(self, desc: int, /) -> tuple[dict[str, Any], int]:
        gears = list(self._model(desc).head.gears) if self._model(desc).has_gears else []
        return {"batchCount": len(gears), "batch": gears[::-1]}, 0

    def set_dynamic_batch_size(self, model: int, dataset: int, index: int, batch: int, /) -> int:
        self.core.require_ints("acl.mdl.set_dynamic_batch_size", index, batch)
        owner = self._own(model)
        if not owner.has_gears or owner.inputs[index][0] != HIDDEN:
            self.core.misuse(f"set_dynamic_batch_size on input {index}, which is not {HIDDEN}")
        if batch not in owner.head.gears:
            return self.core.fail(145013, f"EE4010: {batch} is not one of the batch sizes {owner.head.gears}")
        pointer, _ = self._buffers(dataset)[index]
        ctypes.c_int64.from_address(pointer).value = batch
        for desc in self.core.things["desc"].values():
            if desc.model is owner:
                desc.gear = batch
        return 0

    def create_dataset(self, /) -> int:
        return self.core.make("dataset", [])

    def destroy_dataset(self, dataset: int, /) -> int:
        if any(buffer in self.core.things["buffer"] for buffer in self.core.get("dataset", dataset)):
            self.core.misuse("destroy_dataset before its data buffers")
        self.core.drop("dataset", dataset)
        return 0

    def add_dataset_buffer(self, dataset: int, buffer: int, /) -> tuple[int, int]:
        self.core.get("buffer", buffer)
        self.core.get("dataset", dataset).append(buffer)
        return dataset, 0

    def execute(self, model: int, inputs: int, outputs: int, /) -> int:
        owner = self._own(model)
        if code := LOST if self.core.knobs.lost else self.core.knobs.execute_code:
            return self.core.fail(code, "EZ9999: the model was not executed to its end")
        if not owner.running.acquire(blocking=False):
            self.core.misuse("execute of a model that another thread is executing")
        try:
            return self._execute(owner, self._buffers(inputs), self._buffers(outputs))
        finally:
            owner.running.release()

    def _execute(self, model: Model, there: list[tuple[int, int]], back: list[tuple[int, int]]) -> int:
        for buffers, ports, code in ((there, model.inputs, 100017), (back, model.outputs, 100018)):
            if len(buffers) != len(ports) or any(
                size < model.size(port) for (_, size), port in zip(buffers, ports, strict=True)
            ):
                return self.core.fail(code, "EE4020: the data set does not fit the model")
        gear = model.head.gears[0]
        if model.has_gears:
            gear = ctypes.c_int64.from_address(there[-1][0]).value
            if gear not in model.head.gears:
                return self.core.fail(145013, "EE4010: no batch size was set")
        batch = {}
        for (pointer, _), (name, kind, dims) in zip(there, model.inputs, strict=True):
            if name != HIDDEN:
                batch[name] = _view(pointer, kind, (gear, *dims[1:])).copy()
        answers = run(model.onnx, batch)
        for (pointer, _), (name, kind, dims) in zip(back, model.outputs, strict=True):
            _view(pointer, kind, (gear, *dims[1:]))[...] = answers[name.rpartition(":")[2]]
        return 0

    def _own(self, model: int) -> Model:
        found: Model = self.core.get("model", model)
        if self.core.context != found.context:
            self.core.misuse("a model is used in another context than the one it was loaded in")
        return found

    def _model(self, desc: int) -> Model:
        found: Desc = self.core.get("desc", desc)
        if found.model is None:
            self.core.misuse("a description is read before get_desc")
        if found.model not in self.core.things["model"].values():
            self.core.misuse("the description of a model that was unloaded")
        return found.model

    def _buffers(self, dataset: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = [self.core.get("buffer", each) for each in self.core.get("dataset", dataset)]
        for pointer, size in found:
            self._rt.require_room(pointer, size, "acl.mdl.execute")
        return found

    def _answer(self) -> int:
        return self.core.fail(LOST, "EL9999: the heartbeat is lost") if self.core.knobs.lost else 0


def _dims(name: str, kind: int, dims: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "dimCount": len(dims), "dims": list(dims)}


def _view(pointer: int, kind: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    size = math.prod(shape) * NUMPY[kind]().itemsize
    return np.frombuffer((ctypes.c_ubyte * size).from_address(pointer), NUMPY[kind]).reshape(shape)
