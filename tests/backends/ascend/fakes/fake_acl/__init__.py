"""A strict stand-in for CANN's pyACL: real memory behind its pointers, true results, and no mercy.

What the SDK would answer with a code is a code. What it would answer with garbage or a crash (a double free, memory
of another card, a pointer past its end, a model run by another context than its own) raises MisuseError, and is kept,
so that require_clean finds it where it was swallowed.
"""

from __future__ import annotations

from dataclasses import dataclass

from fake_acl.core import Core, Knobs, MisuseError
from fake_acl.models import Mdl
from fake_acl.runtime import Rt

__all__ = ["FakeAcl", "Knobs", "MisuseError"]


@dataclass
class FakeAcl:
    """What `import acl` would give. knobs: what the machine has, and what goes wrong with it."""

    knobs: Knobs

    def __post_init__(self) -> None:
        self.core = Core(self.knobs)
        self.rt = Rt(self.core)
        self.mdl = Mdl(self.core, self.rt)

    def init(self, /) -> int:
        core = self.core
        if self.knobs.init_code:
            return core.fail(self.knobs.init_code, "EE1001: the init failed")
        if core.initialised or self.knobs.initialised_by_another:
            core.initialised = True
            return core.fail(100002, "")
        core.initialised = core.owned = True
        return 0

    def finalize(self, /) -> int:
        if not self.core.owned:
            self.core.misuse("finalize by one who did not initialise")
        if not self.core.initialised:
            return self.core.fail(100037, "")
        self.core.initialised = False
        return 0

    def get_soc_name(self, /) -> str:
        self.core.require_initialised("acl.get_soc_name")
        return self.knobs.soc

    def get_recent_err_msg(self, /) -> str | None:
        return self.core.take_words()

    def create_data_buffer(self, pointer: int, size: int, /) -> int:
        self.core.require_ints("acl.create_data_buffer", pointer, size)
        self.rt.require_room(pointer, size, "acl.create_data_buffer")
        return self.core.make("buffer", (pointer, size))

    def destroy_data_buffer(self, buffer: int, /) -> int:
        self.core.drop("buffer", buffer)
        return 0

    def require_clean(self) -> None:
        """Nothing was misused and nothing is left: the state of the SDK after all models are closed."""
        left = {kind: len(things) for kind, things in self.core.things.items() if things}
        if self.core.misuses or left or any(self.rt.set_counts.values()):
            raise AssertionError(f"misuses {self.core.misuses}, left {left}, devices set {dict(self.rt.set_counts)}")
