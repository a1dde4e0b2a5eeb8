"""acl.rt: devices that are counted, contexts that belong to threads, memory with ends."""

from __future__ import annotations

import ctypes
from collections import Counter

from fake_acl.core import Core

OOM, INVALID_DEVICE, NO_CONTEXT, LOST = 207001, 107001, 107002, 507010
POISON = 0xA5


class Rt:
    def __init__(self, core: Core) -> None:
        self.core = core
        self.set_counts: Counter[int] = Counter()
        self.bytes_back = 0

    def get_device_count(self, /) -> tuple[int, int]:
        self.core.require_initialised("acl.rt.get_device_count")
        if code := self.core.knobs.count_code:
            return 0, self.core.fail(code, "EL0003: no device")
        return self.core.knobs.devices, 0

    def set_device(self, device: int, /) -> int:
        self.core.require_initialised("acl.rt.set_device")
        self.core.require_ints("acl.rt.set_device", device)
        if code := self.core.knobs.set_device_code:
            return self.core.fail(code, "EL0005: the resources of the device are not ready")
        if device >= self.core.knobs.devices:
            return self.core.fail(
                INVALID_DEVICE, f"EL0001: device {device}, valid range [0, {self.core.knobs.devices})"
            )
        with self.core.lock:
            self.set_counts[device] += 1
        return 0

    def reset_device(self, device: int, /) -> int:
        with self.core.lock:
            if not self.set_counts[device]:
                self.core.misuse(f"reset_device({device}) without set_device")
            self.set_counts[device] -= 1
            if not self.set_counts[device] and device in self.core.things["context"].values():
                self.core.misuse(f"reset_device({device}) while it has a context")
        return self._answer()

    def get_device(self, /) -> tuple[int, int]:
        if self.core.context is None:
            return 0, self.core.fail(NO_CONTEXT, "no context in this thread")
        return self.core.get("context", self.core.context), 0

    def get_run_mode(self, /) -> tuple[int, int]:
        self.core.require_initialised("acl.rt.get_run_mode")
        return int(self.core.knobs.on_host), 0

    def create_context(self, device: int, /) -> tuple[int, int]:
        if not self.set_counts[device]:
            self.core.misuse(f"create_context({device}) before set_device({device})")
        self.core.context = self.core.make("context", device)
        return self.core.context, 0

    def destroy_context(self, context: int, /) -> int:
        self.core.drop("context", context)
        for kind in ("memory", "model"):
            if any(thing.context == context for thing in self.core.things[kind].values()):
                self.core.misuse(f"destroy_context before its {kind} was released")
        if self.core.context == context:
            self.core.context = None
        return self._answer()

    def malloc(self, size: int, policy: int, /) -> tuple[int, int]:
        self.core.require_ints("acl.rt.malloc", size, policy)
        if policy not in (0, 1, 2) or size == 0:
            self.core.misuse(f"malloc({size}, {policy})")
        if (context := self.core.context) is None:
            return 0, self.core.fail(NO_CONTEXT, "no context in this thread")
        device = self.core.get("context", context)
        if size > self._free(device):
            return 0, self.core.fail(OOM, f"EL0004: cannot allocate {size} bytes on device {device}")
        memory = Memory(size, context, device)
        with self.core.lock:
            self.core.things["memory"][memory.address] = memory
        return memory.address, 0

    def free(self, pointer: int, /) -> int:
        self.core.drop("memory", pointer)
        if any(pointer == thing[0] for thing in self.core.things["buffer"].values()):
            self.core.misuse("free of memory that a data buffer still names")
        return self._answer()

    def memcpy(self, to: int, room: int, source: int, size: int, kind: int, /) -> int:
        self.core.require_ints("acl.rt.memcpy", to, room, source, size, kind)
        if self.core.context is None:
            return self.core.fail(NO_CONTEXT, "no context in this thread")
        if self.core.knobs.lost:
            return self.core.fail(LOST, "EL9999: the heartbeat of the device is lost")
        if size > room:
            return self.core.fail(107000, f"the count {size} is more than the room {room}")
        to_device, from_device = self._is_device(to), self._is_device(source)
        wanted = {(True, False): 1, (False, True): 2, (True, True): 3}.get((to_device, from_device), 0)
        if kind != (wanted if self.core.knobs.on_host else 3):
            self.core.misuse(f"memcpy of kind {kind}, it should be {wanted}")
        if to_device:
            self.require_room(to, room, "acl.rt.memcpy")
        if from_device:
            self.require_room(source, size, "acl.rt.memcpy")
            self.bytes_back += size
        ctypes.memmove(to, source, size)
        return 0

    def get_mem_info(self, kind: int, /) -> tuple[int, int, int]:
        if self.core.context is None:
            return 0, 0, self.core.fail(NO_CONTEXT, "no context in this thread")
        if (kind == 1) != self.core.knobs.has_hbm:
            return 0, 0, 0
        return self._free(self.core.get("context", self.core.context)), self.core.knobs.memory, 0

    def require_room(self, pointer: int, size: int, call: str) -> None:
        """`size` bytes of device memory, of the calling thread's device, from `pointer` on."""
        memory = self._memory_at(pointer)
        if memory is None or pointer + size > memory.address + memory.size:
            self.core.misuse(f"{call}: {size} bytes at {pointer:#x} are not all device memory")
        if self.core.context is not None and memory.device != self.core.get("context", self.core.context):
            self.core.misuse(f"{call}: memory of another device")

    def _free(self, device: int) -> int:
        used = [memory.size for memory in self.core.things["memory"].values() if memory.device == device]
        return self.core.knobs.memory - sum(used)

    def _is_device(self, pointer: int) -> bool:
        return self._memory_at(pointer) is not None

    def _memory_at(self, pointer: int) -> Memory | None:
        with self.core.lock:
            found = list(self.core.things["memory"].values())
        return next((each for each in found if each.address <= pointer < each.address + each.size), None)

    def _answer(self) -> int:
        return self.core.fail(LOST, "EL9999: the heartbeat of the device is lost") if self.core.knobs.lost else 0


class Memory:
    """Device memory, filled with rubbish as the real one."""

    def __init__(self, size: int, context: int, device: int) -> None:
        self.size, self.context, self.device = size, context, device
        self._bytes = (ctypes.c_ubyte * size)()
        self.address = ctypes.addressof(self._bytes)
        ctypes.memset(self.address, POISON, size)
