"""Simulators of the vendors' cards, for building a line before the card has come: never a device of any kind.

The real graph runs on the CPU under the limits of the card's backend. Nothing of a vendor's SDK is imported, and
nothing is proved about a card.
"""

from __future__ import annotations

from uadx.api import BackendSpec, Precision, hookimpl


def _spec(vendor: str, summary: str, default_precision: Precision = "f32") -> BackendSpec:
    return BackendSpec(
        name=f"{vendor}-sim",
        api=1,
        factory="uadx_simulators.backend:SimulatorBackend",
        kinds=(),
        summary=summary,
        install_hint="python -m pip install openvino",
        sdk_modules=("openvino",),
        simulated=True,
        default_precision=default_precision,
    )


SPECS = [
    _spec("ascend", "a simulated Ascend card: the CPU under the limits of an .om", "f16"),
    _spec("kunlun", "a simulated Kunlunxin card: the CPU under the limits of Paddle Inference on an XPU"),
    _spec("cambricon", "a simulated Cambricon card: the CPU under the limits of torch_mlu"),
]


@hookimpl
def uadx_backends() -> list[BackendSpec]:
    return SPECS
