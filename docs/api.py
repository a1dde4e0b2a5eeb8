"""Write docs/api.md, what the public classes and functions say of themselves: python docs/api.py"""

from __future__ import annotations

import inspect
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

from uadx import errors

HEAD = """\
# Classes and functions

What the docstrings say, written by `python docs/api.py`; a test holds both together, and others run the examples. How
they are used: [python.md](python.md). `parts/` is a folder of pictures, as `uadx demo` writes to `uadx-demo/product`.
What an author of a backend implements: [write-a-backend.md](write-a-backend.md).
"""

PUBLIC = {
    "uadx.create_pipeline": (),
    "uadx.Pipeline": ("predict", "close"),
    "uadx.Result": ("json", "anomaly_map", "region_threshold", "img", "image", "print", "save_to_json", "save_to_img",
                    "against"),
    "uadx.bundle.reader.open_bundle": (),
    "uadx.bundle.reader.Bundle": ("thresholds", "calibration", "golden", "has_int8"),
    "uadx.client.Client": ("__init__", "inspect", "close"),
    "uadx.errors.UadxError": ("render", "in_one_line"),
}  # fmt: skip


def api() -> str:
    """The page."""
    parts = [HEAD]
    for path, members in PUBLIC.items():
        module, _, name = path.rpartition(".")
        found = getattr(import_module(module), name)
        parts += [f"## {name}\n", _described(found, f"from {module} import {name}\n\n")]
        for member in members:
            parts += [f"### `{name}.{member}`\n", _described(inspect.getattr_static(found, member))]
    return "\n".join([*parts, *_errors()])


def _described(found: Any, before: str = "") -> str:
    """Its first lines as they are written, its docstring, and the example in that as one."""
    written = getattr(found, "fget", None) or getattr(found, "func", None) or found
    head = textwrap.dedent(inspect.getsource(written)).partition('"""')[0].rstrip().removesuffix(":")
    text, arrow, example = (inspect.getdoc(found) or "").partition(">>> ")
    shown = f"\n```pycon\n{arrow}{example}\n```\n" if example else ""
    return f"```py\n{before}{head}\n```\n\n{text.strip()}\n{shown}"


def _errors() -> list[str]:
    rows = [
        f"| {kind.__name__} | {kind.__base__.__name__} | {kind.exit_code} | {' '.join(inspect.getdoc(kind).split())} |"
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.UadxError) and kind is not errors.UadxError
    ]
    return ["## Errors\n", "In `uadx.errors`.\n", "| | is a | exit code | |\n|-|-|-|-|", *rows, ""]


if __name__ == "__main__":
    (Path(__file__).parent / "api.md").write_text(api(), "utf-8")
