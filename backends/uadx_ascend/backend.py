"""Ascend cards: an .om is loaded as it is; an ONNX model is converted for the card first, where atc is installed."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from uadx.api import (
    Backend,
    BackendSpec,
    CompiledModel,
    CompileOptions,
    DeviceInfo,
    DeviceRef,
    ModelArtifact,
    Precision,
)
from uadx.errors import CompileError, ConfigError, UadxWarning, UnavailableError
from uadx.machine import Machine
from uadx_ascend import atc, description
from uadx_ascend.binding import Binding, load
from uadx_ascend.description import Description
from uadx_ascend.discovery import nodes, versions
from uadx_ascend.engine import Engine
from uadx_ascend.errors import LOGS, SdkError, advice_on
from uadx_ascend.model import AscendModel
from uadx_ascend.sdk import Acl

PRECISIONS = ("f16",)
"""What the matrix units of every card have."""

_EXPORT = "uadx export --model MODEL --format om --soc-version {soc}"


class AscendBackend(Backend):
    """Takes no options. binding: a stand-in for the module acl. machine: where device nodes are looked for."""

    machine = Machine()

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        super().__init__(spec, options, binding)
        if options:
            raise ConfigError(
                f"options.ascend has {', '.join(sorted(options))}, and ascend takes no options here",
                hint="remove them from the devices file",
            )
        self._sdk = Binding(load() if binding is None else cast("Acl", binding))
        self._converting = threading.Lock()
        self._converted: tempfile.TemporaryDirectory[str] | None = None

    def devices(self) -> Sequence[DeviceInfo]:
        count = self._count()
        soc = self._sdk.soc_name()
        usable = [_info(index, soc) for index in range(count)]
        masked = self.spec.visible_env[0] in self.machine.environ
        present = 0 if masked else len(nodes(self.machine))
        reason = "it has a device node, and CANN does not count it: see `npu-smi info`"
        found = [*usable, *(_info(index, "Ascend", reason) for index in range(count, present))]
        if not found:
            raise UnavailableError(
                "CANN counts no Ascend card", backend="ascend", stage="counting the cards", hint=advice_on("107001")
            )
        return found

    def choose(self, artifacts: Sequence[ModelArtifact], device: DeviceRef, options: CompileOptions) -> ModelArtifact:
        """The .om that was made for this card, else the ONNX model, which is converted where atc is installed."""
        soc, oms = self._sdk.soc_name(), [artifact for artifact in artifacts if artifact.format == "om"]
        for om in oms:
            if om.target == soc and options.precision in ("auto", om.precision):
                return om
        if oms and shutil.which("atc") is None:
            made = ", ".join(f"{om.path.name} ({om.target}, {om.precision})" for om in oms)
            words = (
                f"it has {made}, and none for {soc} in {options.precision}: an .om runs on its own kind of card only"
            )
            raise self._unusable(oms[0].path.parent, words, _EXPORT.format(soc=soc))
        return super().choose(artifacts, device, options)

    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        index = self._index(device.selector)
        om = artifact.path if artifact.format == "om" else self._convert(artifact, options)
        described = self._described(om, options.precision)
        try:
            model = AscendModel(partial(Engine, self._sdk, index, om), described.precision if described else "unknown")
        except (SdkError, ValueError) as error:
            raise self._failure(error, artifact.path, device.selector) from error
        if described and {spec.name for spec in model.outputs} != set(described.outputs):
            model.close()
            found = sorted(spec.name for spec in model.outputs)
            words = f"its outputs are {found}, and {description.beside(om).name} names {sorted(described.outputs)}"
            raise self._unusable(om, words, "convert it again with this CANN's atc")
        return model

    def versions(self) -> Mapping[str, str]:
        return versions(self.machine)

    def _count(self) -> int:
        try:
            self._sdk.start()
            count = self._sdk.device_count()
        except SdkError as error:
            raise UnavailableError(
                "CANN finds no Ascend card that it can use",
                backend="ascend",
                stage="counting the cards",
                cause_text=str(error),
                hint=advice_on(str(error)) or LOGS,
            ) from error
        return count

    def _index(self, selector: str) -> int:
        """Of a card that CANN counts. Raises UnavailableError."""
        count = self._count()
        if selector in map(str, range(count)):
            return int(selector)
        listed = ", ".join(map(str, range(count))) or "none"
        raise UnavailableError(
            f"ascend has no device {selector!r} here; it has: {listed}",
            backend="ascend",
            stage=f"opening {selector}",
            hint="name one of them: --device ascend:0" if count else "see `uadx devices npu`",
        )

    def _convert(self, artifact: ModelArtifact, options: CompileOptions) -> Path:
        """The .om of an ONNX model, made once for each set of batch sizes and kept while this backend lives."""
        if options.precision not in (*PRECISIONS, "auto"):
            raise UnavailableError(
                f"ascend does not compute in {options.precision}; it has: {', '.join(PRECISIONS)}",
                backend="ascend",
                hint=f"--precision {PRECISIONS[0]}, or auto",
            )
        soc, gears = self._sdk.soc_name(), self._gears(options.max_batch)
        digest = hashlib.sha256(artifact.path.read_bytes()).hexdigest()
        with self._converting:
            if self._converted is None:
                self._converted = tempfile.TemporaryDirectory(prefix="uadx-ascend-")
            om = Path(self._converted.name) / f"{digest}-{'-'.join(map(str, gears))}.om"
            if not description.beside(om).exists():
                again = f"to have that done once: {_EXPORT.format(soc=soc)}"
                warnings.warn(
                    f"atc converts the model for {soc} first, which takes minutes; {again}", UadxWarning, stacklevel=2
                )
                atc.convert(artifact.path, om, soc, gears)
        return om

    def _gears(self, largest: int) -> list[int]:
        """1, 2, 4, ... and the largest."""
        return sorted({min(2**power, largest) for power in range(largest.bit_length() + 1)})

    def _described(self, om: Path, precision: Precision) -> Description | None:
        """What lies beside the .om. Raises CompileError for another card's, UnavailableError for other precisions."""
        try:
            described = description.read(om)
        except ValueError as error:
            raise self._unusable(om, str(error), "convert it again with this CANN's atc") from error
        if described is None:
            return None
        soc = self._sdk.soc_name()
        if soc != described.soc_version:
            raise self._unusable(
                om,
                f"it was converted for {described.soc_version}, and this card is {soc}: an .om runs on its own only",
                _EXPORT.format(soc=soc),
            )
        if precision not in ("auto", described.precision):
            raise UnavailableError(
                f"{om} was converted to {described.precision}, and {precision} is asked for",
                backend="ascend",
                hint=f"--precision {described.precision}, or auto",
            )
        return described

    def _failure(self, error: SdkError | ValueError, path: Path, selector: str) -> CompileError | UnavailableError:
        advice = advice_on(str(error)) or LOGS
        if isinstance(error, SdkError) and error.concerns_device:
            return UnavailableError(
                f"ascend:{selector} cannot be opened",
                backend="ascend",
                stage=f"opening {selector}",
                cause_text=str(error),
                hint=advice,
            )
        return self._unusable(path, str(error), advice)

    def _unusable(self, path: Path, cause: str, hint: str) -> CompileError:
        return CompileError(
            f"Ascend cannot use {path}", backend="ascend", stage="loading the model", cause_text=cause, hint=hint
        )


def _info(index: int, name: str, unusable: str = "") -> DeviceInfo:
    precisions = () if unusable else PRECISIONS
    return DeviceInfo(str(index), name, "huawei", "npu", index, precisions=precisions, unusable=unusable)
