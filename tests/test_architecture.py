"""docs/architecture.md and its picture agree with the tree."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
DRAWN = "".join(f"`{text.text}` " for text in ElementTree.parse(PICTURE).iter() if text.get("class") == "module")
NAMED = sorted(set(re.findall(r"`(uadx(?:_[a-z]+|(?:\.[a-z_]+)+))`", PAGE + DRAWN)))
WAY = {
    "images": {"devices", "scoring", "pipeline", "output", "render", "report"},
    "devices": {"images", "scoring", "pipeline", "output", "render", "report"},
    "scoring": {"pipeline", "output", "render", "report"},
    "pipeline": {"output", "report"},
}
"""By package, those that come after it and that it does not know."""
RECORD = "uadx.output.record"
"""What a run's folder is known by, so that its pictures are no input."""


@pytest.mark.parametrize("module", NAMED)
def test_a_module_that_is_named_exists(module):
    path = (ROOT / "backends" if module.startswith("uadx_") else ROOT).joinpath(*module.split("."))
    assert path.is_dir() or path.with_suffix(".py").is_file()


def test_every_package_is_named():
    packages = {f"uadx.{path.parent.name}" for path in (ROOT / "uadx").glob("*/__init__.py")}
    backends = {path.parent.name for path in (ROOT / "backends").glob("*/__init__.py")}
    said = {".".join(name.split(".")[:2]) for name in NAMED}
    assert packages | backends <= said


@pytest.mark.parametrize("package", WAY)
def test_a_part_does_not_know_what_comes_after_it(package):
    for path in (ROOT / "uadx" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module != RECORD:
                top, _, rest = node.module.partition(".")
                assert top != "uadx" or rest.partition(".")[0] not in WAY[package], f"{path}: {node.module}"
