"""The child's side of `uadx devices`: open one backend, list its devices, answer in JSON.

Run in a process of its own by uadx.devices.probing, because an SDK may hang, abort or print when it is loaded. The
answer goes to the original standard output; what the SDK prints there goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib import import_module
from typing import Any

from uadx.api import BackendSpec, DeviceInfo, Finding
from uadx.contract import words
from uadx.devices.resolve import listed
from uadx.errors import PluginError, UadxError, UnavailableError
from uadx.machine import Machine
from uadx.plugins import Plugins


def probe(name: str, options: Mapping[str, object]) -> dict[str, Any]:
    """What one backend says: status, reason and fix; its spec, devices and versions as far as they are known."""
    plugins = Plugins()
    answer: dict[str, Any] = {"status": "ok", "reason": "", "fix": "", "spec": None, "devices": [], "versions": {}}
    answer["findings"] = []
    try:
        spec = plugins.spec(name)
        answer["spec"] = asdict(spec)
        answer["findings"] = [asdict(finding) for finding in _discover(spec)]
        backend = plugins.open(name, options)
        answer["versions"] = {str(part): str(version) for part, version in backend.versions().items()}
        answer["devices"] = [asdict(device) | {"fix": _advice(plugins, name, device)} for device in listed(backend)]
    except UadxError as error:
        status = plugins.load(name).status if isinstance(error, PluginError) else "unavailable"
        answer |= {"status": _status(status, error), "reason": _reason(error), "fix": error.hint or ""}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a plugin ends no listing
        answer |= {"status": "broken", "reason": words(error), "fix": ""}
        answer["fix"] = plugins.explain(name, error) or "tell its authors"
    return answer


def _discover(spec: BackendSpec) -> Iterable[Finding]:
    if not spec.discovery:
        return []
    module, _, function = spec.discovery.partition(":")
    findings: Iterable[Finding] = getattr(import_module(module), function)(Machine())
    return findings


def _advice(plugins: Plugins, name: str, device: DeviceInfo) -> str:
    """What to do about a device that is seen and cannot be used."""
    return (plugins.explain(name, UnavailableError(device.unusable)) or "") if device.unusable else ""


def _status(plugin: str, error: UadxError) -> str:
    if plugin == "ok":  # the plugin's own module is sound, its factory is not
        return "broken"
    missing = isinstance(error.__cause__, ModuleNotFoundError)
    return "not installed" if plugin == "unavailable" and missing else plugin


def _reason(error: UadxError) -> str:
    """Without "the backend 'x' is broken: ", which stands beside it."""
    if isinstance(error, PluginError):
        return error.in_one_line.partition(": ")[2] or error.in_one_line
    return error.in_one_line


def _end_with_parent() -> None:
    """The parent holds the other end of standard input, until it has the answer or is no more."""
    while os.read(0, 1):
        pass
    os._exit(1)


def main() -> None:
    """Answer on the standard output that the parent reads, whatever the SDK writes there. Ends with its parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    name, options = sys.argv[1:]
    json.dump(probe(name, json.loads(options)), answer_to)
    answer_to.close()
