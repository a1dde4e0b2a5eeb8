"""What can be typed after --device on this machine, and why not the rest: one row for each device, or for each
backend without one, and what each kind resolves to."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from uadx.claims import OWN
from uadx.devices.registry import Devices, load_devices
from uadx.errors import UsageError
from uadx.plugins import Plugin, Plugins, fix

USABLE = frozenset({"ok", "unverified", "SIMULATED"})


@dataclass(frozen=True)
class Row:
    """One line. device: what to type, None where there is nothing. kind: "cpu:0" where a kind reaches it too.

    status: ok; unverified (works here, and its makers have not shown the conformance kit on this hardware);
    SIMULATED; not installed; unavailable; broken; conflict; incompatible; blocked; not probed.
    visible: the vendor's visible-devices variables and their values. memory: bytes. findings: what the machine shows
    of it without the SDK.
    """

    device: str | None
    backend: str
    provider: str
    status: str
    reason: str = ""
    fix: str = ""
    kind: str | None = None
    name: str = ""
    vendor: str = ""
    memory: int | None = None
    precisions: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    visible: Mapping[str, str | None] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Resolved:
    """What a kind means here. device: None where no backend serves it; skipped: reasons by backend before that.

    simulator: a device string for building without the hardware, never what the kind means; None where there is none.
    """

    device: str | None
    skipped: Mapping[str, str]
    simulator: str | None = None


@dataclass(frozen=True)
class Listing:
    """The rows, what each kind resolves to, and the devices files that were read."""

    rows: tuple[Row, ...]
    kinds: Mapping[str, Resolved]
    default: str
    sources: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """In plain JSON values."""
        return {
            "devices": [asdict(row) for row in self.rows],
            "kinds": {name: asdict(kind) for name, kind in self.kinds.items()},
            "default": self.default,
            "devices_files": [str(path) for path in self.sources],
        }


def list_devices(only: str | None, devices_file: Path | None, *, probing: bool, seconds: float) -> Listing:
    """List all backends, or those of one kind or name. Without probing no SDK and no foreign plugin is imported.

    Raises UsageError where `only` is no kind and no backend, ConfigError for the devices file.
    """
    devices, plugins = load_devices(devices_file), Plugins()
    names, kinds = _selected(only, devices, plugins)
    installed = [name for name in names if name in plugins.names]
    if probing:
        from uadx.devices.probing import probe_all

        answers = probe_all(installed, devices.options, seconds)
    else:
        answers = {name: _unprobed(plugins, name) for name in installed}
    rows = [
        row
        for name in names
        for row in (_rows(name, plugins, answers[name], devices) if name in answers else [_absent(name, devices)])
    ]
    rows = [_shadowed(row) if row.backend in devices.names else row for row in rows]
    rows += _refused(plugins, names) if only is None or only in names else []
    resolved = {kind: _resolve(kind, devices, rows, plugins) for kind in kinds}
    return Listing(tuple(rows), resolved, devices.default, devices.sources)


def _selected(only: str | None, devices: Devices, plugins: Plugins) -> tuple[list[str], list[str]]:
    """The backends to list, in the order of the devices file, and the kinds to resolve."""
    ordered = list(dict.fromkeys([b for kind in devices.kinds.values() for b in kind.backends] + [*plugins.names]))
    if only is None:
        return ordered, list(devices.kinds)
    only = only.partition(":")[0]
    if only in devices.names:
        kind = devices.names[only]
        return list(devices.kinds[kind].backends), [kind]
    if only in ordered:
        return [only], []
    known = [*devices.names, *ordered]
    near = get_close_matches(only, known, n=1)
    advice = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"{only!r} is neither a kind nor a backend{advice}", hint=f"one of: {', '.join(known)}")


def _rows(name: str, plugins: Plugins, answer: Mapping[str, Any], devices: Devices) -> Iterable[Row]:
    provider, spec = plugins.claim(name).provider, answer["spec"] or {}
    visible = {variable: os.environ.get(variable) for variable in spec.get("visible_env", ())}
    if not answer["devices"]:
        status, reason = answer["status"], answer["reason"]
        if status == "ok":
            status, reason = "unavailable", "it sees no device"
        fix = answer["fix"] or (spec.get("install_hint", "") if status == "unavailable" else "")
        findings = tuple(answer.get("findings", ()))
        yield Row(
            None,
            name,
            provider,
            status,
            reason,
            fix,
            vendor=_vendor(name, devices),
            versions=answer["versions"],
            visible=visible,
            findings=findings,
        )
    for device in answer["devices"]:
        if device["kind"] is not None and device["kind"] not in spec["kinds"]:
            reason = (
                f"its device {device['selector']!r} is of the kind {device['kind']!r}, which its spec does not name"
            )
            yield Row(f"{name}:{device['selector']}", name, provider, "broken", reason, "tell its authors")
            continue
        maturity = device["maturity"] or spec["maturity"]
        status = "SIMULATED" if spec["simulated"] else "ok" if maturity == "verified" else "unverified"
        reason, kind = device["unusable"], device["kind"]
        if kind is not None and (kind not in devices.kinds or name not in devices.kinds[kind].backends):
            reason = reason or f"--device {kind} does not reach it: no devices file lists {name} under {kind}"
            kind = None
        yield Row(
            f"{name}:{device['selector']}",
            name,
            provider,
            "unavailable" if device["unusable"] else status,
            reason,
            device["fix"],
            kind=f"{kind}:{device['index']}" if kind else None,
            name=device["name"],
            vendor=device["vendor"],
            memory=device["memory"],
            precisions=tuple(device["precisions"]),
            versions=answer["versions"],
            visible=visible,
        )


def _shadowed(row: Row) -> Row:
    """A backend whose name the devices file uses for a kind, so that its devices cannot be typed."""
    reason = f"the devices file has a kind {row.backend!r}, which is what {row.backend}:... means"
    return Row(None, row.backend, row.provider, "conflict", reason, "rename the kind, or tell the backend's authors")


def _unprobed(plugins: Plugins, name: str) -> dict[str, Any]:
    """What is known of a backend without importing its SDK, or anything that is not uadx's own."""
    answer: dict[str, Any] = {"status": "not probed", "reason": "", "fix": "", "spec": None}
    answer |= {"devices": [], "versions": {}}
    if plugins.claim(name).distribution != OWN and not plugins.contested(name):
        return answer
    plugin: Plugin = plugins.load(name)
    if plugin.spec is None:
        return answer | {"status": plugin.status, "reason": plugin.reason, "fix": fix(plugin)}
    missing = [module for module in plugin.spec.sdk_modules if find_spec(module.partition(".")[0]) is None]
    answer["spec"] = asdict(plugin.spec)
    if missing:
        answer |= {
            "status": "not installed",
            "reason": f"there is no package {missing[0]!r}",
            "fix": plugin.spec.install_hint,
        }
    return answer


