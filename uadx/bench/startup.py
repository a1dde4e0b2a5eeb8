"""A whole `uadx run` of its own process: how long until its first result, and how much memory it took."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uadx.child import UADX, python
from uadx.errors import EXIT_INPUTS_FAILED, InferenceError

POLL = 0.002


@dataclass(frozen=True)
class Started:
    """first_result: seconds from the start of the process to the first line of its results. memory: the most bytes
    that it held, None where the system does not say."""

    first_result: float
    memory: int | None


def start(arguments: Sequence[str]) -> Started:
    """Run `uadx run` with these arguments into a folder of its own. Raises InferenceError where it fails."""
    with tempfile.TemporaryDirectory(prefix="uadx-bench-") as folder:
        output = Path(folder) / "out"
        command = python(UADX, "run", *arguments, "--output", str(output), "--quiet")
        errors = Path(folder) / "errors"
        with errors.open("wb") as stderr:
            began = time.perf_counter()
            process = subprocess.Popen([*command, "--format", "jsonl"], stdout=stderr, stderr=stderr)
            first = None
            while not (ended := _ended(process)):
                if first is None and _has_a_line(output):
                    first = time.perf_counter() - began
                time.sleep(POLL)
        whole = time.perf_counter() - began
        code, memory = ended
        if code not in (0, EXIT_INPUTS_FAILED) or not (output / "results.jsonl").is_file():
            raise InferenceError("uadx run failed", stage="measuring its start", cause_text=errors.read_text("utf-8"))
        return Started(first or whole, memory)


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, int | None] | None:
    """Exit code and the most bytes held, None while it runs."""
    if not hasattr(os, "wait4"):
        code = process.poll()
        return None if code is None else (code, None)
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if not pid:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)  # it is waited for, and Popen must not wait again
    return process.returncode, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _has_a_line(output: Path) -> bool:
    """Whether the journal of a run (uadx.output.run_folder), or what becomes of it, has a result."""
    for name in ("results.jsonl.part", "results.jsonl"):
        with contextlib.suppress(OSError):
            if (output / name).stat().st_size:
                return True
    return False
