"""What a machine shows of Cambricon cards without torch_mlu: device nodes, /proc, PCI, cnmon.

Device nodes: Cambricon/cambricon-k8s-device-plugin, pkg/mlu/const.go. The PCI vendor id is unconfirmed.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import NamedTuple

from uadx.api import Finding
from uadx.machine import Machine

PCI_VENDOR = "cabc"
_DRIVER = re.compile(r"Driver\s+v?([\d.]+)")
_CARD = re.compile(r"^\|\s*(\d+)\s+(?:/|\d+)\s+(\S+)\s+v([\d.]+)\s+\|\s*([0-9a-fA-F:.]+)\s+\|")
_MEMORY = re.compile(r"\|\s*(\d+)\s*MiB/\s*(\d+)\s*MiB\s*\|")


class Card(NamedTuple):
    """One card of cnmon's table. bus: its PCI address. memory: MiB in all."""

    number: int
    name: str
    firmware: str
    bus: str
    memory: int | None


def parse_cnmon(text: str) -> tuple[str | None, list[Card]]:
    """The driver's version and the cards in the table that `cnmon` prints; each card has two lines."""
    driver = _DRIVER.search(text)
    cards: list[Card] = []
    for line in text.splitlines():
        if card := _CARD.match(line):
            cards.append(Card(int(card[1]), card[2], card[3], card[4], None))
        elif cards and cards[-1].memory is None and (memory := _MEMORY.search(line)):
            cards[-1] = cards[-1]._replace(memory=int(memory[2]))
    return driver[1] if driver else None, cards


def discover(machine: Machine) -> list[Finding]:
    """Card, driver and SDK, each by itself. Imports nothing of the SDK."""
    nodes = machine.names("/dev", r"cambricon_dev\d+")
    version, cards = parse_cnmon(machine.run("cnmon") or "")
    pci = machine.pci(PCI_VENDOR)
    if cards:
        seen = ", ".join(f"{card.number}: {card.name} at {card.bus}" for card in cards)
    elif nodes:
        seen = ", ".join(f"/dev/{node}" for node in nodes)
    else:
        seen = ", ".join(f"PCI {device.address}, without a device node: the driver is not loaded" for device in pci)
    missing = f"none: no /dev/cambricon_dev*, no PCI device of vendor {PCI_VENDOR}"
    driver = version or _driver_of_proc(machine)
    package = find_spec("torch_mlu") is not None
    return [
        Finding("card", bool(seen), seen or missing),
        Finding("driver", driver is not None, driver or "none: no /proc/driver/cambricon, and cnmon does not answer"),
        Finding("SDK", package, "torch_mlu is installed" if package else "none: there is no package torch_mlu"),
    ]


def _driver_of_proc(machine: Machine) -> str | None:
    folder = "/proc/driver/cambricon/mlus"
    for bus in machine.names(folder, r".+"):
        found = re.search(r"Driver Version\s*:\s*v?(\S+)", machine.read(f"{folder}/{bus}/information") or "")
        if found:
            return found[1]
    return "loaded, of unknown version" if machine.exists("/proc/driver/cambricon") else None