def _absent(name: str, devices: Devices) -> Row:
    reason = "no installed package provides it"
    return Row(None, name, "", "not installed", reason, vendor=_vendor(name, devices))


def _vendor(name: str, devices: Devices) -> str:
    """Whose devices a backend is for, where the devices file says one vendor."""
    vendors = {kind.vendor for kind in devices.kinds.values() if name in kind.backends}
    return vendors.pop() if len(vendors) == 1 else ""


def _refused(plugins: Plugins, names: Collection[str]) -> list[Row]:
    rows = [
        Row(None, c.name, c.provider, "conflict", f"the name {c.name!r} is uadx's own", f"uninstall {c.distribution}")
        for c in plugins.refused
        if c.name in names
    ]
    return rows + [
        Row(None, "?", f"{bad.distribution} {bad.version}", "broken", bad.reason, f"reinstall {bad.distribution}")
        for bad in plugins.unreadable
    ]


def _resolve(kind: str, devices: Devices, rows: Iterable[Row], plugins: Plugins) -> Resolved:
    """The first backend of a kind that has its first device. Nothing is known of what was not probed."""
    skipped: dict[str, str] = {}
    for backend in devices.kinds[kind].backends:
        of_backend = [row for row in rows if row.backend == backend]
        for row in of_backend:
            if row.kind == f"{kind}:0" and row.status in USABLE - {"SIMULATED"}:
                return Resolved(row.device, skipped)
        bad = next((row for row in of_backend if row.status not in USABLE), None)
        skipped[backend] = f"sees no {kind}:0" if bad is None else bad.status
    named = [f"{backend}-sim" for backend in devices.kinds[kind].backends]
    own = [name for name in named if name in plugins.names and plugins.claim(name).distribution == OWN]
    return Resolved(None, skipped, f"{own[0]}:0" if own else None)
