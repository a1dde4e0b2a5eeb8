"""What a machine shows of its accelerators without any SDK: device nodes, /proc, PCI ids, variables, vendor tools.

For a backend's `discovery` function. Everything is below one root, so that a test can build a machine in a folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TOOL_FOLDERS = ("usr/local/bin", "usr/local/sbin", "usr/bin", "usr/sbin", "bin", "sbin")


@dataclass(frozen=True)
class PciDevice:
    """address: "0000:c1:00.0"; vendor and device: four hexadecimal digits, lower case."""

    address: str
    vendor: str
    device: str


@dataclass(frozen=True)
class Machine:
    """A machine as its file system shows it. root: where its file system begins; environ: its variables."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def path(self, path: str) -> Path:
        """Where an absolute path of the machine lies."""
        return self.root / path.lstrip("/")

    def exists(self, path: str) -> bool:
        """Whether there is such a file, folder or device node."""
        return self.path(path).exists()

    def read(self, path: str) -> str | None:
        """A small text file, None where it cannot be read."""
        try:
            return self.path(path).read_text("utf-8", errors="replace")
        except OSError:
            return None

    def names(self, folder: str, pattern: str) -> list[str]:
        """The names in a folder that a regular expression matches whole, numbers in their order."""
        try:
            found = [name for name in os.listdir(self.path(folder)) if re.fullmatch(pattern, name)]
        except OSError:
            return []
        return sorted(found, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])

    def pci(self, vendor: str) -> list[PciDevice]:
        """The PCI devices of a vendor, by address. The ids are those of the PCI ID repository, pci-ids.ucw.cz."""
        folder = "/sys/bus/pci/devices"
        found = []
        for address in self.names(folder, r"[0-9a-f:.]+"):
            ids = [(self.read(f"{folder}/{address}/{kind}") or "").strip() for kind in ("vendor", "device")]
            if ids[0].removeprefix("0x") == vendor:
                found.append(PciDevice(address, vendor, ids[1].removeprefix("0x")))
        return found

    def run(self, tool: str, *arguments: str, seconds: float = 10.0) -> str | None:
        """What a vendor's tool prints, None where there is none, where it fails, or takes longer.

        It runs in an empty folder, because some tools leave files where they stand.
        """
        folders = [str(self.root / folder) for folder in _TOOL_FOLDERS]
        if self.root == Path("/"):
            folders = [*self.environ.get("PATH", "").split(os.pathsep), *folders]
        program = shutil.which(tool, path=os.pathsep.join(folders))
        if program is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            try:
                done = subprocess.run(
                    [program, *arguments],
                    cwd=folder,
                    capture_output=True,
                    timeout=seconds,
                    check=False,
                    stdin=subprocess.DEVNULL,
                )
            except (OSError, subprocess.TimeoutExpired):
                return None
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
