"""Who claims which backend name: read from the metadata of the installed distributions, nothing imported.

importlib.metadata.entry_points() does the same and stops at the first file that it cannot parse; here such a file
is one claim with a problem, and every other distribution is still found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions

GROUP = "uadx.backends"
OWN = "uadx"


@dataclass(frozen=True)
class Claim:
    """One entry point. distribution and version: of the package that has it, "unknown" where its metadata is gone."""

    name: str
    entry: EntryPoint
    distribution: str
    version: str

    @property
    def provider(self) -> str:
        """Such as "uadx 0.1.0"."""
        return f"{self.distribution} {self.version}"

    @property
    def module(self) -> str:
        """The module that the entry point names."""
        return self.entry.value.partition(":")[0].strip()


@dataclass(frozen=True)
class Unreadable:
    """A distribution whose entry points mention backends and cannot be parsed. reason: one line."""

    distribution: str
    version: str
    reason: str


def find_claims() -> tuple[dict[str, list[Claim]], list[Unreadable]]:
    """The claims by backend name, and what could not be read. A distribution found twice counts once, the first on
    sys.path. A name of uadx's own cannot be taken: see Plugins."""
    claims: dict[str, list[Claim]] = {}
    unreadable = []
    seen = set()
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt")
        except (OSError, UnicodeDecodeError):  # of a package that has nothing to do with uadx, as far as can be told
            continue
        if text is None or GROUP not in text:
            continue
        name, version = _identity(distribution)
        key = name.lower().replace("_", "-").replace(".", "-")
        if key in seen and name != "unknown":
            continue
        seen.add(key)
        try:
            for entry in _entries(distribution):
                claims.setdefault(entry.name, []).append(Claim(entry.name, entry, name, version))
        except Exception as error:  # whatever the parser makes of a damaged file
            reason = f"its entry_points.txt cannot be read: {type(error).__name__}: {error}"
            unreadable.append(Unreadable(name, version, reason))
    return claims, unreadable


def _entries(distribution: Distribution) -> Iterator[EntryPoint]:
    for entry in list(distribution.entry_points):
        if entry.group == GROUP:
            yield entry


def _identity(distribution: Distribution) -> tuple[str, str]:
    """Name and version, also of a distribution whose METADATA is gone."""
    try:
        return distribution.metadata["Name"] or "unknown", distribution.version or "unknown"
    except Exception:  # newer Pythons raise here
        return "unknown", "unknown"
