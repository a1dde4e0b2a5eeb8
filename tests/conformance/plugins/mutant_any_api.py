"""A plugin that claims to fit whatever uadx it meets."""

from uadx.api import API_VERSION, BackendSpec, hookimpl


@hookimpl
def uadx_backends():
    return [
        BackendSpec(
            name="copiestheapiversion",
            api=int(API_VERSION),
            factory="mutants_listing:CopiesTheApiVersion",
            kinds=("cpu",),
            summary="for the tests of the kit",
            install_hint="none",
        )
    ]
