"""What a machine shows of Kunlunxin cards without Paddle: device nodes, /proc, PCI, xpu-smi.

Intel's tool for its GPUs is called xpu-smi too, and does not know `-m`: the answer counts only where its lines are
those of Kunlunxin's, and where the machine has a node or a driver of theirs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

from uadx.api import Finding
from uadx.machine import Machine

PCI_VENDOR = "1d22"
"""Baidu's, in the PCI ID repository."""

_CONTROL = "/dev/xpuctrl"
_PROC = ("/proc/kunlun", "/proc/xpu")
_MASKS = ("XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
_FIELDS = 32


class Card(NamedTuple):
    """One card of `xpu-smi -m`. bus: its PCI address. memory: MiB in all."""

    number: int
    name: str
    bus: str
    memory: int


def parse_xpu_smi(text: str) -> list[Card]:
    """The cards that `xpu-smi -m` prints, 32 fields in a line; [] for what another tool prints."""
    cards = []
    for line in text.splitlines():
        try:
            fields = shlex.split(line)
        except ValueError:  # a quotation mark that is not closed
            return []
        if len(fields) != _FIELDS or not re.fullmatch(r"[0-9a-fA-F:.]+", fields[0]):
            continue
        if fields[1].isdigit() and fields[18].isdigit():
            cards.append(Card(int(fields[1]), fields[21], fields[0], int(fields[18])))
    return cards


def nodes(machine: Machine) -> list[str]:
    """The names of the cards' device nodes, xpu0 and on."""
    return machine.names("/dev", r"xpu\d+")


def cards(machine: Machine) -> list[Card]:
    """Those that Kunlunxin's xpu-smi lists; none where the machine has nothing else of theirs."""
    if not machine.exists(_CONTROL) and _proc(machine) is None:
        return []
    return parse_xpu_smi(machine.run("xpu-smi", "-m") or machine.run("xpu_smi", "-m") or "")


def model_name(machine: Machine) -> str | None:
    """The cards' name, where all have the same: the order of xpu-smi need not be Paddle's."""
    names = {card.name for card in cards(machine)}
    return names.pop() if len(names) == 1 else None


def driver_version(machine: Machine) -> str | None:
    """Such as "5.0.21.24", None without a driver."""
    folder = _proc(machine)
    if folder is None:
        return None
    found = re.search(r"\b\d+(?:\.\d+){2,}\b", machine.read(f"{folder}/version") or "")
    return found.group() if found else "loaded, of unknown version"


def discover(machine: Machine) -> list[Finding]:
    """Card, driver, SDK and masks, each by itself. Imports nothing of Paddle."""
    return [_card(machine), _driver(machine), _sdk(), *_masks(machine)]


def _proc(machine: Machine) -> str | None:
    return next((folder for folder in _PROC if machine.exists(folder)), None)


def _card(machine: Machine) -> Finding:
    if listed := cards(machine):
        return Finding("card", True, ", ".join(f"{card.number}: {card.name} at {card.bus}" for card in listed))
    if found := nodes(machine):
        return Finding("card", True, ", ".join(f"/dev/{name}" for name in found))
    if seen := machine.pci(PCI_VENDOR):
        where = ", ".join(device.address for device in seen)
        return Finding("card", True, f"PCI {where}, without a node /dev/xpu0: its driver is not loaded")
    return Finding("card", False, f"none: no node /dev/xpu0, no PCI device of vendor {PCI_VENDOR}")


def _driver(machine: Machine) -> Finding:
    version = driver_version(machine)
    if version is None:
        return Finding("driver", False, f"none: no {' and no '.join(_PROC)}")
    if nodes(machine) and not machine.exists(_CONTROL):
        return Finding("driver", False, f"{version}; missing: {_CONTROL} (in a container, pass it through)")
    return Finding("driver", True, version)


def _sdk() -> Finding:
    if find_spec("paddle") is None:
        return Finding("SDK", False, "none: there is no package paddle")
    return Finding("SDK", True, "paddle is installed; whether it is built for the card shows when it is imported")


def _masks(machine: Machine) -> Iterator[Finding]:
    given = {name: machine.environ[name] for name in _MASKS if name in machine.environ}
    differ = len(set(given.values())) > 1
    for name, value in given.items():
        trouble = ": the two variables differ, and Paddle's release decides which one counts" * differ
        yield Finding("mask", not differ, f"{name}={value}{trouble}")
