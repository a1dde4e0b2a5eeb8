"""What torch has on this machine, by torch's own names: cpu, cuda:0, mps, xpu:0.

Cards are counted through NVML where that is there. Their properties initialise CUDA, which takes no memory of a card,
and forbids a later fork of the process.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

import torch

from uadx.api import DeviceInfo


def devices() -> Iterator[DeviceInfo]:
    """All of them; a kind of card that this torch or this machine cannot use has its reason in `unusable`."""
    half = ("f16",) if _convolves_in_half_precision() else ()
    yield DeviceInfo("cpu", f"CPU ({platform.machine()})", "any", "cpu", precisions=("f32", "bf16", *half))
    yield from _cuda()
    if torch.backends.mps.is_available():
        yield DeviceInfo("mps", "Apple GPU", "apple", precisions=("f32", "f16"), maturity="unverified")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            card = torch.xpu.get_device_properties(index)
            yield _card(f"xpu:{index}", card, "intel", None, index)


def _convolves_in_half_precision() -> bool:
    """Newer releases do on the CPU: slowly, but it shows what float16 makes of a model."""
    try:
        one = torch.ones(1, 1, 1, 1, dtype=torch.float16)
        torch.nn.functional.conv2d(one, one)
    except RuntimeError:
        return False
    return True


def _cuda() -> Iterator[DeviceInfo]:
    vendor = "amd" if torch.version.hip else "nvidia"
    kind = None if torch.version.hip else "gpu"  # uadx's gpu is NVIDIA's; ROCm is reached as torch:cuda:N
    if torch.version.cuda is None and not torch.version.hip:
        yield _missing("this torch is built without CUDA: install the build that has it (pytorch.org/get-started)")
        return
    count = torch.cuda.device_count()
    if count == 0 and kind is not None:
        yield _missing("torch sees no CUDA card: see what nvidia-smi says")
    for index in range(count):
        yield _card(f"cuda:{index}", torch.cuda.get_device_properties(index), vendor, kind, index)


def _missing(reason: str) -> DeviceInfo:
    return DeviceInfo("cuda:0", "CUDA", "nvidia", "gpu", precisions=(), maturity="unverified", unusable=reason)


def _card(selector: str, card: Any, vendor: str, kind: str | None, index: int) -> DeviceInfo:
    bf16 = ("bf16",) if vendor != "nvidia" or card.major >= 8 else ()
    return DeviceInfo(
        selector,
        card.name,
        vendor,
        kind,
        index,
        memory=card.total_memory,
        precisions=("f32", *bf16, "f16"),
        maturity="unverified",
        unusable=_unbuilt(card) if vendor == "nvidia" else "",
    )


def _unbuilt(card: Any) -> str:
    """Why this torch has no code for a card: its wheels leave old ones out, and cannot know newer ones."""
    built = torch.cuda.get_arch_list()
    own = f"sm_{card.major}{card.minor}"
    same_major = [name for name in built if name.startswith(f"sm_{card.major}") and name <= own]
    ahead_of_time = any(name.startswith("compute_") and name <= f"compute_{card.major}{card.minor}" for name in built)
    if not built or same_major or ahead_of_time:
        return ""
    return f"this torch is built for {', '.join(built)} and the card is {own}: install the build that has it"
