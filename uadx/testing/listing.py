"""What the backend says is there, and what it costs to ask."""

from __future__ import annotations

import os
from typing import get_args
from unittest import SkipTest

from uadx.api import DeviceInfo, Precision
from uadx.contract import misfit
from uadx.testing.expect import require
from uadx.testing.fresh import Hanging, run_fresh
from uadx.testing.kit import Kit

PRECISIONS = frozenset(get_args(Precision)) - {"auto"}
_LIST = """
from uadx.plugins import Plugins
backend = Plugins().open(*arguments)
print(json.dumps([device.selector for device in backend.devices()]))
"""


class Listing(Kit):
    def test_devices_are_described(self) -> None:
        """devices() gives DeviceInfo, each with its own selector, a kind of the spec and known precisions."""
        devices = self.subject.backend.devices()
        for device in devices:
            require(
                isinstance(device, DeviceInfo),
                "devices() gives uadx.api.DeviceInfo",
                repr(device),
                "make one DeviceInfo for each device",
            )
            wrong = misfit(device)
            require(wrong is None, "every field of DeviceInfo has its type", wrong, "memory is bytes, index an int")
            require(
                device.kind in (None, *self.subject.spec.kinds),
                f"the kind of {device.selector} is None or one of BackendSpec.kinds: {self.subject.spec.kinds}",
                device.kind,
                "a kind is a key of devices.yaml; None for a device that is reached by its selector only",
            )
            require(
                PRECISIONS.issuperset(device.precisions),
                f"the precisions of {device.selector} are some of {', '.join(sorted(PRECISIONS))}",
                device.precisions,
                "list what the device computes in, or nothing where that is not known before a model is compiled",
            )
        selectors = [device.selector for device in devices]
        require(
            len(set(selectors)) == len(selectors),
            "every device has a selector of its own",
            selectors,
            "the selector alone must tell the devices apart, such as 0 and 1",
        )

    def test_the_device_is_listed(self) -> None:
        """The device under test is among devices()."""
        require(
            self.subject.info is not None,
            f"devices() holds {self.subject.ref.selector!r}",
            [device.selector for device in self.subject.backend.devices()],
            "list each device under the selector that compile takes",
        )

    def test_listing_twice_is_the_same(self) -> None:
        """devices() gives the same devices in the same order each time."""
        first, second = (list(self.subject.backend.devices()) for _ in range(2))
        require(first == second, f"the same again: {first}", second, "describe devices by what does not change")

    def test_listing_leaves_the_environment_alone(self) -> None:
        """devices() sets, changes and removes no environment variable."""
        before = dict(os.environ)
        self.subject.backend.devices()
        after = dict(os.environ)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        require(not changed, "os.environ as before", f"changed: {changed}", "visible-devices variables are the user's")

    def test_listing_lets_the_process_end(self) -> None:
        """A fresh process that lists the devices and does nothing else comes to its end."""
        if self.subject.stand_in:
            raise SkipTest("open_backend is overridden: a fresh process would not have the same backend")
        arguments = (self.subject.spec.name, dict(self.subject.backend.options))
        try:
            listed, _ = run_fresh(_LIST, *arguments, timeout=self.patience)
        except Hanging as error:
            listed = error
        require(
            listed == [device.selector for device in self.subject.backend.devices()],
            "a fresh process lists the same devices and ends",
            listed,
            "create no context and start no thread in devices(); read what the driver says without one",
        )

    def test_versions_are_text(self) -> None:
        """versions() maps names to version numbers, both text."""
        versions = self.subject.backend.versions()
        wrong = {name: value for name, value in versions.items() if not (isinstance(name, str) and type(value) is str)}
        require(not wrong, "versions() gives text by name", wrong, "turn each version into text: str(version)")
