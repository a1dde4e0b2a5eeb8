"""From a device string to a backend and the devices it names there: candidates in order, reasons for each skipped.

A named backend is the only candidate; a kind has its list in devices.yaml and is never crossed; `auto` goes through
the kinds. What cannot be used here is passed over with its reason; anything else that goes wrong ends the search.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from uadx.api import Backend, BackendSpec, DeviceInfo, DeviceRef
from uadx.contract import misfit, plugin_code
from uadx.devices.grammar import Auto, BackendDevice, Device, KindDevice, parse
from uadx.devices.registry import load_devices
from uadx.devices.unusable import NoUsableDeviceError, Skipped
from uadx.errors import DeviceSyntaxError, PluginError, UadxWarning, UnavailableError
from uadx.plugins import Plugins

ENVIRONMENT = "UADX_DEVICE"

T = TypeVar("T")


@dataclass(frozen=True)
class Located:
    """A backend, its SDK loaded, and the devices that were asked for, in order."""

    name: str
    spec: BackendSpec
    backend: Backend
    refs: tuple[DeviceRef, ...]

    @property
    def ref(self) -> DeviceRef:
        """The first device."""
        return self.refs[0]


@dataclass(frozen=True)
class Candidate:
    """One backend to try, for devices of `kind` by their numbers, or for selectors of its own."""

    backend: str
    kind: str | None = None
    indices: tuple[int, ...] = (0,)
    selectors: tuple[str, ...] = ()


class Resolver:
    """One request, read against devices.yaml and the installed plugins. requested: the string that counts.

    device: a device string; None means UADX_DEVICE, else the default of devices.yaml. Raises DeviceSyntaxError, and
    ConfigError for devices.yaml.
    """

    def __init__(self, device: str | None, devices_file: Path | None = None) -> None:
        self.devices, self.plugins = load_devices(devices_file), Plugins()
        for name in set(self.devices.options) - {*self.plugins.names, *self.devices.backends}:
            file = self.devices.sources[-1]
            warnings.warn(f"{file}: options for {name!r}, a backend that is not installed", UadxWarning, stacklevel=2)
        self.requested, self.request = self._read(device)

    def first(self, use: Callable[[Located], T]) -> tuple[T, tuple[Skipped, ...]]:
        """What `use` makes of the first candidate that it can be used with, and those passed over before.

        Raises NoUsableDeviceError with a reason for each candidate, PluginError where a broken plugin was named, and
        whatever else `use` raises but UnavailableError.
        """
        skipped: list[Skipped] = []
        for candidate in self.candidates():
            try:
                return use(self.locate(candidate)), tuple(skipped)
            except (UnavailableError, PluginError) as error:
                if isinstance(error, PluginError):
                    if candidate.kind is None:
                        raise
                    warnings.warn(f"{error.message}; passed over for {self.requested}", UadxWarning, stacklevel=3)
                skipped.append(
                    Skipped(candidate.kind, candidate.backend, self.plugins.describe(candidate.backend), error)
                )
        raise NoUsableDeviceError(self.requested, skipped, instead=self._instead())

    def candidates(self, request: Device | None = None) -> Iterator[Candidate]:
        """The backends to try, best first."""
        match request or self.request:
            case BackendDevice(backend, selectors):
                yield Candidate(backend, selectors=selectors)
            case KindDevice(kind, indices):
                for backend in self.devices.kinds[kind].backends:
                    yield Candidate(backend, kind, indices or (0,))
            case Auto():
                for kind in self.devices.auto:
                    yield from self.candidates(KindDevice(kind))

    def locate(self, candidate: Candidate) -> Located:
        """The backend of a candidate, opened, and its devices. Raises UnavailableError, PluginError, ConfigError."""
        name = candidate.backend
        spec = self.plugins.spec(name)
        if candidate.kind is not None and (spec.simulated or candidate.kind not in spec.kinds):
            what = "a simulator, used by its own name only" if spec.simulated else f"not made for {candidate.kind}"
            raise UnavailableError(f"it is {what}", backend=name)
        backend = self.plugins.open(name, self.devices.options.get(name, {}))
        try:
            return Located(name, spec, backend, _refs(backend, candidate))
        except UnavailableError as error:
            error.hint = error.hint or self.plugins.explain(name, error)
            raise

    def _read(self, device: str | None) -> tuple[str, Device]:
        text, origin = device, ""
        if text is None and (text := os.environ.get(ENVIRONMENT) or None) is not None:
            origin = f"{ENVIRONMENT}: "
        if text is None:
            text, origin = self.devices.default, f"{self.devices.sources[-1]}: default: "
        try:
            return text, parse(text, self.devices.names, {*self.plugins.names, *self.devices.backends})
        except DeviceSyntaxError as error:
            raise DeviceSyntaxError(origin + error.message, hint=error.hint) from None

    def _instead(self) -> str | None:
        """Another device to name, where the default was not what failed."""
        default = self.devices.default
        asked = self.request.kind if isinstance(self.request, KindDevice) else None
        same = self.requested == default or default.partition(":")[0] == asked
        return None if isinstance(self.request, Auto) or same else default


def locate(device: str | None, devices_file: Path | None = None) -> Located:
    """The backend and the devices that a device string means on this machine, nothing compiled.

    Raises DeviceSyntaxError, ConfigError, PluginError, and UnavailableError with a reason for each candidate.
    """
    return Resolver(device, devices_file).first(lambda located: located)[0]


def listed(backend: Backend) -> Sequence[DeviceInfo]:
    """The devices of a backend. Raises UnavailableError where it fails to list them, PluginError where what it gives is
    no list of DeviceInfo."""
    name = backend.spec.name
    with plugin_code(UnavailableError, "it cannot list its devices", name, "listing its devices"):
        devices = list(backend.devices())
    seen = set()
    for device in devices:
        wrong = misfit(device) if isinstance(device, DeviceInfo) else f"{device!r} is no DeviceInfo"
        if not wrong and device.kind is not None and (device.kind, device.index) in seen:
            wrong = f"it lists {device.kind}:{device.index} twice"
        if wrong:
            raise PluginError(f"the backend {name!r} is broken: {wrong}", backend=name, stage="listing its devices")
        seen.add((device.kind, device.index))
    return devices


def _refs(backend: Backend, candidate: Candidate) -> tuple[DeviceRef, ...]:
    """The runtime's names of a kind's devices. Raises UnavailableError where the backend has no such device."""
    if candidate.kind is None:
        return tuple(DeviceRef(selector) for selector in candidate.selectors)
    of_kind = {device.index: device for device in listed(backend) if device.kind == candidate.kind}
    missing = [f"{candidate.kind}:{index}" for index in candidate.indices if index not in of_kind]
    usable = [device for device in of_kind.values() if not device.unusable]
    if missing and (usable or not of_kind):
        found = ", ".join(f"{device.kind}:{device.index} ({device.name})" for device in usable) or "none"
        raise UnavailableError(
            f"it sees no {' and no '.join(missing)}; it sees: {found}",
            backend=candidate.backend,
            hint=f"name one that it sees: `uadx devices {candidate.kind}` lists them" if usable else None,
        )
    chosen = [of_kind[index] for index in candidate.indices if index in of_kind] or list(of_kind.values())
    if bad := next((device for device in chosen if device.unusable), None):
        raise UnavailableError(
            f"its {bad.kind}:{bad.index} ({bad.name}) cannot be used",
            backend=candidate.backend,
            cause_text=bad.unusable,
        )
    return tuple(DeviceRef(device.selector, device.kind, device.index) for device in chosen)
