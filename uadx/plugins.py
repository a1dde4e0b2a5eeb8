"""Lists the installed backends and loads the one that is needed, whatever state the others are in.

A thin layer over pluggy, whose own loader imports every plugin, aborts at the first that raises (even SystemExit)
and skips a duplicate name in file-system order. Here an entry point's name is its backend's name, so nothing is
imported to list them, one plugin is imported to use one, and a broken plugin is a status with a reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from traceback import walk_tb
from typing import Literal

import pluggy

from uadx import hookspecs
from uadx.api import API_VERSION, Backend, BackendSpec
from uadx.claims import OWN, Claim, find_claims
from uadx.contract import misfit, words
from uadx.devices.grammar import NAME
from uadx.errors import PluginError, UadxError, UnavailableError

ALLOW_LIST = "UADX_LOAD_PLUGINS"


@dataclass(frozen=True)
class Plugin:
    """One backend name and the state of what provides it. spec and manager are there when status is ok.

    status: ok; broken (its import or its hook failed); conflict (two distributions claim the name); incompatible
    (written for another API version); blocked (not in UADX_LOAD_PLUGINS). reason: why, where it is not ok.
    """

    name: str
    distribution: str
    version: str
    status: Literal["ok", "broken", "conflict", "incompatible", "blocked"]
    reason: str = ""
    spec: BackendSpec | None = None
    manager: pluggy.PluginManager | None = None
    error: BaseException | None = None


class Plugins:
    """The backends that are installed, as the entry points and the allow-list stood when this was made.

    refused: claims of other distributions on a name of uadx's own, which is never given away. unreadable:
    distributions whose entry points cannot be parsed.
    """

    def __init__(self) -> None:
        self._claims, self.unreadable = find_claims()
        self.refused: list[Claim] = []
        for name, claims in self._claims.items():
            if own := [claim for claim in claims if claim.distribution == OWN]:
                self.refused += [claim for claim in claims if claim.distribution != OWN]
                self._claims[name] = own
        listed = os.environ.get(ALLOW_LIST)
        self._allowed = None if listed is None else {name.strip() for name in listed.split(",")}
        self._loaded: dict[str, Plugin] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The backend names that are installed, sorted; nothing is imported."""
        return tuple(sorted(self._claims))

    def load(self, name: str) -> Plugin:
        """Import the plugin of one installed name, once. Raises nothing but KeyboardInterrupt: see the status."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def spec(self, name: str) -> BackendSpec:
        """What a backend says of itself. Raises UnavailableError if not installed, PluginError if not usable."""
        if name not in self._claims:
            raise UnavailableError(f"no installed package provides the backend {name!r}", backend=name)
        plugin = self.load(name)
        if plugin.spec is None:
            raise PluginError(
                f"the backend {name!r} is {'in ' * (plugin.status == 'conflict')}{plugin.status}: {plugin.reason}",
                backend=name,
                hint=fix(plugin),
            ) from plugin.error
        return plugin.spec

    def open(self, name: str, options: Mapping[str, object]) -> Backend:
        """Construct a backend, which imports its SDK. Raises UnavailableError or PluginError."""
        spec = self.spec(name)
        try:
            factory = _attribute(spec.factory)
            if not (isinstance(factory, type) and issubclass(factory, Backend)):
                raise self._broken(name, f"its factory {spec.factory!r} is no Backend class")
            return factory(spec, options)
        except (UadxError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._import_failure(spec, error) from error

    @property
    def exports(self) -> dict[str, str]:
        """The backend that exports each format: one of uadx's own before any other. Imports all plugins, no SDK."""
        names = sorted(self._claims, key=lambda name: (self._claims[name][0].distribution != OWN, name))
        specs = [plugin.spec for plugin in map(self.load, names) if plugin.spec is not None]
        return {format: spec.name for spec in reversed(specs) for format in spec.exports}

    def exporter(self, name: str, format: str) -> Callable[..., object]:
        """The function by which a backend exports a format. Raises PluginError."""
        reference = self.spec(name).exports[format]
        try:
            exporter = _attribute(reference)
        except Exception as error:
            raise self._broken(name, f"its exporter {reference!r} cannot be loaded", words(error)) from error
        if not callable(exporter):
            raise self._broken(name, f"its exporter {reference!r} is no function")
        return exporter

    def explain(self, name: str, error: BaseException) -> str | None:
        """The plugin's advice on an error of its backend. A failure to advise never hides the error itself."""
        manager = self.load(name).manager
        if manager is None:
            return None
        try:
            advice: str | None = manager.hook.uadx_explain_failure(backend=name, error=error)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:
            return f"(the plugin's own advice failed: {words(failure)})"
        return advice

    def describe(self, name: str) -> str:
        """The backend's name and what provides it, such as "openvino (uadx 0.1.0)"; nothing is imported."""
        if name not in self._claims:
            return name
        return f"{name} ({' and '.join(claim.provider for claim in self._claims[name])})"

    def contested(self, name: str) -> bool:
        """Whether several distributions claim an installed name."""
        return len(self._claims[name]) > 1

    def claim(self, name: str) -> Claim:
        """The first claim on an installed name; nothing is imported."""
        return self._claims[name][0]

    def _broken(self, name: str, what: str, cause: str | None = None) -> PluginError:
        return PluginError(
            f"the backend {name!r} is broken: {what}", backend=name, cause_text=cause, hint=fix(self.load(name))
        )

    def _load(self, name: str) -> Plugin:
        claims = self._claims[name]
        distribution, version = claims[0].distribution, claims[0].version
        if self._allowed is not None and name not in self._allowed:
            blocked = f"{ALLOW_LIST} does not list it"
            return Plugin(name, distribution, version, "blocked", blocked)
        if not re.fullmatch(NAME, name) or name == "auto":
            unfit = f"{name!r} cannot be typed as a device: a name is lower case letters, digits, - and _"
            return Plugin(name, distribution, version, "broken", unfit)
        if len(claims) > 1:
            both = "claimed by " + " and by ".join(sorted(claim.provider for claim in claims))
            return Plugin(name, distribution, version, "conflict", both)
        try:
            manager, spec = _import(claims[0])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: the import of a plugin ends no program
            return Plugin(name, distribution, version, "broken", words(error), error=error)
        if reason := _other_version(spec):
            return Plugin(name, distribution, version, "incompatible", reason)
        if reason := misfit(spec):
            return Plugin(name, distribution, version, "broken", reason)
        return Plugin(name, distribution, version, "ok", spec=spec, manager=manager)

    def _import_failure(self, spec: BackendSpec, error: BaseException) -> UadxError:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing in spec.sdk_modules:
            return UnavailableError(
                f"the package {missing!r} is not installed",
                backend=spec.name,
                stage=f"importing {missing}",
                hint=spec.install_hint,
            )
        if _comes_from(error, spec.sdk_modules):
            return UnavailableError(
                f"the SDK of {spec.name!r} is installed but cannot be loaded",
                backend=spec.name,
                stage=f"importing {', '.join(spec.sdk_modules)}",
                cause_text=words(error),
                hint=self.explain(spec.name, error) or f"reinstall it: {spec.install_hint}",
            )
        return self._broken(spec.name, f"its factory {spec.factory!r} cannot be loaded", words(error))


