"""The parent's side of `uadx devices`: every backend in a child of its own, at the same time, with a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from uadx.child import python

_PROBE = "from uadx.devices.probe import main; main()"


class _Child:
    """One probe under way. Files and not pipes: a chatty SDK cannot block on them, and nobody need read meanwhile."""

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by end)
        self._err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            python(_PROBE, name, json.dumps(options, default=str)),
            stdin=subprocess.PIPE,  # never written to: its end tells the child that this process is no more
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
        )

    def answer(self, deadline: float, seconds: float) -> dict[str, Any]:
        """What it says, or how it ended instead."""
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return _broken(f"probe hung: no answer within {seconds:g} s", "see what it waits for, or uninstall it")
        try:
            answer: dict[str, Any] = json.loads(_content(self._out))
            return answer
        except ValueError:
            words = _content(self._err).decode("utf-8", "replace").strip().splitlines()
            said = f": {words[-1].strip()}" if words else ""
            return _broken(f"probe died: {_death(code)}{said}", "its SDK ended the process: tell its authors")

    def end(self) -> None:
        """End the process and what it started, which may have outlived it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._out.close()
        self._err.close()


def probe_all(names: Sequence[str], options: Mapping[str, Mapping[str, object]], seconds: float) -> dict[str, Any]:
    """The answer of each backend by name, in the form of uadx.devices.probe. A child that hangs, dies or prints what
    is no answer is a broken backend with that as its reason. No child outlives the call, interrupted or not."""
    with contextlib.ExitStack() as running:
        children = {}
        deadline = time.monotonic() + seconds
        for name in names:
            children[name] = _Child(name, options.get(name, {}))
            running.callback(children[name].end)
        return {name: child.answer(deadline, seconds) for name, child in children.items()}


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"


def _broken(reason: str, fix: str) -> dict[str, Any]:
    return {"status": "broken", "reason": reason, "fix": fix, "spec": None, "devices": [], "versions": {}}
