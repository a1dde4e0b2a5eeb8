"""Reads devices.yaml: the kinds of devices, the backends that serve each, and their options.

The shipped file comes first; the file of the user (`path`, else UADX_DEVICES, else devices.yaml in the user's
configuration directory) replaces whole kinds, whole option sets, `default` and `auto`. The current directory is
never searched.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

import uadx
from uadx.devices.grammar import NAME
from uadx.errors import ConfigError
from uadx.yaml_file import read_yaml

ENVIRONMENT = "UADX_DEVICES"
FILE = "devices.yaml"

Name = Annotated[str, Meta(pattern=f"^{NAME}$")]


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of device. backends: who may serve it, best first. vendor: for the listing."""

    backends: Annotated[tuple[Name, ...], Meta(min_length=1)]
    vendor: str = ""
    aliases: tuple[Name, ...] = ()


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    """One file as written. A user's file may leave out what it does not change."""

    version: Literal[1]
    default: str | UnsetType = UNSET
    kinds: dict[Name, Kind] = {}
    auto: tuple[Name, ...] | UnsetType = UNSET
    options: dict[Name, dict[str, Any]] = {}


class Devices(Struct, frozen=True):
    """What the files say together. sources: the files that were read, the shipped one first."""

    default: str
    kinds: dict[str, Kind]
    auto: tuple[str, ...]
    options: dict[str, dict[str, Any]]
    sources: tuple[Path, ...]

    @property
    def names(self) -> dict[str, str]:
        """The kind meant by each kind and each alias."""
        aliases = {alias: name for name, kind in self.kinds.items() for alias in kind.aliases}
        return {name: name for name in self.kinds} | aliases

    @property
    def backends(self) -> set[str]:
        """Every backend named in the files, installed or not."""
        return {backend for kind in self.kinds.values() for backend in kind.backends}


def load_devices(path: Path | None = None) -> Devices:
    """The shipped file under the user's. Raises ConfigError that names the file and the place in it."""
    shipped_path = _shipped()
    shipped = _read(shipped_path)
    if shipped.default is UNSET or shipped.auto is UNSET:
        raise ConfigError(f"{shipped_path}: `default` and `auto` are required here", hint="reinstall uadx")
    devices = Devices(shipped.default, shipped.kinds, shipped.auto, shipped.options, (shipped_path,))
    if (user_path := path or _users()) is not None:
        user = _read(user_path)
        devices = Devices(
            default=devices.default if user.default is UNSET else user.default,
            kinds={**devices.kinds, **user.kinds},
            auto=devices.auto if user.auto is UNSET else user.auto,
            options={**devices.options, **user.options},
            sources=(shipped_path, user_path),
        )
    _check(devices)
    return devices


def _shipped() -> Path:
    package = Path(uadx.__file__).parent
    # an editable installation has the file at the root of the repository only
    for path in (package / FILE, package.parent / FILE):
        if path.is_file():
            return path
    raise ConfigError(f"the shipped {FILE} is missing from {package}", hint="reinstall uadx")


def _users() -> Path | None:
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    path = Path(click.get_app_dir("uadx")) / FILE
    return path if path.is_file() else None


def _read(path: Path) -> _File:
    content = read_yaml(path, "devices", f"correct --devices-file or {ENVIRONMENT}, or leave both out")
    try:
        return msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{path}: not a valid devices file",
            cause_text=_located(content, str(error)),
            hint="the path after `at` says where; the shipped devices.yaml shows the form",
        ) from error


def _located(content: object, text: str) -> str:
    """The error with the name of the kind in its path, where msgspec writes `[...]` for the key of a mapping."""
    kinds = content.get("kinds") if isinstance(content, dict) else None
    if "$.kinds[...]" in text and isinstance(kinds, dict):
        for name, kind in kinds.items():
            try:
                msgspec.convert({"version": 1, "kinds": {name: kind}}, _File)
            except msgspec.ValidationError as error:
                return str(error).replace("$.kinds[...]", f"$.kinds.{name}")
    return text


def _check(devices: Devices) -> None:
    def wrong(where: str, what: str) -> ConfigError:
        return ConfigError(f"{devices.sources[-1]}: {what} - at `{where}`")

    seen = {"auto": "the word auto"} | {name: f"the kind {name}" for name in devices.kinds}
    if "auto" in devices.kinds:
        raise wrong("$.kinds.auto", "a kind may not be called auto")
    for name, kind in devices.kinds.items():
        if name in devices.backends:
            raise wrong(f"$.kinds.{name}", f"{name!r} is a backend, and cannot be a kind too")
        for alias in kind.aliases:
            if alias in devices.backends:
                raise wrong(f"$.kinds.{name}.aliases", f"{alias!r} is a backend, and cannot be an alias too")
            if alias in seen:
                raise wrong(f"$.kinds.{name}.aliases", f"the alias {alias!r} is already {seen[alias]}")
            seen[alias] = f"an alias of {name}"
    for position, name in enumerate(devices.auto):
        if name not in devices.kinds:
            raise wrong(f"$.auto[{position}]", f"there is no kind {name!r}")
