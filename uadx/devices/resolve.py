"""Opens a model on the device a string asks for: candidates in order, one compiled, its placement checked.

A named backend is the only candidate; a kind has its list in devices.yaml and is never crossed; `auto` goes through
the kinds. What cannot be used here is passed over with its reason; a model that does not compile, or ends up
elsewhere than asked, ends the search.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uadx.api import Backend, CompiledModel, CompileOptions, DeviceRef, ModelArtifact, Placement
from uadx.devices.grammar import Auto, BackendDevice, Device, KindDevice, parse
from uadx.devices.registry import Devices, load_devices
from uadx.devices.unusable import NoUsableDeviceError, Skipped
from uadx.errors import (
    CompileError,
    DeviceSyntaxError,
    PlacementError,
    PluginError,
    UadxError,
    UadxWarning,
    UnavailableError,
    UsageError,
)
from uadx.plugins import Plugins

ENVIRONMENT = "UADX_DEVICE"


@dataclass
class OpenedModel:
    """A compiled model and where it runs. requested: the string as written, or the default. used: "openvino:CPU".

    skipped: the candidates that were passed over before, each with its reason.
    """

    compiled: CompiledModel
    requested: str
    used: str
    backend: str
    precision: str
    simulated: bool
    fallback_reason: str | None = None
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """One backend to try, for the device `index` of `kind` or for a selector of its own."""

    backend: str
    kind: str | None = None
    index: int = 0
    selector: str | None = None


def open_model(
    artifact: ModelArtifact, device: str | None, options: CompileOptions, *, devices_file: Path | None = None
) -> OpenedModel:
    """Compile a model for a device string; None means UADX_DEVICE, else the default of devices.yaml.

    Raises DeviceSyntaxError and UsageError for the string, ConfigError for devices.yaml, UnavailableError with a
    reason for each candidate, PluginError, CompileError, and PlacementError where the runtime did not do as asked.
    """
    devices, plugins = load_devices(devices_file), Plugins()
    requested, request = _request(device, devices, plugins)
    skipped: list[Skipped] = []
    for candidate in _candidates(request, devices):
        outcome = _try(artifact, requested, candidate, options, devices, plugins)
        if isinstance(outcome, OpenedModel):
            outcome.skipped = tuple(skipped)
            return outcome
        skipped.append(outcome)
    raise NoUsableDeviceError(requested, skipped)


def _request(device: str | None, devices: Devices, plugins: Plugins) -> tuple[str, Device]:
    """The string that counts and what it means."""
    text, origin = device, ""
    if text is None and (text := os.environ.get(ENVIRONMENT) or None) is not None:
        origin = f"{ENVIRONMENT}: "
    if text is None:
        text, origin = devices.default, f"{devices.sources[-1]}: default: "
    try:
        return text, parse(text, devices.names, {*plugins.names, *devices.backends})
    except DeviceSyntaxError as error:
        raise DeviceSyntaxError(origin + error.message, hint=error.hint) from None


def _candidates(request: Device, devices: Devices) -> Iterator[_Candidate]:
    match request:
        case BackendDevice(backend, selector):
            yield _Candidate(backend, selector=selector)
        case KindDevice(_, indices) if len(indices) > 1:
            raise UsageError(f"{request}: several devices: not yet", hint="name one device")
        case KindDevice(kind, indices):
            for backend in devices.kinds[kind].backends:
                yield _Candidate(backend, kind, indices[0] if indices else 0)
        case Auto():
            for kind in devices.auto:
                yield from _candidates(KindDevice(kind), devices)


def _try(
    artifact: ModelArtifact,
    requested: str,
    candidate: _Candidate,
    options: CompileOptions,
    devices: Devices,
    plugins: Plugins,
) -> OpenedModel | Skipped:
    """The opened model, or why this candidate is passed over. A broken plugin is fatal where it was named."""
    try:
        return _open(artifact, requested, candidate, options, devices, plugins)
    except (UnavailableError, PluginError) as error:
        if isinstance(error, PluginError):
            if candidate.kind is None:
                raise
            warnings.warn(f"{error.message}; passed over for {requested}", UadxWarning, stacklevel=3)
        return Skipped(candidate.kind, plugins.describe(candidate.backend), error)


def _open(
    artifact: ModelArtifact,
    requested: str,
    candidate: _Candidate,
    options: CompileOptions,
    devices: Devices,
    plugins: Plugins,
) -> OpenedModel:
    name = candidate.backend
    spec = plugins.spec(name)
    if artifact.format not in spec.formats:
        raise UnavailableError(f"it takes {', '.join(spec.formats)} models and not {artifact.format}", backend=name)
    if candidate.kind is not None and (spec.simulated or candidate.kind not in spec.kinds):
        what = "a simulator, used by its own name only" if spec.simulated else f"not made for {candidate.kind}"
        raise UnavailableError(f"it is {what}", backend=name)
    backend = plugins.open(name, devices.options.get(name, {}))
    try:
        ref = _device_ref(backend, candidate)
        compiled = backend.compile(artifact, ref, options)
    except Exception as error:
        failure = error if isinstance(error, UadxError) else _compile_error(name, error)
        failure.hint = failure.hint or plugins.explain(name, error)
        raise failure from (None if failure is error else error)
    try:
        placement = compiled.placement()
        _check_placement(placement, ref, name, options)
    except BaseException:
        compiled.close()
        raise
    return OpenedModel(compiled, requested, f"{name}:{placement.device}", name, placement.precision, spec.simulated)


def _device_ref(backend: Backend, candidate: _Candidate) -> DeviceRef:
    """The runtime's name of a kind's device. Raises UnavailableError where the backend has no such device."""
    if candidate.selector is not None:
        return DeviceRef(candidate.selector)
    try:
        of_kind = [device for device in backend.devices() if device.kind == candidate.kind]
    except UadxError:
        raise
    except Exception as error:
        raise UnavailableError(
            "it cannot list its devices", backend=candidate.backend, cause_text=f"{type(error).__name__}: {error}"
        ) from error
    for device in of_kind:
        if device.index == candidate.index:
            return DeviceRef(device.selector, device.kind, device.index)
    found = ", ".join(f"{device.kind}:{device.index} ({device.name})" for device in of_kind) or "none"
    raise UnavailableError(
        f"it sees no {candidate.kind}:{candidate.index}; it sees: {found}", backend=candidate.backend
    )


def _compile_error(backend: str, error: Exception) -> CompileError:
    return CompileError(
        "the model could not be compiled",
        backend=backend,
        stage="compiling",
        cause_text=f"{type(error).__name__}: {error}",
    )


def _check_placement(placement: Placement, ref: DeviceRef, backend: str, options: CompileOptions) -> None:
    if _first(placement.device) != _first(ref.selector):
        raise PlacementError(
            f"{backend}:{ref.selector} was asked for, but the model runs on {backend}:{placement.device}",
            hint=f"ask for it by name, if that is wanted: --device {backend}:{placement.device}",
        )
    if options.precision not in ("auto", placement.precision):
        raise PlacementError(
            f"{backend}:{placement.device} was asked for {options.precision}, but runs in {placement.precision}",
            hint="--precision auto leaves it to the runtime; each result says which precision ran",
        )


def _first(selector: str) -> str:
    """Runtimes call the first device "GPU" and "GPU.0", or "CUDAExecutionProvider" and "...:0"."""
    return selector.removesuffix(".0").removesuffix(":0")
