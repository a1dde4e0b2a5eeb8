"""The whole kit in one class, and the guard of its core: a check that is overridden is a check that fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from uadx.testing.batching import Batching
from uadx.testing.concurrency import Concurrency
from uadx.testing.errors import Errors
from uadx.testing.hygiene import Hygiene
from uadx.testing.kit import Kit
from uadx.testing.lifecycle import Lifecycle
from uadx.testing.listing import Listing
from uadx.testing.numerics import Numerics
from uadx.testing.placement import Placement

GROUPS: tuple[type[Kit], ...] = (Hygiene, Listing, Errors, Placement, Numerics, Batching, Lifecycle, Concurrency)
HOOKS = frozenset({"device", "devices_file", "options", "tolerance", "patience", "open_backend"})


class BackendConformance(Hygiene, Listing, Errors, Placement, Numerics, Batching, Lifecycle, Concurrency):
    """Subclass it, set `device`, and let pytest collect the subclass. The hooks are those of Kit.

    A check is a method `test_*`: AssertionError where the backend fails it, unittest.SkipTest with the reason where
    the device's Capabilities say that it does not apply. There is no other way to leave a check out.
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in _changed(cls):
            for check in [name] if name.startswith("test_") else _CHECKS:
                setattr(cls, check, _refused(cls, name))

    def test_the_kit_is_whole(self) -> None:
        """No check of the kit was replaced or taken out."""
        if changed := _changed(type(self)):
            raise AssertionError(_tampered(type(self), changed))


def _changed(cls: type) -> list[str]:
    """What of the kit a class does not have as it is."""
    return [name for name in _CORE if inspect.getattr_static(cls, name, None) is not _CORE[name]]


def _refused(cls: type, name: str) -> Callable[[Kit], None]:
    def refused(self: Kit) -> None:
        raise AssertionError(_tampered(cls, [name]))

    refused.__doc__ = f"{name} was overridden."
    return refused


def _tampered(cls: type, names: list[str]) -> str:
    return (
        f"expected: the kit's own {', '.join(names)}\ngot: what {cls.__name__} has in its place\n"
        f"fix: override {', '.join(sorted(HOOKS))} only, and let Capabilities say what the device cannot do"
    )


_CORE: dict[str, Any] = {
    name: inspect.getattr_static(BackendConformance, name)
    for name in dir(BackendConformance)
    if not name.startswith("__") and name not in HOOKS
}
_CHECKS = [name for name in _CORE if name.startswith("test_")]
