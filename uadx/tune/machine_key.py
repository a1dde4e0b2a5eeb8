"""What a choice depends on beside itself: machine, drivers, installed packages, bundle and request."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import distributions
from typing import Any

import msgspec

from uadx import __version__
from uadx.bundle.reader import Bundle
from uadx.cores import usable_cores
from uadx.devices.grammar import KindDevice
from uadx.devices.resolve import Resolver
from uadx.machine import Machine
from uadx.pipeline.config import PipelineConfig

_PCI = "/sys/bus/pci/devices"
_ACCELERATORS = ("0x03", "0x12")
"""PCI base classes: display controllers and processing accelerators (pci-ids.ucw.cz, class codes)."""


def circumstances(
    bundle: Bundle, config: PipelineConfig, resolver: Resolver, machine: Machine | None = None
) -> dict[str, Any]:
    """All of it in JSON values, found without importing any SDK."""
    request = resolver.request
    if isinstance(request, KindDevice):
        request = KindDevice(request.kind, request.indices or (0,))
    backends = sorted({candidate.backend for candidate in resolver.candidates()})
    installed = [name for name in backends if name in resolver.plugins.names]
    specs = {name: resolver.plugins.load(name).spec for name in installed}
    variables = {name for spec in specs.values() if spec is not None for name in spec.visible_env}
    modules = {name for spec in specs.values() if spec is not None for name in spec.sdk_modules}
    devices = resolver.devices
    return {
        "uadx": __version__,
        "bundle": bundle.sha256,
        "asked": {
            "device": str(request),
            "precision": config.precision,
            "batch_size": config.batch_size,
            "hint": config.hint,
        },
        "devices_file": {
            "kinds": {name: msgspec.to_builtins(devices.kinds[name]) for name in sorted(devices.kinds)},
            "auto": list(devices.auto),
            "options": json.loads(json.dumps(devices.options, default=str, sort_keys=True)),
        },
        "machine": _machine(machine or Machine()),
        "backends": {name: resolver.plugins.describe(name) for name in installed},
        "packages": _packages(modules),
        "variables": {name: os.environ.get(name) for name in sorted({*variables, "OMP_NUM_THREADS"})},
    }


def key(circumstances: Mapping[str, Any]) -> str:
    """sha256 over them, in hexadecimal."""
    return hashlib.sha256(json.dumps(circumstances, sort_keys=True).encode()).hexdigest()


def _machine(machine: Machine) -> dict[str, Any]:
    """The processor and what this process may use of it; the accelerators and their drivers."""
    name = re.search(r"^model name\s*:\s*(.+)$", machine.read("/proc/cpuinfo") or "", re.MULTILINE)
    addresses = machine.names(_PCI, r"[0-9a-f:.]+")
    cards = [
        [
            (machine.read(f"{_PCI}/{address}/{file}") or "").strip()
            for file in ("vendor", "device", "driver/module/version")
        ]
        for address in addresses
        if (machine.read(f"{_PCI}/{address}/class") or "").startswith(_ACCELERATORS)
    ]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": name[1] if name else platform.processor(),
        "cores": usable_cores(),
        "quota": (machine.read("/sys/fs/cgroup/cpu.max") or "").strip(),
        "cards": cards,
        "nvidia": (machine.read("/proc/driver/nvidia/version") or "").strip(),
    }


def _packages(modules: set[str]) -> dict[str, str]:
    """The versions of the packages that go by an SDK's name: `onnxruntime` may come from onnxruntime-gpu."""
    prefixes = tuple(sorted(module.partition(".")[0].lower().replace("_", "-") for module in modules))
    found: dict[str, str] = {}
    for distribution in distributions():
        name = str(distribution.metadata["Name"] or "").lower().replace("_", "-")
        if prefixes and name.startswith(prefixes):
            found.setdefault(name, distribution.version)
    return dict(sorted(found.items()))
