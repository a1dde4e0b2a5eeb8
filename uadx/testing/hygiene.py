"""What a plugin costs a user who does not use it: nothing. And what its spec says, without its SDK."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from unittest import SkipTest

from uadx.api import API_VERSION, Backend
from uadx.contract import misfit
from uadx.plugins import Plugins
from uadx.testing.expect import require
from uadx.testing.fresh import run_fresh
from uadx.testing.kit import Kit

IMPORT_LIMIT_MS = 150
_IMPORT = """
import time, uadx.api
before = set(sys.modules)
start = time.perf_counter()
__import__(arguments[0])
seconds = time.perf_counter() - start
print(json.dumps([sorted(set(sys.modules) - before), seconds * 1e3]))
"""


class Hygiene(Kit):
    def test_the_plugin_module_imports_no_sdk(self) -> None:
        """Importing the module of the entry point loads neither the SDK nor NumPy."""
        heavy = {"numpy", *self.subject.spec.sdk_modules}
        (loaded, _), _ = run_fresh(_IMPORT, self._module(), timeout=self.patience)
        found = sorted(heavy & set(loaded))
        require(
            not found,
            f"`import {self._module()}` loads none of {', '.join(sorted(heavy))}",
            f"it loads {', '.join(found)}",
            "keep the hook module free of imports; the factory's module, imported on use, may have them",
        )

    def test_the_plugin_module_imports_quickly(self) -> None:
        """Importing the module of the entry point takes less than 150 ms beyond uadx.api, the best of three."""
        times: list[float] = []
        while len(times) < 3 and min(times, default=IMPORT_LIMIT_MS) >= IMPORT_LIMIT_MS:
            times.append(run_fresh(_IMPORT, self._module(), timeout=self.patience)[0][1])
        require(
            min(times) < IMPORT_LIMIT_MS,
            f"`import {self._module()}` takes less than {IMPORT_LIMIT_MS} ms",
            f"{min(times):.0f} ms",
            "import on use what the two hooks do not need",
        )

    def test_the_api_version_is_a_literal(self) -> None:
        """BackendSpec.api is a number written in the plugin, not copied from the uadx that happens to run."""
        api = self.subject.spec.api
        advice = f"write the version the plugin was made for as a number: api={int(API_VERSION)}"
        require(type(api) is int, "BackendSpec.api is an int", f"{api!r}, a {type(api).__name__}", advice)
        source = self._source()
        if source is None:
            raise SkipTest(f"the source of {self._module()} is not at hand: only the value was checked")
        values = list(_api_arguments(ast.parse(source.read_bytes())))
        if not values:
            raise SkipTest(f"{source} makes no BackendSpec itself: only the value was checked")
        for value in values:
            literal = isinstance(value, ast.Constant) and type(value.value) is int
            where = f"{source}:{value.lineno}: {ast.unparse(value)}"
            require(literal, "BackendSpec.api is a literal number in the plugin's source", where, advice)

    def test_the_spec_is_filled(self) -> None:
        """The spec has the entry point's name, a summary and the command that installs it."""
        spec = self.subject.spec
        wrong = misfit(spec)
        require(
            wrong is None, "every field of BackendSpec has its type", wrong, "a tuple of names needs its comma: ('a',)"
        )
        for field in ("name", "summary", "install_hint"):
            text = getattr(spec, field)
            require(
                isinstance(text, str) and bool(text.strip()),
                f"BackendSpec.{field} says something",
                repr(text),
                "it is what `uadx devices` and the error messages show",
            )
        require(
            "onnx" in spec.formats,
            "BackendSpec.formats holds 'onnx', the format of every model bundle",
            spec.formats,
            "compile from the ONNX file that ModelArtifact.path names",
        )

    def test_the_factory_is_a_backend(self) -> None:
        """BackendSpec.factory names a subclass of uadx.api.Backend as "module:Class"."""
        module, _, attribute = self.subject.spec.factory.partition(":")
        found = getattr(import_module(module), attribute, None) if attribute else None
        require(
            isinstance(found, type) and issubclass(found, Backend),
            f"BackendSpec.factory {self.subject.spec.factory!r} names a subclass of uadx.api.Backend",
            repr(found),
            'write it as "package.module:Class"',
        )

    def _module(self) -> str:
        name, plugins = self.subject.spec.name, Plugins()
        if name not in plugins.names:
            raise SkipTest(f"no installed entry point in the group uadx.backends is called {name!r}")
        return plugins.claim(name).module

    def _source(self) -> Path | None:
        found = importlib.util.find_spec(self._module())
        return Path(found.origin) if found and found.origin and found.origin.endswith(".py") else None


def _api_arguments(tree: ast.AST) -> Iterator[ast.expr]:
    """The `api` of each BackendSpec(...) in a source file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "BackendSpec":
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "api")
            yield from node.args[1:2]
