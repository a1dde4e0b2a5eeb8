"""Where and how the model runs: the device and the precision that were asked for, or an error."""

from __future__ import annotations

import re
from unittest import SkipTest

from uadx.api import CompileOptions, DeviceInfo, DeviceRef, Precision
from uadx.devices.placement import check_placement
from uadx.errors import PlacementError, UadxError
from uadx.parity import tolerance_for
from uadx.pipeline.batches import run_batch
from uadx.testing.expect import failure, require, require_answer
from uadx.testing.golden import default_bundle, small
from uadx.testing.kit import MAX_BATCH, Kit

FLOATS: tuple[Precision, ...] = ("f32", "bf16", "f16")
_READ_BACK = "read placement() back from the runtime after compiling, and raise where it is not what was asked for"


class Placement(Kit):
    def test_the_model_runs_on_the_device_that_was_asked_for(self) -> None:
        """placement() names the device under test."""
        self._require_placed(self.subject.ref)

    def test_the_index_is_not_ignored(self) -> None:
        """Each of several like devices runs the models that are compiled for it."""
        here, usable = self.subject.info, [info for info in self.subject.backend.devices() if not info.unusable]
        like = [info for info in usable if here and _family(info) == _family(here)]
        if len(like) < 2:
            raise SkipTest(f"{self.subject.spec.name} lists one device like {self.subject.ref.selector!r}")
        for info in like:
            self._require_placed(DeviceRef(info.selector, info.kind, info.index))

    def test_the_precision_is_the_one_that_was_asked_for(self) -> None:
        """Each floating-point precision that DeviceInfo lists runs when it is asked for, and gives its numbers."""
        listed = [precision for precision in FLOATS if precision in self._listed()]
        if not listed:
            raise SkipTest(f"DeviceInfo.precisions is {self._listed()}; the kit has floating-point models only")
        for precision in listed:
            with self._compile(small("stfpm"), precision=precision) as model:
                found = model.placement().precision
                require(found == precision, f"placement().precision is {precision}", found, _READ_BACK)
                require(
                    model.capabilities.precision == found,
                    f"capabilities.precision is that of placement(): {found}",
                    model.capabilities.precision,
                    "say in both what the runtime reports",
                )
                images, expected = small("stfpm").batch(MAX_BATCH)
                allowed = self.tolerance or tolerance_for(precision)
                require_answer(run_batch(model, images), expected, allowed, f"the STFPM pair in {precision}")

    def test_f32_is_computed_in_f32(self) -> None:
        """A model compiled for f32 has the accuracy of f32, which bf16, f16 and TF32 have not."""
        if "f32" not in self._listed():
            raise SkipTest(f"the device has no f32: {self._listed()}")
        for golden in (small("conv_bn"), default_bundle()):
            with self._compile(golden, precision="f32") as model:
                images, expected = golden.batch(1)
                require_answer(run_batch(model, images), expected, tolerance_for("f32"), f"{golden.name} in f32")

    def test_a_precision_that_the_device_lacks_is_never_claimed(self) -> None:
        """A floating-point precision that is not listed is refused, or placement() says what runs instead."""
        lacking = [precision for precision in FLOATS if precision not in self._listed()]
        if not lacking:
            raise SkipTest("the device lists every floating-point precision")
        if not self._listed():
            raise SkipTest("the backend does not know the device's precisions before it compiles")
        for precision in lacking:
            try:
                model = self._compile(small("conv_bn"), precision=precision)
            except UadxError:
                continue  # refused, in a typed error
            with model:
                found = model.placement().precision
            require(
                found != precision,
                f"{precision}, which DeviceInfo.precisions lacks, is refused or reported as what runs",
                f"placement() says that {found} runs",
                "list it in DeviceInfo.precisions if the device has it; else raise UnavailableError",
            )

    def _require_placed(self, ref: DeviceRef) -> None:
        with self._compile(small("relu"), ref=ref) as model:
            try:
                # the precision has checks of its own
                check_placement(model.placement(), ref, self.subject.spec.name, CompileOptions("auto"))
            except PlacementError as error:
                raise failure(f"placement().device is {ref.selector!r}", error.message, _READ_BACK) from error

    def _listed(self) -> tuple[str, ...]:
        info = self.subject.info
        return info.precisions if info else ()


def _family(info: DeviceInfo) -> tuple[str | None, str]:
    """Devices that differ in their number only: "GPU.0" and "GPU.1", "cuda:0" and "cuda:1", "0" and "1"."""
    return info.kind, re.sub(r"[.:]?\d+$", "", info.selector)