def _attribute(reference: str) -> object:
    """What "module:name" means, None where the module has no such name."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute, None)


def _comes_from(error: BaseException, modules: Sequence[str]) -> bool:
    """Whether an SDK raised it: one of its Python frames is in the traceback, or its own library did not load."""
    frames = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    library = error.name or "" if isinstance(error, ImportError) else ""
    return any(f"{name}.".startswith(f"{module}.") for name in (*frames, library) for module in modules)


def _import(claim: Claim) -> tuple[pluggy.PluginManager, BackendSpec]:
    """Import one plugin into a pluggy manager of its own, check its hooks and find the spec of its name."""
    manager = pluggy.PluginManager("uadx")
    manager.add_hookspecs(hookspecs)
    manager.register(_module(claim))
    manager.check_pending()  # a misspelt hook would otherwise be ignored
    specs = [spec for specs in manager.hook.uadx_backends() for spec in specs]
    for spec in specs:
        if not isinstance(spec, BackendSpec):
            raise TypeError(f"uadx_backends() gave {spec!r}, which is no BackendSpec")
        if spec.name == claim.name:
            return manager, spec
    declared = ", ".join(spec.name for spec in specs) or "none"
    raise LookupError(f"{claim.entry.value} declares no backend {claim.name!r}; it declares: {declared}")


class _StaleMetadata(Exception):  # noqa: N818
    """A distribution was removed and its metadata was not."""


def _module(claim: Claim) -> object:
    try:
        return claim.entry.load()
    except ModuleNotFoundError as error:
        if error.name and f"{claim.module}.".startswith(f"{error.name}."):
            raise _StaleMetadata(f"its module {error.name!r} is gone and its metadata is still there") from error
        raise


def _other_version(spec: BackendSpec) -> str | None:
    """Why a plugin is not made for this uadx, None where it is."""
    if spec.api is API_VERSION:
        return "its api is copied from uadx.api.API_VERSION, which fits any uadx: it must be a number of its own"
    if type(spec.api) is not int:
        return f"its api is {spec.api!r} and not a number"
    if spec.api != API_VERSION:
        return f"written for version {spec.api} of the backend API, this uadx has version {API_VERSION}"
    return None


def fix(plugin: Plugin) -> str:
    """What to do about a plugin whose status is not ok."""
    if plugin.status == "blocked":
        return f"add {plugin.name} to {ALLOW_LIST}, or unset it"
    if plugin.status == "conflict":
        return "uninstall one of the two"
    if plugin.status == "incompatible":
        return f"install versions of {plugin.distribution} and uadx that fit each other"
    if isinstance(plugin.error, _StaleMetadata):
        return f"reinstall {plugin.distribution}, or remove what is left: python -m pip uninstall {plugin.distribution}"
    return f"reinstall {plugin.distribution}, or tell its authors"
