"""Is the model where it was asked to be? The tripwire for every silent fallback of a runtime."""

from __future__ import annotations

from uadx.api import CompileOptions, DeviceRef, Placement
from uadx.errors import PlacementError


def check_placement(placement: Placement, ref: DeviceRef, backend: str, options: CompileOptions) -> None:
    """Raise PlacementError where the runtime reports another device or precision than was asked for."""
    if not same_device(placement.device, ref.selector):
        raise PlacementError(
            f"{backend}:{ref.selector} was asked for, but the model runs on {backend}:{placement.device}",
            hint=f"ask for it by name, if that is wanted: --device {backend}:{placement.device}",
        )
    if options.precision not in ("auto", placement.precision):
        if placement.precision == "unknown":
            raise PlacementError(
                f"{backend}:{placement.device} was asked for {options.precision}, but does not say what it runs",
                hint="--precision auto takes what it runs, and holds its numbers to those of f32",
            )
        raise PlacementError(
            f"{backend}:{placement.device} was asked for {options.precision}, but runs in {placement.precision}",
            hint="--precision auto leaves it to the runtime; each result says which precision ran",
        )


def same_device(one: str, other: str) -> bool:
    """Runtimes call the first device "GPU" and "GPU.0", or "CUDAExecutionProvider" and "...:0"."""
    return one.removesuffix(".0").removesuffix(":0") == other.removesuffix(".0").removesuffix(":0")
