"""Does another form of a bundle's model give the model's numbers? Run here by the backend that made it."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import cast

from uadx.api import Precision
from uadx.bundle.manifest import Variant
from uadx.bundle.reader import Bundle
from uadx.contract import plugin_code
from uadx.devices.compiling import Request
from uadx.devices.opened import open_model
from uadx.devices.registry import load_devices
from uadx.devices.resolve import listed
from uadx.errors import InferenceError, UnavailableError
from uadx.parity import Parity, compare, require
from uadx.pipeline.batches import check_fits, run_checked
from uadx.plugins import Plugins


def check_form(bundle: Bundle, variant: Variant) -> tuple[str, Parity]:
    """Run the golden vectors through one form alone, on its backend's first device; where it ran, and how it compares.

    Raises UnavailableError where that backend has no device here, ParityError where it gives other numbers, and what
    else open_model does.
    """
    (artifact,) = (one for one in bundle.artifacts if one.path.name == variant.file)
    precision = cast("Precision", variant.precision) if variant.precision else None
    opened = open_model(Request((artifact,), precision), _device(variant.format))
    with closing(opened):
        check_fits(opened.compiled, bundle)
        share = opened.shares[0]
        with plugin_code(
            InferenceError, f"{share.used} failed while it ran the model", opened.backend, "running the model"
        ):
            parity = compare(bundle, partial(run_checked, share.compiled), share.precision)
    require(parity, share.used, opened.backend)
    return share.used, parity


def _device(format: str) -> str:
    """The first usable device of the backend that exports a format: a kind of device may be served by others first."""
    plugins = Plugins()
    name = plugins.exports[format]
    devices = listed(plugins.open(name, load_devices().options.get(name, {})))
    usable = [device.selector for device in devices if not device.unusable]
    if not usable:
        raise UnavailableError(
            f"{name} has no device here", backend=name, cause_text=devices[0].unusable if devices else None
        )
    return f"{name}:{usable[0]}"
