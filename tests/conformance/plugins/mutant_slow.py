"""A plugin that takes its time."""

import time

from uadx.api import BackendSpec, hookimpl

time.sleep(0.2)


@hookimpl
def uadx_backends():
    return [
        BackendSpec(
            name="importsslowly",
            api=1,
            factory="mutants_listing:ImportsSlowly",
            kinds=("cpu",),
            summary="for the tests of the kit",
            install_hint="none",
        )
    ]
