"""What is tried for a device string: every backend that has the device, in every precision that it lists for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from uadx.api import DeviceInfo, DeviceRef, Precision
from uadx.bundle.reader import Bundle
from uadx.devices.placement import same_device
from uadx.devices.resolve import Candidate, Located, Resolver, listed
from uadx.errors import PluginError, UnavailableError, UsageError
from uadx.pipeline.config import PipelineConfig

FLOATS: tuple[Precision, ...] = ("f32", "bf16", "f16")
"""Tried where a backend lists no precisions for a device."""
ON_A_CPU, ON_A_CARD = (1, 4, 8), (1, 8, 32)
"""Batch sizes."""


@dataclass(frozen=True)
class Form:
    """One way to run the model. device: a backend and its runtime's names, as they can be typed after --device."""

    device: str
    backend: str
    precision: Precision
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Absent:
    """A backend that serves the device and cannot be used here. reason: one line."""

    backend: str
    reason: str


def groups(resolver: Resolver, bundle: Bundle, config: PipelineConfig) -> Iterator[list[Form | Absent]]:
    """The forms of each kind that the device string means: one kind, but for `auto`, whose kinds come in its order.

    config: its precision and batch size are the only ones tried, where it names them. Loads the SDKs of a kind when
    its turn comes. Raises UsageError for a simulator, ConfigError for a backend's options.
    """
    for _, candidates in groupby(resolver.candidates(), key=lambda candidate: candidate.kind):
        yield [one for candidate in candidates for one in _forms(resolver, candidate, bundle, config)]


def _forms(resolver: Resolver, candidate: Candidate, bundle: Bundle, config: PipelineConfig) -> Iterator[Form | Absent]:
    try:
        located = resolver.locate(candidate)
        if located.spec.simulated:
            raise UsageError(
                f"{resolver.requested} is simulated: its speed is that of no hardware",
                hint="name a real device: `uadx devices` lists them",
            )
        infos = [_info(located, ref) for ref in located.refs]
    except (UnavailableError, PluginError) as error:
        yield Absent(candidate.backend, error.in_one_line)
        return
    device = f"{located.name}:{','.join(ref.selector for ref in located.refs)}"
    batches = ON_A_CPU if all(info is not None and info.kind == "cpu" for info in infos) else ON_A_CARD
    precisions = _precisions(located, infos, bundle) if config.precision is None else [config.precision]
    for precision in precisions:
        yield Form(device, located.name, precision, batches if config.batch_size is None else (config.batch_size,))


def _info(located: Located, ref: DeviceRef) -> DeviceInfo | None:
    """What the backend lists of a device; None where it runs on one that it does not list."""
    return next((info for info in listed(located.backend) if same_device(info.selector, ref.selector)), None)


def _precisions(located: Located, infos: list[DeviceInfo | None], bundle: Bundle) -> list[Precision]:
    """Those that all devices list, and int8 wherever the bundle has a form in it that the backend may take: ONNX
    Runtime's CPU runs one as it is written, and lists only what it makes of a float model."""
    lists = [info.precisions if info is not None and info.precisions else FLOATS for info in infos]
    default: Precision = located.spec.default_precision
    known: tuple[Precision, ...] = (*FLOATS, default)
    floats = [one for one in known if all(one in found for found in lists)]
    quantised = any(
        form.precision == "int8" and form.format in located.spec.formats for form in bundle.manifest.variants
    )
    tried = dict.fromkeys(floats or [default])
    return [*tried, "int8"] if quantised else [*tried]
