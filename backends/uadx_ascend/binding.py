"""The pyACL calls, one method each: the value that a call gives, or SdkError with its code and CANN's own words.

Nothing is decided here but what the calls themselves demand: CANN is initialised once in a process, and ended by the
one who did that.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from uadx_ascend.errors import SdkError
from uadx_ascend.sdk import Acl

_REPEAT_INITIALIZE = 100002
_MALLOC_HUGE_FIRST = 0
_HOST_TO_DEVICE, _DEVICE_TO_HOST, _DEVICE_TO_DEVICE = 1, 2, 3
_RUNS_ON_HOST = 1
_DDR, _HBM = 0, 1
_NO_HANDLE = 200000
"""For the calls that return a bare handle, which is null where memory is short: ACL_ERROR_BAD_ALLOC."""


@dataclass(frozen=True)
class Port:
    """An input or output as the .om describes it. dims: -1 for the batch of a model with gears, as an input.

    size: bytes of the largest batch. data_type: aclDataType's number.
    """

    name: str
    dims: tuple[int, ...]
    size: int
    data_type: int


def load() -> Acl:
    """Import the SDK. Raises ImportError."""
    import acl

    return cast("Acl", acl)


class Binding:
    """The calls. A context and a model belong to the thread that made them; start() is for any."""

    def __init__(self, acl: Acl) -> None:
        self._acl = acl
        self._started = False
        self._starting = threading.Lock()

    def start(self) -> None:
        """Initialise CANN, once. Where another library has (torch_npu), ending it is left to that one."""
        with self._starting:
            if self._started:
                return
            code = self._acl.init()
            if code != _REPEAT_INITIALIZE:
                self._check("acl.init", code)
                atexit.register(self._acl.finalize)
            self._started = True

    def soc_name(self) -> str:
        """Such as "Ascend310P3"."""
        return self._acl.get_soc_name() or ""

    def device_count(self) -> int:
        return self._value("acl.rt.get_device_count", self._acl.rt.get_device_count())

    def set_device(self, index: int) -> None:
        self._check("acl.rt.set_device", self._acl.rt.set_device(index))

    def reset_device(self, index: int) -> None:
        """The SDK counts: a device is let go when each set_device has had its own."""
        self._check("acl.rt.reset_device", self._acl.rt.reset_device(index))

    def current_device(self) -> int:
        return self._value("acl.rt.get_device", self._acl.rt.get_device())

    def create_context(self, index: int) -> int:
        """It becomes the calling thread's."""
        return self._value("acl.rt.create_context", self._acl.rt.create_context(index))

    def destroy_context(self, context: int) -> None:
        self._check("acl.rt.destroy_context", self._acl.rt.destroy_context(context))

    def runs_on_host(self) -> bool:
        """False on boards whose own processor runs this program: its memory is the device's."""
        return self._value("acl.rt.get_run_mode", self._acl.rt.get_run_mode()) == _RUNS_ON_HOST

    def malloc(self, size: int) -> int:
        return self._value("acl.rt.malloc", self._acl.rt.malloc(size, _MALLOC_HUGE_FIRST))

    def free(self, pointer: int) -> None:
        self._check("acl.rt.free", self._acl.rt.free(pointer))

    def copy_there(self, device: int, room: int, host: int, size: int, *, on_host: bool) -> None:
        kind = _HOST_TO_DEVICE if on_host else _DEVICE_TO_DEVICE
        self._check("acl.rt.memcpy", self._acl.rt.memcpy(device, room, host, size, kind))

    def copy_back(self, host: int, room: int, device: int, size: int, *, on_host: bool) -> None:
        kind = _DEVICE_TO_HOST if on_host else _DEVICE_TO_DEVICE
        self._check("acl.rt.memcpy", self._acl.rt.memcpy(host, room, device, size, kind))

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the context's device. The inference cards have no HBM, and say 0 of it."""
        for kind in (_HBM, _DDR):
            free, total, code = self._acl.rt.get_mem_info(kind)
            if code == 0 and total > 0:
                break
        self._check("acl.rt.get_mem_info", code)
        return free, total

    def load_model(self, path: str) -> int:
        return self._value("acl.mdl.load_from_file", self._acl.mdl.load_from_file(path))

    def unload_model(self, model: int) -> None:
        self._check("acl.mdl.unload", self._acl.mdl.unload(model))

    def create_desc(self) -> int:
        return self._handle("acl.mdl.create_desc", self._acl.mdl.create_desc())

    def fill_desc(self, desc: int, model: int) -> None:
        self._check("acl.mdl.get_desc", self._acl.mdl.get_desc(desc, model))

    def destroy_desc(self, desc: int) -> None:
        self._check("acl.mdl.destroy_desc", self._acl.mdl.destroy_desc(desc))

    def ports(self, desc: int, side: Literal["input", "output"]) -> list[Port]:
        """All inputs, the hidden one of gears among them, or all outputs."""
        mdl = self._acl.mdl
        if side == "input":
            count, name, size = mdl.get_num_inputs, mdl.get_input_name_by_index, mdl.get_input_size_by_index
            dims, data_type = mdl.get_input_dims, mdl.get_input_data_type
        else:
            count, name, size = mdl.get_num_outputs, mdl.get_output_name_by_index, mdl.get_output_size_by_index
            dims, data_type = mdl.get_output_dims, mdl.get_output_data_type
        found = []
        for index in range(count(desc)):
            described, code = dims(desc, index)
            self._check(f"acl.mdl.get_{side}_dims", code)
            port = Port(name(desc, index), _dims(described), size(desc, index), data_type(desc, index))
            found.append(port)
        return found

    def current_output_dims(self, desc: int, index: int) -> tuple[int, ...]:
        """Of the gear that was set; get_output_dims gives those of the largest."""
        described, code = self._acl.mdl.get_cur_output_dims(desc, index)
        self._check("acl.mdl.get_cur_output_dims", code)
        return _dims(described)

    def gears(self, desc: int) -> list[int]:
        """The batch sizes that the model was converted for; empty for one of a fixed batch."""
        described, code = self._acl.mdl.get_dynamic_batch(desc)
        self._check("acl.mdl.get_dynamic_batch", code)
        return sorted(described["batch"][: described["batchCount"]])

    def input_index(self, desc: int, name: str) -> int:
        return self._value("acl.mdl.get_input_index_by_name", self._acl.mdl.get_input_index_by_name(desc, name))

    def set_batch(self, model: int, inputs: int, index: int, batch: int) -> None:
        code = self._acl.mdl.set_dynamic_batch_size(model, inputs, index, batch)
        self._check("acl.mdl.set_dynamic_batch_size", code)

    def create_dataset(self) -> int:
        return self._handle("acl.mdl.create_dataset", self._acl.mdl.create_dataset())

    def destroy_dataset(self, dataset: int) -> None:
        self._check("acl.mdl.destroy_dataset", self._acl.mdl.destroy_dataset(dataset))

    def create_buffer(self, pointer: int, size: int) -> int:
        return self._handle("acl.create_data_buffer", self._acl.create_data_buffer(pointer, size))

    def destroy_buffer(self, buffer: int) -> None:
        self._check("acl.destroy_data_buffer", self._acl.destroy_data_buffer(buffer))

    def add_buffer(self, dataset: int, buffer: int) -> None:
        self._value("acl.mdl.add_dataset_buffer", self._acl.mdl.add_dataset_buffer(dataset, buffer))

    def execute(self, model: int, inputs: int, outputs: int) -> None:
        self._check("acl.mdl.execute", self._acl.mdl.execute(model, inputs, outputs))

    def _check(self, call: str, code: int) -> None:
        if code != 0:  # the words are the calling thread's, and reading them clears them
            raise SdkError(code, call, self._acl.get_recent_err_msg() or "")

    def _value(self, call: str, answer: tuple[int, int]) -> int:
        value, code = answer
        self._check(call, code)
        return value

    def _handle(self, call: str, handle: int) -> int:
        if not handle:
            raise SdkError(_NO_HANDLE, call, self._acl.get_recent_err_msg() or "")
        return handle


def _dims(described: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(described["dims"][: described["dimCount"]])
