"""Opens a model on the devices that a string asks for: compiled on each, every placement checked, loads shared.

`fallback` is the only way to another device than was asked for: it warns, and the reason stands in each result.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from uadx.api import CompiledModel
from uadx.contract import plugin_code
from uadx.devices.compiling import Request, compile_for
from uadx.devices.resolve import Located, Resolver
from uadx.devices.unusable import Skipped
from uadx.errors import InferenceError, PlacementError, PluginError, UadxError, UadxWarning, UnavailableError
from uadx.request_pool import RequestPool


class Share:
    """One device's part of a run. used: "openvino:CPU", as the runtime reports it; precision: likewise.

    pool: threads of its own, one for each request that it takes at a time, where the run is shared, because a backend
    whose submit returns only when the batch is done would else keep the other devices waiting; a single one where the
    model is not thread safe, so that it is called by one thread at a time. None: the model is called as it is.
    """

    def __init__(self, compiled: CompiledModel, used: str, precision: str) -> None:
        self.compiled = compiled
        self.used = used
        self.precision = precision
        self.in_flight = 0
        self.pool: RequestPool | None = None

    def close(self) -> None:
        """Wait for what is under way and release the device."""
        if self.pool is not None:
            self.pool.close()
        with plugin_code(InferenceError, f"{self.used} cannot be closed", self.used.partition(":")[0], "closing"):
            self.compiled.close()


@dataclass
class OpenedModel:
    """A model on one device or several. requested: the device string as written, or the default.

    backend: who serves it. skipped: the candidates that were passed over before, each with its reason.
    fallback_reason: why the device that was asked for is not the one that runs, None where it is. explain: the
    plugin's advice on an error of its own.
    """

    shares: Sequence[Share]
    requested: str
    backend: str
    simulated: bool
    explain: Callable[[BaseException], str | None]
    skipped: tuple[Skipped, ...] = ()
    fallback_reason: str | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        for share in self.shares:
            capabilities = share.compiled.capabilities
            if len(self.shares) > 1 or not capabilities.thread_safe:
                threads = capabilities.async_depth if capabilities.thread_safe else 1
                share.pool = RequestPool(threads, f"uadx-{share.used}")

    @property
    def compiled(self) -> CompiledModel:
        """The model on the first device; the others have the same tensors and capabilities."""
        return self.shares[0].compiled

    @property
    def used(self) -> str:
        """All devices: "openvino:CPU", "torch:cuda:0,cuda:1"."""
        return f"{self.backend}:{','.join(share.used.partition(':')[2] for share in self.shares)}"

    @property
    def precision(self) -> str:
        """The precisions that run, one where they are the same on all devices."""
        return ",".join(dict.fromkeys(share.precision for share in self.shares))

    @property
    def label(self) -> str:
        """What people are told: "openvino:CPU (f32)", "ascend-sim:0 (f16, SIMULATED)"."""
        return f"{self.used} ({self.precision}{', SIMULATED' * self.simulated})"

    @property
    def async_depth(self) -> int:
        """Requests that run side by side on all devices together."""
        return sum(share.compiled.capabilities.async_depth for share in self.shares)

    def borrow(self) -> Share:
        """The device with the fewest batches under way, one more counted on it; give it back when that is done."""
        with self._lock:
            share = min(self.shares, key=lambda share: share.in_flight)
            share.in_flight += 1
            return share

    def give_back(self, share: Share) -> None:
        """One batch of a borrowed device is done."""
        with self._lock:
            share.in_flight -= 1

    def close(self) -> None:
        """Release all devices."""
        with ExitStack() as closing:  # one that fails leaves no other open
            for share in self.shares:
                closing.callback(share.close)


def open_model(
    request: Request, device: str | None, *, fallback: str | None = None, devices_file: Path | None = None
) -> OpenedModel:
    """Compile a model for a device string; None means UADX_DEVICE, else the default of devices.yaml.

    fallback: the device string to use where `device` cannot be used here, with a UadxWarning.

    Raises DeviceSyntaxError for the strings, ConfigError for devices.yaml, UnavailableError with a reason for each
    candidate, PluginError, CompileError, and PlacementError where the runtime did not do as asked.
    """
    resolver = Resolver(device, devices_file)
    second = None if fallback is None else Resolver(fallback, devices_file)
    try:
        return _open(request, resolver)
    except (UnavailableError, PluginError, PlacementError) as error:
        if second is None:
            raise
        reason = error.in_one_line
        try:
            opened = _open(request, second)
        except UadxError as worse:
            worse.message += f", and it is the fallback: {reason}"
            raise
        warnings.warn(f"{reason}; running on {opened.used}, the fallback that was asked for", UadxWarning, stacklevel=2)
        opened.requested, opened.fallback_reason = resolver.requested, reason
        return opened


def _open(request: Request, resolver: Resolver) -> OpenedModel:
    def compile_all(located: Located) -> tuple[Located, list[Share]]:
        with ExitStack() as opened:  # closes those before one that fails
            shares = []
            for ref in located.refs:
                compiled, placement = compile_for(request, located, ref, resolver.plugins)
                opened.callback(compiled.close)
                shares.append(Share(compiled, f"{located.name}:{placement.device}", placement.precision))
            opened.pop_all()
        return located, shares

    (located, shares), skipped = resolver.first(compile_all)
    explain = partial(resolver.plugins.explain, located.name)
    return OpenedModel(shares, resolver.requested, located.name, located.spec.simulated, explain, skipped)
