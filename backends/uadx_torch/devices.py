"""What torch has on this machine, by torch's own names: cpu, cuda:0, mps, xpu:0.

Reading a card's properties initialises CUDA in this process, so that a process forked later cannot use it, but makes
no context: no memory of the card is taken.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from uadx.api import DeviceInfo


def devices() -> Iterator[DeviceInfo]:
    """All of them; a card that this torch or this machine cannot use has the reason in `unusable`."""
    yield DeviceInfo("cpu", f"CPU ({platform.machine()})", "any", "cpu", precisions=tuple(_tried_on_the_cpu()))
    yield from _cuda()
    if torch.backends.mps.is_available():
        yield DeviceInfo("mps", "Apple GPU", "apple", precisions=("f32", "f16"), maturity="unverified")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            yield _card(f"xpu:{index}", torch.xpu.get_device_properties(index), "intel", None, index)


def _tried_on_the_cpu() -> Iterator[str]:
    """torch has no word for it, and older releases lack half-precision convolutions."""
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16), ("f16", torch.float16)):
        one = torch.ones(1, 1, 1, 1, dtype=dtype)
        try:
            functional.conv2d(one, one)
        except RuntimeError:
            continue
        yield name


def _cuda() -> Iterator[DeviceInfo]:
    """ROCm's cards too, which torch calls by the same name. uadx's `gpu` is NVIDIA's, so they have no kind."""
    if sys.platform == "darwin":
        return
    vendor, kind = ("amd", None) if torch.version.hip else ("nvidia", "gpu")
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip()
        yield DeviceInfo("cuda:0", "CUDA", vendor, kind, precisions=(), maturity="unverified", unusable=reason)
        return
    for index, card in enumerate(cards):
        yield _card(f"cuda:{index}", card, vendor, kind, index)


def _card(selector: str, card: Any, vendor: str, kind: str | None, index: int) -> DeviceInfo:
    bf16 = ("bf16",) if vendor != "nvidia" or card.major >= 8 else ()
    unusable = missing_code(card.major, card.minor, torch.cuda.get_arch_list()) if vendor == "nvidia" else ""
    return DeviceInfo(
        selector,
        card.name,
        vendor,
        kind,
        index,
        memory=card.total_memory,
        precisions=("f32", *bf16, "f16"),
        maturity="unverified",
        unusable=unusable,
    )


def missing_code(major: int, minor: int, built: list[str]) -> str:
    """Why a torch built for `built` ("sm_80", "compute_90") has no code for a card of that compute capability.

    Empty where it has. Code runs on cards of its own major version from its minor version on; "compute_" is code
    that the driver compiles for all later cards
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capability).
    """
    own = 10 * major + minor
    known = [(form, int(version)) for name in built for form, version in re.findall(r"^(sm|compute)_(\d+)", name)]
    if not known or any(version <= own and (form == "compute" or version // 10 == major) for form, version in known):
        return ""
    return f"this torch is built for {', '.join(built)} and the card is sm_{own}"
