"""Distributions with backend plugins, laid out as pip lays them out."""

import sys

import pytest


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install(distribution, backend="module", ..., files={"module.py": text}): as pip would, for this test only."""
    modules = []

    def install_distribution(distribution, files, **backends):
        site = tmp_path / distribution
        info = site / f"{distribution}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = [f"{name} = {module}" for name, module in backends.items()]
        (info / "entry_points.txt").write_text("\n".join(["[uadx.backends]", *lines]))
        for name, text in files.items():
            (site / name).write_text(text)
            modules.append(name.removesuffix(".py"))
        monkeypatch.syspath_prepend(site)

    yield install_distribution
    for module in modules:
        sys.modules.pop(module, None)
