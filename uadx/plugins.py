"""Lists the installed backends and loads the one that is needed, whatever state the others are in.

A thin layer over pluggy, whose own loader imports every plugin, aborts at the first that raises (even SystemExit)
and skips a duplicate name in file-system order. Here an entry point's name is its backend's name, so nothing is
imported to list them, one plugin is imported to use one, and a broken plugin is a status with a reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from traceback import walk_tb
from typing import Literal

import pluggy

from uadx import hookspecs
from uadx.api import API_VERSION, Backend, BackendSpec
from uadx.errors import PluginError, UadxError, UnavailableError

GROUP = "uadx.backends"
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
    """The backends that are installed, as the entry points and the allow-list stood when this was made."""

    def __init__(self) -> None:
        self._claims: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=GROUP):
            self._claims.setdefault(entry.name, []).append(entry)
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
                hint=_fix(plugin),
            ) from plugin.error
        return plugin.spec

    def open(self, name: str, options: Mapping[str, object]) -> Backend:
        """Construct a backend, which imports its SDK. Raises UnavailableError or PluginError."""
        spec = self.spec(name)
        module, _, attribute = spec.factory.partition(":")
        try:
            factory = getattr(import_module(module), attribute, None)
            if not (isinstance(factory, type) and issubclass(factory, Backend)):
                raise PluginError(
                    f"the backend {name!r} is broken: its factory {spec.factory!r} is no Backend class",
                    backend=name,
                    hint=_fix(self.load(name)),
                )
            return factory(spec, options)
        except (UadxError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._import_failure(spec, error) from error

    def explain(self, name: str, error: BaseException) -> str | None:
        """The plugin's advice on an error of its backend. A failure to advise never hides the error itself."""
        manager = self.load(name).manager
        if manager is None:
            return None
        try:
            advice: str | None = manager.hook.uadx_explain_failure(backend=name, error=error)
        except Exception as failure:
            return f"(the plugin's own advice failed: {_words(failure)})"
        return advice

    def describe(self, name: str) -> str:
        """The backend's name and what provides it, such as "openvino (uadx 0.1.0)"; nothing is imported."""
        if name not in self._claims:
            return name
        return f"{name} ({' and '.join(_provider(entry) for entry in self._claims[name])})"

    def _load(self, name: str) -> Plugin:
        claims = self._claims[name]
        distribution, version = _distribution(claims[0]), _version(claims[0])
        if self._allowed is not None and name not in self._allowed:
            reason = f"{ALLOW_LIST} does not list it"
            return Plugin(name, distribution, version, "blocked", reason)
        if len(claims) > 1:
            reason = "claimed by " + " and by ".join(sorted(_provider(entry) for entry in claims))
            return Plugin(name, distribution, version, "conflict", reason)
        try:
            manager, spec = _import(claims[0])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: the import of a plugin ends no program
            return Plugin(name, distribution, version, "broken", _words(error), error=error)
        if spec.api != API_VERSION:
            reason = f"written for version {spec.api} of the backend API, this uadx has version {API_VERSION}"
            return Plugin(name, distribution, version, "incompatible", reason)
        return Plugin(name, distribution, version, "ok", spec=spec, manager=manager)

    def _import_failure(self, spec: BackendSpec, error: BaseException) -> UadxError:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing in spec.sdk_modules:
            return UnavailableError(
                f"the package {missing!r} is not installed",
                backend=spec.name,
                stage=f"importing {missing}",
                cause_text=str(error),
                hint=spec.install_hint,
            )
        if _comes_from(error, spec.sdk_modules):
            return UnavailableError(
                f"the SDK of {spec.name!r} is installed but cannot be loaded",
                backend=spec.name,
                stage=f"importing {', '.join(spec.sdk_modules)}",
                cause_text=_words(error),
                hint=self.explain(spec.name, error) or f"reinstall it: {spec.install_hint}",
            )
        return PluginError(
            f"the backend {spec.name!r} is broken: its factory {spec.factory!r} cannot be loaded",
            backend=spec.name,
            cause_text=_words(error),
            hint=_fix(self.load(spec.name)),
        )


def _comes_from(error: BaseException, modules: Sequence[str]) -> bool:
    """Whether an SDK raised it: one of its Python frames is in the traceback, or its own library did not load."""
    frames = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    library = error.name or "" if isinstance(error, ImportError) else ""
    return any(f"{name}.".startswith(f"{module}.") for name in (*frames, library) for module in modules)


def _import(entry: EntryPoint) -> tuple[pluggy.PluginManager, BackendSpec]:
    """Import one plugin into a pluggy manager of its own, check its hooks and find the spec of its name."""
    manager = pluggy.PluginManager("uadx")
    manager.add_hookspecs(hookspecs)
    manager.register(entry.load())
    manager.check_pending()  # a misspelt hook would otherwise be ignored
    specs = [spec for specs in manager.hook.uadx_backends() for spec in specs]
    for spec in specs:
        if not isinstance(spec, BackendSpec):
            raise TypeError(f"uadx_backends() gave {spec!r}, which is no BackendSpec")
        if spec.name == entry.name:
            return manager, spec
    declared = ", ".join(spec.name for spec in specs) or "none"
    raise LookupError(f"{entry.value} declares no backend {entry.name!r}; it declares: {declared}")


def _fix(plugin: Plugin) -> str:
    if plugin.status == "blocked":
        return f"add {plugin.name} to {ALLOW_LIST}, or unset it"
    if plugin.status == "conflict":
        return "uninstall one of the two"
    if plugin.status == "incompatible":
        return f"install versions of {plugin.distribution} and uadx that fit each other"
    return f"reinstall {plugin.distribution}, or tell its authors"


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"


def _version(entry: EntryPoint) -> str:
    return entry.dist.version if entry.dist is not None else "unknown"


def _provider(entry: EntryPoint) -> str:
    return f"{_distribution(entry)} {_version(entry)}"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
