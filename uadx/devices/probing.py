"""The parent's side of `uadx devices`: every backend in a child of its own, at the same time, with a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# the parent's own search path, so that the child finds the same plugins, whatever lies in the current directory
_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from uadx.devices.probe import main; main()"


def probe_all(names: Sequence[str], options: Mapping[str, Mapping[str, object]], seconds: float) -> dict[str, Any]:
    """The answer of each backend by name, in the form of uadx.devices.probe. A child that hangs, dies or prints what
    is no answer is a broken backend with that as its reason."""
    if not names:
        return {}
    with ThreadPoolExecutor(len(names)) as waiters:
        answers = waiters.map(lambda name: _probe(name, options.get(name, {}), seconds), names)
        return dict(zip(names, answers, strict=True))


def _probe(name: str, options: Mapping[str, object], seconds: float) -> dict[str, Any]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, json.dumps(sys.path), name, json.dumps(options, default=str)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return _broken(f"probe hung: no answer within {seconds:g} s", "see what it waits for, or uninstall it")
    finally:
        _end(child)
    try:
        answer: dict[str, Any] = json.loads(out)
        return answer
    except ValueError:
        return _broken(f"probe died: {_death(child.returncode)}{_last_words(err)}", "its SDK ended the process")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and what it started; nothing is left behind when the listing is interrupted."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
        child.communicate()


def _death(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _last_words(printed: bytes) -> str:
    lines = printed.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1].strip()}" if lines else ""


def _broken(reason: str, fix: str) -> dict[str, Any]:
    return {"status": "broken", "reason": reason, "fix": fix, "spec": None, "devices": [], "versions": {}}
