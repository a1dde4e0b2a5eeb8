"""A plugin that does not say how to install it."""

from uadx.api import BackendSpec, hookimpl


@hookimpl
def uadx_backends():
    return [
        BackendSpec(
            name="hasnoinstallhint",
            api=1,
            factory="mutants_listing:HasNoInstallHint",
            kinds=("cpu",),
            summary="for the tests of the kit",
            install_hint=" ",
        )
    ]
