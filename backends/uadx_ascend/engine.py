"""One .om on one device: what it owns there, how a batch goes in and out, and everything released in reverse order.

An engine belongs to the thread that made it, because its context does
(https://www.hiascend.com/document/detail/en/canncommercial/850/appdevg/acldevg/aclcppdevg_000009.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from uadx.api import TensorSpec
from uadx_ascend.binding import Binding, Port

if TYPE_CHECKING:
    from uadx.api import Array

_GEAR_INPUT = "ascend_mbatch_shape_data"
"""The input that atc adds to a model with gears, and set_dynamic_batch_size fills."""

_DTYPES = {0: "float32", 1: "float16", 2: "int8", 3: "int32", 4: "uint8", 6: "int16", 7: "uint16"}
_DTYPES |= {8: "uint32", 9: "int64", 10: "uint64", 11: "float64", 12: "bool"}


class Engine:
    """batches: the batch sizes that the model takes, ascending; fixed: whether it is one that is no gear.

    device: the index of the device, read back from the runtime. Raises SdkError, and ValueError for a model that is
    valid and none of ours; what was taken until then is released.
    """

    def __init__(self, sdk: Binding, index: int, om: Path) -> None:
        self._sdk = sdk
        with ExitStack() as release:
            sdk.set_device(index)
            release.callback(sdk.reset_device, index)
            release.callback(sdk.destroy_context, sdk.create_context(index))
            self.device = sdk.current_device()
            self._on_host = sdk.runs_on_host()
            self._model = sdk.load_model(str(om))
            release.callback(sdk.unload_model, self._model)
            self._desc = sdk.create_desc()
            release.callback(sdk.destroy_desc, self._desc)
            sdk.fill_desc(self._desc, self._model)
            gears = sdk.gears(self._desc)
            inputs, outputs = sdk.ports(self._desc, "input"), sdk.ports(self._desc, "output")
            self._gear_index = sdk.input_index(self._desc, _GEAR_INPUT) if gears else None
            self._inputs, self._there = self._dataset(inputs, release)
            self._outputs, self._back = self._dataset(outputs, release)
            self._own = [at for at in range(len(inputs)) if at != self._gear_index]
            self.fixed = not gears
            self.batches = gears or [_fixed_batch(inputs)]
            self.inputs = tuple(_spec(inputs[at], "input", gears) for at in self._own)
            self.outputs = tuple(_spec(port, "output", gears) for port in outputs)
            self._sizes = [port.size for port in inputs]
            self._types = [_dtype(port) for port in outputs]
            self._dims = [port.dims for port in outputs]
            self._release = release.pop_all()

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """A batch of a size that the model takes, or smaller: then it is padded to the next with zeros."""
        count = len(next(iter(batch.values())))
        size = next(size for size in self.batches if size >= count)
        for at, spec in zip(self._own, self.inputs, strict=True):
            array = _padded(batch[spec.name], size)
            there, room = self._there[at], self._sizes[at]
            self._sdk.copy_there(there, room, array.ctypes.data, array.nbytes, on_host=self._on_host)
        if self._gear_index is not None:
            self._sdk.set_batch(self._model, self._inputs, self._gear_index, size)
        self._sdk.execute(self._model, self._inputs, self._outputs)
        return {spec.name: self._output(at)[:count].astype(spec.dtype) for at, spec in enumerate(self.outputs)}

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the device."""
        return self._sdk.memory()

    def close(self) -> None:
        """Release everything, whatever fails meanwhile; the first failure of the SDK is raised afterwards."""
        self._release.close()

    def _output(self, at: int) -> Array:
        dims = self._dims[at] if self.fixed else self._sdk.current_output_dims(self._desc, at)
        host = np.empty(dims, self._types[at])
        self._sdk.copy_back(host.ctypes.data, host.nbytes, self._back[at], host.nbytes, on_host=self._on_host)
        return host

    def _dataset(self, ports: Sequence[Port], release: ExitStack) -> tuple[int, list[int]]:
        """A data set with device memory for each port: its handle, and where the memory lies."""
        sdk, pointers = self._sdk, []
        dataset = sdk.create_dataset()
        release.callback(sdk.destroy_dataset, dataset)
        for port in ports:
            pointers.append(sdk.malloc(port.size))
            release.callback(sdk.free, pointers[-1])
            buffer = sdk.create_buffer(pointers[-1], port.size)
            release.callback(sdk.destroy_buffer, buffer)
            sdk.add_buffer(dataset, buffer)
        return dataset, pointers


def _padded(array: Array, size: int) -> Array:
    """In one piece, because the SDK takes a pointer."""
    if len(array) == size:
        return np.ascontiguousarray(array)
    padded = np.zeros((size, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    return padded


def _fixed_batch(inputs: Sequence[Port]) -> int:
    batches = {port.dims[0] for port in inputs if port.dims}
    if len(batches) != 1 or min(batches) < 1:
        raise ValueError(f"the inputs {[port.dims for port in inputs]} have no batch size in common")
    return batches.pop()


def _spec(port: Port, side: Literal["input", "output"], gears: Sequence[int]) -> TensorSpec:
    """Outputs are called `node:0:name` in the .om; a half precision output is given as float32."""
    name = port.name.rpartition(":")[2] if side == "output" else port.name
    dtype = _dtype(port)
    shape = (-1, *port.dims[1:]) if gears else port.dims
    return TensorSpec(name, shape, "float32" if side == "output" and dtype == "float16" else dtype)


def _dtype(port: Port) -> str:
    if port.data_type not in _DTYPES:
        raise ValueError(f"{port.name} is of aclDataType {port.data_type}, which NumPy does not have")
    return _DTYPES[port.data_type]
