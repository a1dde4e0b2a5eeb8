"""What every group of checks stands on: the hooks of a subclass, the backend under test, and its compiled models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from uadx.api import Backend, BackendSpec, CompiledModel, CompileOptions, DeviceInfo, DeviceRef, Precision
from uadx.devices.placement import same_device
from uadx.devices.registry import load_devices
from uadx.devices.resolve import locate
from uadx.errors import UnavailableError, UsageError
from uadx.parity import Tolerance, tolerance_for
from uadx.pipeline.batches import run_batch
from uadx.plugins import Plugins
from uadx.testing.golden import Golden

if TYPE_CHECKING:
    from uadx.api import Array

MAX_BATCH = 4
"""The largest batch of models that the kit compiles, unless a check says otherwise."""


@dataclass(frozen=True)
class Subject:
    """The backend under test and its device. stand_in: open_backend is overridden, so that this backend exists in
    this process only."""

    backend: Backend
    ref: DeviceRef
    stand_in: bool

    @property
    def spec(self) -> BackendSpec:
        return self.backend.spec

    @property
    def name(self) -> str:
        """Such as "openvino:CPU"."""
        return f"{self.spec.name}:{self.ref.selector}"

    @property
    def info(self) -> DeviceInfo | None:
        """What the backend's listing says of the device, None where it is not in it."""
        return next((info for info in self.backend.devices() if same_device(info.selector, self.ref.selector)), None)

    @property
    def precision(self) -> Precision:
        """What the checks compile for: f32 where the device has it, else the first that it lists, else auto."""
        listed = self.info.precisions if self.info else ()
        return cast("Precision", "f32" if "f32" in listed else next(iter(listed), "auto"))


class Kit:
    """The hooks. Nothing else of the kit may be overridden.

    device: the device string to test, such as "foo:0" or "cpu"; the first device where it names several.
    devices_file: a devices.yaml of your own.
    options: options of the backend, over those of devices.yaml.
    tolerance: absolute differences from float64 that are allowed; None for what the precision that runs may show.
    patience: seconds after which a request or a fresh process that has not ended counts as hanging.
    """

    device: str = ""
    devices_file: Path | None = None
    options: Mapping[str, object] = MappingProxyType({})
    tolerance: Tolerance | None = None
    patience: float = 60.0

    def open_backend(self) -> Backend:
        """The backend under test. Override it to inject a stand-in for the SDK: return MyBackend(SPEC, {}, fake)."""
        located = locate(self.device, self.devices_file)
        if not self.options:
            return located.backend
        return Plugins().open(located.name, {**located.backend.options, **self.options})

    @property
    def subject(self) -> Subject:
        """Opened once for each class."""
        cls = type(self)
        if "_subject" not in vars(cls):
            backend = self.open_backend()
            overridden = cls.open_backend is not Kit.open_backend
            cls._subject = Subject(backend, self._ref(backend), overridden)
        return cls._subject

    _subject: Subject

    def _ref(self, backend: Backend) -> DeviceRef:
        head, _, rest = self.device.partition(":")
        if head == "auto":
            raise UsageError(
                "the kit tests the device that is named, and auto names none", hint="name it: openvino:CPU"
            )
        first = rest.partition(",")[0]
        if head == backend.spec.name:
            return DeviceRef(first)
        kind = load_devices(self.devices_file).names.get(head, head)
        for info in backend.devices():
            if info.kind == kind and info.index == int(first or 0) and not info.unusable:
                return DeviceRef(info.selector, kind, info.index)
        raise UnavailableError(
            f"the backend {backend.spec.name!r} lists no {self.device}",
            backend=backend.spec.name,
            hint=f"name a device: {backend.spec.name}:SELECTOR",
        )

    def _compile(
        self,
        golden: Golden,
        *,
        precision: Precision | None = None,
        max_batch: int = MAX_BATCH,
        ref: DeviceRef | None = None,
    ) -> CompiledModel:
        options = CompileOptions(precision or self.subject.precision, max_batch)
        return self.subject.backend.compile(golden.artifact, ref or self.subject.ref, options)

    def _allowed(self, model: CompiledModel) -> Tolerance:
        return self.tolerance or tolerance_for(model.placement().precision)


def fitting(model: CompiledModel, size: int) -> int:
    """The batch size nearest to `size` that the model takes as it is."""
    capabilities = model.capabilities
    return capabilities.static_batch or min(size, capabilities.max_batch or size)


def one_by_one(model: CompiledModel, images: NDArray[np.uint8]) -> dict[str, Array]:
    """Each image in a batch of its own, padded where the model's batch is fixed."""
    rows = [run_batch(model, images[at : at + 1]) for at in range(len(images))]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
