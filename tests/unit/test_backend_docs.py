"""The page for authors of backends leaves nothing of the interface out."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

from uadx import api, hookspecs

PAGE = (Path(__file__).parents[2] / "docs" / "write-a-backend.md").read_text("utf-8")
HOOKS = [name for name, member in vars(hookspecs).items() if name.startswith("uadx_") and inspect.isfunction(member)]


def test_there_are_two_hooks():
    assert HOOKS == ["uadx_backends", "uadx_explain_failure"]


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_has_a_section_with_its_arguments_and_an_example(name):
    section = PAGE.partition(f"`{name}(")[2].partition("\n## ")[0]
    for argument in inspect.signature(getattr(hookspecs, name)).parameters:
        assert f"{argument}: " in section.partition("\n")[0]
    assert f"```python\n@hookimpl\ndef {name}(" in section.replace(
        "```python\nfrom uadx.api import BackendSpec, hookimpl\n\n\n@hookimpl", "```python\n@hookimpl"
    )


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(api.BackendSpec)])
def test_each_field_of_a_backend_spec_is_explained(field):
    table = PAGE.partition("| field |")[2].partition("\n\n")[0]
    assert f"`{field}`" in table


@pytest.mark.parametrize("kind", [api.DeviceInfo, api.Capabilities])
def test_each_field_that_a_backend_fills_is_named(kind):
    for field in dataclasses.fields(kind):
        assert f"`{field.name}`" in PAGE, field.name


@pytest.mark.parametrize("kind", [api.Backend, api.CompiledModel])
def test_each_method_is_explained(kind):
    for name, member in vars(kind).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            assert f"`{name}(" in PAGE, name
