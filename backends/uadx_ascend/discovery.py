"""What a machine shows of Ascend cards without CANN: device nodes, PCI ids, the driver's files, `npu-smi`, masks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

from uadx.api import Finding
from uadx.machine import Machine

_HUAWEI = "19e5"
_CHIPS = {
    "d100": "Ascend 310",
    "d500": "Ascend 310P",
    "d801": "Ascend 910A",
    "d802": "Ascend 910B (A2)",
    "d803": "Ascend 910C (A3)",
    "d806": "Ascend 950 (A5)",
}
_SHARED_NODES = ("davinci_manager", "devmm_svm", "hisi_hdc")
_DRIVER = "/usr/local/Ascend/driver/version.info"
_TOOLKITS = ("/usr/local/Ascend/ascend-toolkit", "/usr/local/Ascend/cann")
_MASK, _CONTAINER_MASK = "ASCEND_RT_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES"


def discover(machine: Machine) -> list[Finding]:
    """Card, driver, SDK, and the mask where one is set."""
    return [_card(machine), _driver(machine), _sdk(machine), *_masks(machine)]


def nodes(machine: Machine) -> list[str]:
    """The device nodes of cards, such as "davinci0"."""
    return machine.names("/dev", r"davinci\d+")


def versions(machine: Machine) -> dict[str, str]:
    """Of the driver and of CANN, as far as their files are there."""
    found = {}
    if driver := _version(machine.read(_DRIVER)):
        found["driver"] = driver
    home = machine.environ.get("ASCEND_TOOLKIT_HOME", f"{_TOOLKITS[0]}/latest")
    for folder in machine.names(home, r"\w+-linux"):
        if cann := _version(machine.read(f"{home}/{folder}/ascend_toolkit_install.info")):
            found["cann"] = cann
    return found


def chips(table: str) -> dict[str, str]:
    """Chip names by the runtime's index, from what `npu-smi info -m` prints. The board's controller has no index."""
    rows = (line.split(None, 3) for line in table.splitlines())
    return {row[2]: row[3].strip() for row in rows if len(row) == 4 and all(cell.isdigit() for cell in row[:3])}


def _card(machine: Machine) -> Finding:
    found, cards = nodes(machine), machine.pci(_HUAWEI)
    cards = [card for card in cards if card.device in _CHIPS]
    names = sorted({_CHIPS[card.device] for card in cards})
    if found:
        names = sorted(set(chips(machine.run("npu-smi", "info", "-m") or "").values())) or names
        return Finding("card", True, f"/dev/{', /dev/'.join(found)}{': ' * bool(names)}{', '.join(names)}")
    if cards:
        where = ", ".join(card.address for card in cards)
        text = f"{', '.join(names)} at PCI {where}, without a node /dev/davinci0: its driver is not loaded"
        return Finding("card", True, text)
    return Finding("card", False, f"no node /dev/davinci0, and no Ascend card among the PCI devices ({_HUAWEI})")


def _driver(machine: Machine) -> Finding:
    version = _version(machine.read(_DRIVER))
    missing = [f"/dev/{name}" for name in _SHARED_NODES if not machine.exists(f"/dev/{name}")]
    if version is None and len(missing) == len(_SHARED_NODES):
        return Finding("driver", False, f"no {_DRIVER}, and no node {missing[0]}")
    text = version or f"version unknown: no {_DRIVER}"
    if missing:
        return Finding("driver", False, f"{text}; missing: {', '.join(missing)} (in a container, pass them through)")
    return Finding("driver", True, text)


def _sdk(machine: Machine) -> Finding:
    version = versions(machine).get("cann", "version unknown")
    if find_spec("acl") is not None:
        return Finding("SDK", True, f"CANN's Python package acl is importable; CANN {version}")
    for folder in _TOOLKITS:
        if machine.exists(f"{folder}/set_env.sh"):
            return Finding("SDK", False, f"CANN is installed and not in use: run `source {folder}/set_env.sh`")
    return Finding("SDK", False, f"no Python package acl, and no CANN in {_TOOLKITS[0]}")


def _masks(machine: Machine) -> Iterator[Finding]:
    if (mask := machine.environ.get(_MASK)) is not None:
        trouble = _trouble(mask)
        yield Finding("mask", not trouble, f"{_MASK}={mask}{': ' * bool(trouble)}{trouble}")
    if (mask := machine.environ.get(_CONTAINER_MASK)) is not None:
        yield Finding("mask", True, f"{_CONTAINER_MASK}={mask}, which the container runtime has acted on")


def _trouble(mask: str) -> str:
    """Why the runtime takes less of a mask than it says; it stops reading at the first thing that is odd."""
    if not re.fullmatch(r"\d+(,\d+)*", mask):
        taken = re.match(r"(\d+(,\d+)*)?", mask)
        return f"CANN reads {taken.group() or 'nothing' if taken else 'nothing'} of it: write numbers, such as 0,1"
    numbers = [int(number) for number in mask.split(",")]
    if numbers != sorted(set(numbers)):
        return "CANN wants the numbers in ascending order"
    return ""


def _version(text: str | None) -> str | None:
    """From a file of lines such as "Version=24.1.rc3"."""
    found = re.search(r"^version\s*=\s*(\S+)", text or "", re.IGNORECASE | re.MULTILINE)
    return found.group(1) if found else None
