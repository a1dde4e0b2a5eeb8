"""A distribution of wrong backends, and a correct one, laid out as pip lays them out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from uadx.testing import BackendConformance

PLUGINS = Path(__file__).parent / "plugins"
OWN_MODULES = {
    "importsitssdk": "mutant_with_sdk",
    "importsslowly": "mutant_slow",
    "copiestheapiversion": "mutant_any_api",
    "hasnoinstallhint": "mutant_unhelpful",
}


@pytest.fixture(scope="session")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Installed for all tests here; the two folders that a fresh process needs on its path."""
    pytest.importorskip("openvino", reason="the mutants run on OpenVINO, which is not installed")
    site = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGINS)
        names = [name.lower() for names in import_module("mutant_plugin").CLASSES.values() for name in names]
        info = site / "mutants-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mutants\nVersion: 1.5\n")
        lines = [f"{name} = {OWN_MODULES.get(name, 'mutant_plugin')}" for name in names]
        (info / "entry_points.txt").write_text("\n".join(["[uadx.backends]", *lines]))
        patch.syspath_prepend(site)
        yield PLUGINS, site
    for path in PLUGINS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def kit_for(mutants: tuple[Path, Path]) -> Callable[..., BackendConformance]:
    """kit_for("SwapsOutputs") -> the kit for that backend's chip 0."""

    def make(name: str, **hooks: object) -> BackendConformance:
        cls = type(f"Test{name}", (BackendConformance,), {"device": f"{name.lower()}:0", **hooks})
        kit: BackendConformance = cls()
        return kit

    return make
