"""The public interface between uadx and a backend: what a plugin author implements, NumPy only at the boundary.

The core pads and splits batches, owns devices, warms up and measures; a backend compiles one model for one device
and runs it. A backend never chooses a device and never falls back to another. ABCs rather than Protocols, so that a
plugin written today survives a method added tomorrow with a default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pluggy

from uadx.errors import UsageError

if TYPE_CHECKING:  # NumPy stays out of `uadx --help`
    import numpy as np
    from numpy.typing import NDArray


class _ApiVersion(int):
    """A number that can be told from a plugin's own: one that copies it would claim to fit every version."""


API_VERSION = _ApiVersion(1)
"""The version of this interface. A plugin writes the number it was made for as a literal in `BackendSpec.api`."""

Array: TypeAlias = "NDArray[np.generic[Any]]"
"""Any NumPy array; a string, because this module must be cheap to import."""

Maturity: TypeAlias = Literal["verified", "unverified"]
Precision: TypeAlias = Literal["f32", "bf16", "f16", "int8", "auto"]
Hint: TypeAlias = Literal["latency", "throughput"]

hookspec = pluggy.HookspecMarker("uadx")
hookimpl = pluggy.HookimplMarker("uadx")


@dataclass(frozen=True)
class BackendSpec:
    """What a plugin says of its backend before any SDK is imported.

    name: the first part of `name:selector` device strings, lower case.
    api: the API_VERSION the plugin was written for, as a literal.
    factory: "module:Class" of the Backend subclass, imported only when the backend is used.
    kinds: the device kinds (keys of devices.yaml) that it can serve.
    formats: the artifact formats that it compiles, "onnx" above all.
    sdk_modules: import names whose absence means "not installed".
    visible_env: the vendor's visible-devices variables, shown to the user and never edited.
    default_precision: what it is asked for where the user asks for none.
    maturity: "verified" once the conformance kit ran on real hardware; evidence says where.
    discovery: "module:function" that takes a uadx.machine.Machine, imports no SDK and gives Findings; "" for none.
    exports: for each format that `uadx export` can have of it, "module:function" of (ModelArtifact, Path,
    ExportOptions) -> Exported, which writes into an empty directory and imports the SDK or calls its tools then.
    """

    name: str
    api: int
    factory: str
    kinds: tuple[str, ...]
    summary: str
    install_hint: str
    formats: tuple[str, ...] = ("onnx",)
    docs: str = ""
    sdk_modules: tuple[str, ...] = ()
    visible_env: tuple[str, ...] = ()
    simulated: bool = False
    maturity: Maturity = "unverified"
    evidence: str = ""
    discovery: str = ""
    default_precision: Precision = "f32"
    exports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One thing that a machine has or lacks, found without the SDK. what: "card", "driver", "SDK". text: what was
    found, or what was looked for, one line."""

    what: str
    present: bool
    text: str


@dataclass(frozen=True)
class DeviceInfo:
    """One device that a backend sees. selector: the runtime's own name for it ("CPU", "GPU.0").

    kind: its key in devices.yaml, or None where it is reached only as `backend:selector` (OpenVINO's GPU is not
    uadx's `gpu`). index: its logical number within the kind. memory: bytes, or None where unknown. maturity: where
    it is another than the backend's, as for a device that its makers had no card of. unusable: why a device that is
    seen cannot be used, such as a missing driver; empty where it can.
    """

    selector: str
    name: str
    vendor: str
    kind: str | None = None
    index: int = 0
    memory: int | None = None
    precisions: tuple[str, ...] = ("f32",)
    maturity: Maturity | None = None
    unusable: str = ""


@dataclass(frozen=True)
class DeviceRef:
    """The one device a model is compiled for. selector: the runtime's own name, as in DeviceInfo."""

    selector: str
    kind: str | None = None
    index: int = 0


@dataclass(frozen=True)
class ModelArtifact:
    """A model file on disk and its sha256 in hexadecimal. format: "onnx", ...

    target: the one kind of chip that it was compiled for, such as "Ascend310P3"; "" for any. precision: what it was
    compiled to; "" for whatever it is asked for.
    """

    path: Path
    format: str
    sha256: str
    target: str = ""
    precision: str = ""


@dataclass(frozen=True)
class CompileOptions:
    """How to compile. max_batch: the largest batch that infer will see. latency asks for one fast request at a
    time, throughput for several side by side. threads: CPU threads to use, None for the runtime's choice."""

    precision: Precision = "f32"
    max_batch: int = 1
    hint: Hint = "throughput"
    threads: int | None = None


@dataclass(frozen=True)
class ExportOptions:
    """What to convert a model to. precision, target: None for the exporter's choice, or its error where it has none.

    batches: the batch sizes to convert for, where the format fixes them. converted: the file that the vendor's tool
    made elsewhere, to be taken over and not made here.
    """

    precision: Precision | None = None
    target: str | None = None
    batches: tuple[int, ...] = (1, 2, 4, 8)
    converted: Path | None = None

    def for_every_device(self, format: str, *precisions: Precision) -> None:
        """For an exporter whose file is the same for every device: raise UsageError for what would make it another.

        precisions: those that it is made in.
        """
        given = self.target is not None or self.converted is not None or self.batches != ExportOptions.batches
        if given or self.precision not in (None, *precisions):
            raise UsageError(
                f"the format {format!r} is one file for every device, in {', '.join(precisions)}",
                hint="it takes no --soc-version, --batch or --converted, and no other --precision; the int8 form is "
                "made without --format",
            )


@dataclass(frozen=True)
class Exported:
    """The file that a backend runs, among those that an exporter wrote. target, precision: as in ModelArtifact."""

    path: Path
    target: str = ""
    precision: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output. shape: -1 for a dynamic dimension. dtype: NumPy's name ("uint8", "float32")."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Capabilities:
    """What a compiled model can do. async_depth: requests that run side by side behind submit (1: synchronous).

    max_batch: the largest batch, None for any. static_batch: the one batch size it takes, None for any.
    """

    precision: str
    max_batch: int | None = None
    static_batch: int | None = None
    async_depth: int = 1
    thread_safe: bool = False


@dataclass(frozen=True)
class Placement:
    """Where the model really runs, read back from the runtime and never the request echoed."""

    device: str
    precision: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MemoryInfo:
    """Device memory in bytes."""

    used: int
    total: int


class CompiledModel(ABC):
    """A model on a device. A context manager; close() may be called twice.

    Outputs are copies that the caller owns; inputs are never written.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    capabilities: Capabilities

    @abstractmethod
    def placement(self) -> Placement:
        """Where and how the model runs, as the runtime reports it."""

    @abstractmethod
    def infer(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch: arrays by input name in, arrays by output name out. Raises InferenceError."""

    def submit(self, batch: Mapping[str, Array]) -> Future[dict[str, Array]]:
        """Start one batch and return its future. The default runs infer at once.

        The batch must stay unchanged until the future is done.
        """
        future: Future[dict[str, Array]] = Future()
        try:
            future.set_result(self.infer(batch))
        except Exception as error:  # the future carries it to the caller
            future.set_exception(error)
        return future

    def memory(self) -> MemoryInfo | None:
        """Device memory, or None where the runtime does not say."""
        return None

    def close(self) -> None:  # noqa: B027  (a backend with nothing to release need not say so)
        """Release the device. Calling it again does nothing."""

    def __enter__(self) -> CompiledModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Backend(ABC):
    """One SDK. Constructed when it is used, so this is where the SDK may be imported.

    options: the backend's entry of `options:` in devices.yaml. binding: a stand-in for the SDK, for tests.
    """

    def __init__(self, spec: BackendSpec, options: Mapping[str, object], binding: object | None = None) -> None:
        self.spec = spec
        self.options = options
        self.binding = binding

    @abstractmethod
    def devices(self) -> Sequence[DeviceInfo]:
        """The devices at hand. Creates no context, edits no environment; raises UnavailableError with a reason."""

    @abstractmethod
    def compile(self, artifact: ModelArtifact, device: DeviceRef, options: CompileOptions) -> CompiledModel:
        """Compile for exactly this device. Raises UnavailableError, CompileError or PlacementError."""

    def choose(self, artifacts: Sequence[ModelArtifact], device: DeviceRef, options: CompileOptions) -> ModelArtifact:
        """The one to compile among several forms of a model, at least one, all of the spec's formats.

        The default is the first one that was compiled for no chip in particular. Raises UnavailableError.
        """
        return next((artifact for artifact in artifacts if not artifact.target), artifacts[0])

    def versions(self) -> Mapping[str, str]:
        """Versions of SDK, driver and firmware, by name."""
        return {}
