"""Does another form of a bundle's model give the model's numbers? Run here by the backend that takes it."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from uadx.bundle.manifest import Variant
from uadx.bundle.reader import Bundle
from uadx.contract import plugin_code
from uadx.devices.compiling import Request
from uadx.devices.opened import open_model
from uadx.errors import InferenceError
from uadx.parity import Parity, compare, require
from uadx.pipeline.batches import check_fits, run_checked


def check_form(bundle: Bundle, variant: Variant, kind: str) -> tuple[str, Parity]:
    """Run the golden vectors through one form alone, on a device of that kind; where it ran, and how it compares.

    Raises UnavailableError where no such device is here, ParityError where it gives other numbers, and what else
    open_model does.
    """
    (artifact,) = (one for one in bundle.artifacts if one.path.name == variant.file)
    opened = open_model(Request((artifact,)), kind)
    with closing(opened):
        check_fits(opened.compiled, bundle)
        share = opened.shares[0]
        with plugin_code(
            InferenceError, f"{share.used} failed while it ran the model", opened.backend, "running the model"
        ):
            parity = compare(bundle, partial(run_checked, share.compiled), share.precision)
    require(parity, share.used, opened.backend)
    return share.used, parity
