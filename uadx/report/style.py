"""The style of a page without a script: the colours of all pages, and how text, tables, charts and pictures look."""

from __future__ import annotations

from importlib.resources import files


def style() -> str:
    """For a style element."""
    sheets = (files("uadx.serve").joinpath("page/colours.css"), files("uadx.report").joinpath("style.css"))
    return "".join(sheet.read_text("utf-8") for sheet in sheets)
