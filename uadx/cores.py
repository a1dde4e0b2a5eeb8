"""The processor cores that this process may use: in a container fewer than the machine has.

Sources: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst (cfs_quota_us).
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path


def usable_cores() -> int:
    """By the affinity, and by the quota of processor time where there is one."""
    allowed = _allowed()
    return min(allowed, core_limit() or allowed)


def core_limit(root: Path = Path("/")) -> int | None:
    """The cores that a quota is worth where they are fewer than the affinity has, which runtimes do not look at; else
    None. `docker run --cpus 2` and Kubernetes' limits are quotas. root: of the file system."""
    quotas = [quota for group in _groups(root) if (quota := _quota(group)) is not None]
    cores = max(1, math.ceil(min(quotas))) if quotas else None
    return cores if cores is not None and cores < _allowed() else None


BUSY = "the machine was busy with something else when this began: measure again when it is quiet"
"""What to say of figures that were measured on a machine that was busy()."""


def busy() -> bool:
    """Whether half of the machine's cores or more had work in the last minute; False where the system does not say."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return load >= (os.cpu_count() or 1) / 2


def limit_torch() -> None:
    """Keep torch's own threads within the quota."""
    if (cores := core_limit()) is not None:
        import torch

        torch.set_num_threads(cores)


def _allowed() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _groups(root: Path) -> set[Path]:
    """The folders of this process's control group and of those above it, of version 2 and of version 1."""
    found: set[Path] = set()
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            names = ["", "cpu", "cpu,cpuacct"] if "cpu" in controllers.split(",") else [""] if not controllers else []
            for name in names:
                mount = root / "sys/fs/cgroup" / name
                # within a container the path is the host's, and its own group is the mount itself
                found |= {mount, *(mount / part for part in _with_parents(path))}
    return found


def _with_parents(path: str) -> list[str]:
    parts = path.strip("/").split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _quota(group: Path) -> float | None:
    """Cores' worth of time."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else float(quota) / float(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    return None
