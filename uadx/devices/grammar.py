"""The grammar of device strings: text in, a request out, and back.

    device = "auto" | kind [ ":" index { "," index } ] | backend ":" selector { "," selector }

Kinds and their aliases come from devices.yaml, backends from the plugins; a selector is the runtime's own word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from uadx.errors import DeviceSyntaxError

NAME = r"[a-z][a-z0-9_-]*"
_INDICES = re.compile(r"[0-9]{1,4}(,[0-9]{1,4})*")


@dataclass(frozen=True)
class Auto:
    """The first kind of the `auto` list that is usable."""

    def __str__(self) -> str:
        return "auto"


@dataclass(frozen=True)
class KindDevice:
    """Devices of one kind by their logical numbers; none given means the first."""

    kind: str
    indices: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(map(str, self.indices))}" if self.indices else self.kind


@dataclass(frozen=True)
class BackendDevice:
    """Devices of one backend, in the runtime's own words. One named twice holds the model twice."""

    backend: str
    selectors: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.backend}:{','.join(self.selectors)}"


Device: TypeAlias = Auto | KindDevice | BackendDevice


def parse(text: str, kinds: Mapping[str, str], backends: Collection[str]) -> Device:
    """Read a device string. kinds: kind by kind and by alias. Raises DeviceSyntaxError with a "did you mean"."""
    head, colon, rest = text.strip().partition(":")
    if head == "auto":
        if colon:
            raise DeviceSyntaxError(f"device {text!r}: auto takes no index", hint="use auto, or a kind: gpu:0")
        return Auto()
    if head in kinds:
        return KindDevice(kinds[head], _indices(text, head, rest) if colon else ())
    if head in backends:
        selectors = tuple(rest.split(","))
        if any(not selector or selector != selector.strip() for selector in selectors):
            raise DeviceSyntaxError(
                f"device {text!r}: {head} is a backend and needs a device of its own after the colon",
                hint=f"write {head}:DEVICE in the runtime's words, such as openvino:CPU",
            )
        return BackendDevice(head, selectors)
    raise _unknown(text, head, colon + rest, kinds, backends)


def _indices(text: str, kind: str, rest: str) -> tuple[int, ...]:
    if not _INDICES.fullmatch(rest):
        raise DeviceSyntaxError(
            f"device {text!r}: {rest!r} is no list of device numbers", hint=f"write {kind}:0 or {kind}:0,1"
        )
    indices = tuple(int(index) for index in rest.split(","))
    twice = next((index for index in indices if indices.count(index) > 1), None)
    if twice is not None:
        raise DeviceSyntaxError(f"device {text!r}: {kind}:{twice} is named twice", hint="name each device once")
    return indices


def _unknown(text: str, head: str, rest: str, kinds: Mapping[str, str], backends: Collection[str]) -> DeviceSyntaxError:
    known = ["auto", *kinds, *backends]
    near = get_close_matches(head.lower(), known, n=1)
    first = head.partition(",")[0]
    if first in kinds and "," in head:
        return DeviceSyntaxError(f"device {text!r}: several devices share one kind", hint=f"write {first}:0,1")
    advice = f"; did you mean {near[0] + rest!r}?" if near else ""
    return DeviceSyntaxError(
        f"there is no device {text!r}{advice}",
        hint=f"kinds: {', '.join(sorted(set(kinds.values())))}; backends: {', '.join(sorted(backends))}",
    )
