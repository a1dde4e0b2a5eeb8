"""The hooks of every backend here whose plugin module is not what is wrong. A class Foo is the backend `foo`."""

import re
from pathlib import Path

from uadx.api import BackendSpec, hookimpl

CLASSES = {
    module: re.findall(r"^class (\w+)\(", Path(__file__).with_name(f"{module}.py").read_text(), re.MULTILINE)
    for module in ("correct", "mutants_listing", "mutants_errors", "mutants_inside", "mutants_requests")
}


@hookimpl
def uadx_backends():
    return [
        BackendSpec(
            name=name.lower(),
            api=1,
            factory=f"{module}:{name}",
            kinds=("cpu",),
            summary="for the tests of the kit",
            install_hint="none",
        )
        for module, names in CLASSES.items()
        for name in names
    ]
