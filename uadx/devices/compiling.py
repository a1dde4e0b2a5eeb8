"""One model for one device: the form that suits it is chosen, compiled, and its placement read back and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uadx.api import CompiledModel, CompileOptions, DeviceRef, Hint, ModelArtifact, Placement, Precision
from uadx.contract import misfit, plugin_code
from uadx.cores import core_limit
from uadx.devices.placement import check_placement
from uadx.devices.resolve import Located
from uadx.errors import CompileError, PlacementError, PluginError, UadxError, UnavailableError
from uadx.plugins import Plugins


@dataclass(frozen=True)
class Request:
    """What is to run. artifacts: forms of the same model. precision: None for the backend's default. max_batch, hint:
    as in CompileOptions."""

    artifacts: Sequence[ModelArtifact]
    precision: Precision | None = None
    max_batch: int = 1
    hint: Hint = "throughput"


def compile_for(
    request: Request, located: Located, ref: DeviceRef, plugins: Plugins
) -> tuple[CompiledModel, Placement]:
    """Compile for exactly this device; what the runtime then says of it.

    Raises UnavailableError where the backend takes none of the forms, PluginError, CompileError, PlacementError.
    """
    name, spec = located.name, located.spec
    options = CompileOptions(request.precision or spec.default_precision, request.max_batch, request.hint, core_limit())
    fitting = [artifact for artifact in request.artifacts if artifact.format in spec.formats]
    if not fitting:
        formats = " and ".join(dict.fromkeys(artifact.format for artifact in request.artifacts))
        raise UnavailableError(f"it takes {', '.join(spec.formats)} models and not {formats}", backend=name)
    try:
        with plugin_code(CompileError, "the model could not be compiled", name, "compiling"):
            offered = _in_precision(fitting, options.precision)
            chosen = located.backend.choose(offered, ref, options)
            if chosen not in offered:
                raise PluginError(f"the backend {name!r} is broken: choose() gave {chosen!r}", backend=name)
            compiled = located.backend.compile(chosen, ref, options)
    except UadxError as error:
        advice = error.hint or plugins.explain(name, error.__cause__ or error) or plugins.explain(name, error)
        error.hint = advice
        raise
    if not isinstance(compiled, CompiledModel):
        raise PluginError(
            f"the backend {name!r} is broken: compile() gave {compiled!r}, no CompiledModel", backend=name
        )
    try:
        return compiled, _placement(compiled, ref, name, options)
    except BaseException as error:
        compiled.close()
        if isinstance(error, PlacementError) and options.precision == "int8" and chosen.precision != "int8":
            error.hint = "the bundle has no int8 form; make it: uadx export --precision int8 --model MODEL --data DIR"
        raise


def _in_precision(artifacts: Sequence[ModelArtifact], precision: Precision) -> Sequence[ModelArtifact]:
    """The int8 form of an ONNX model where int8 is asked for and the bundle has it; nobody else is offered it."""
    quantised = [artifact for artifact in artifacts if (artifact.format, artifact.precision) == ("onnx", "int8")]
    if precision == "int8" and quantised:
        return quantised
    return [artifact for artifact in artifacts if artifact not in quantised]


def _placement(compiled: CompiledModel, ref: DeviceRef, name: str, options: CompileOptions) -> Placement:
    with plugin_code(PluginError, f"the backend {name!r} is broken: placement() fails", name, "compiling"):
        placement = compiled.placement()
    wrong = misfit(placement) if isinstance(placement, Placement) else f"placement() gave {placement!r}"
    wrong = wrong or misfit(compiled.capabilities)
    if wrong:
        raise PluginError(f"the backend {name!r} is broken: {wrong}", backend=name)
    check_placement(placement, ref, name, options)
    return placement
