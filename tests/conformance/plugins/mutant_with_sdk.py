"""A plugin that imports its SDK before anybody uses it."""

import mutant_sdk

from uadx.api import BackendSpec, hookimpl

assert mutant_sdk


@hookimpl
def uadx_backends():
    return [
        BackendSpec(
            name="importsitssdk",
            api=1,
            factory="mutants_listing:ImportsItsSdk",
            kinds=("cpu",),
            summary="for the tests of the kit",
            install_hint="none",
            sdk_modules=("mutant_sdk",),
        )
    ]
