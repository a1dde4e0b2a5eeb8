"""The error for a device that nothing here can serve: every candidate with its reason, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uadx.errors import UadxError, UnavailableError


@dataclass(frozen=True)
class Skipped:
    """A candidate that was passed over. provider: "openvino (uadx 0.1.0)". kind: None for a named backend."""

    kind: str | None
    backend: str
    provider: str
    error: UadxError

    def __str__(self) -> str:
        return f"{self.provider}: {self.error.message}"


class NoUsableDeviceError(UnavailableError):
    """No candidate for the requested device can be used.

    skipped: all of them, in the order they were tried. instead: a device string that may serve, None for none.
    """

    def __init__(self, requested: str, skipped: Sequence[Skipped], instead: str | None = None) -> None:
        tried = f"{len(skipped)} backend{'s' * (len(skipped) != 1)} tried"
        hints = [one.error.hint for one in skipped if one.error.hint is not None]
        names = {one.kind or one.backend for one in skipped}
        listing = f"uadx devices {names.pop()}" if len(names) == 1 else "uadx devices"
        hints.append(f"see what there is, and why not the rest: `{listing}`")
        super().__init__(f"{requested} is not usable: {tried}", hint=hints[0])
        self.args = (requested, tuple(skipped), instead)  # what unpickling calls it with
        self.skipped = tuple(skipped)
        self.instead = instead

    @property
    def in_one_line(self) -> str:
        reasons = "; ".join(str(one) for one in self.skipped)
        return f"{self.message}: {reasons}"

    def render(self) -> str:
        lines = [f"error: {self.message}"]
        for one in self.skipped:
            lines.append(f"  {one}")
            lines += [f"    {line}" for line in (one.error.cause_text or "").strip().splitlines()]
        lines.append(f"  fix: {self.hint}")
        if self.instead:
            lines.append(f"  or: run on another device, such as --device {self.instead}")
        return "\n".join(lines)
