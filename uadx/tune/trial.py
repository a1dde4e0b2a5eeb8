"""One form of the model, opened as `uadx run` opens it: does it repeat the golden vectors, and how fast is it?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from uadx.api import Capabilities, Hint
from uadx.bench.engine import throughput
from uadx.bundle.reader import Bundle
from uadx.contract import plugin_code, words
from uadx.devices.unusable import NoUsableDeviceError
from uadx.errors import BundleError, InferenceError, PluginError, UadxError, UadxWarning, UnavailableError, UsageError
from uadx.parity import Parity, compare, require
from uadx.pipeline.batches import run_checked
from uadx.pipeline.config import PipelineConfig
from uadx.pipeline.inspector import Inspector
from uadx.tune.candidates import Form
from uadx.tune.verdicts import Verdicts

HOPELESS = 1 / 3
"""A form that reaches no more of the best one's rate at the same batch size is not looked at with others."""
WORTH = 1.03
"""A larger batch that brings less than this is the end: no still larger one is tried."""


@dataclass
class Trial:
    """What was found of a form with a hint. rates: images per second by batch size. runs: the precision that ran.

    dropped: why it may not run, one line; empty where it may. absent: because there is no such device. too_much: a
    batch size at which it failed, and why.
    """

    form: Form
    hint: Hint
    runs: str = ""
    rates: dict[int, float] = field(default_factory=dict)
    parity: Parity | None = None
    verdicts: Verdicts | None = None
    dropped: str = ""
    absent: bool = False
    too_much: str = ""

    @property
    def best(self) -> float:
        """Its highest rate, 0 where it may not run."""
        return 0.0 if self.dropped else max(self.rates.values(), default=0.0)

    @contextmanager
    def not_ended_by_it(self) -> Iterator[None]:
        """Run what concerns this form alone: what goes wrong drops it, and nothing else.

        Raises UsageError (the devices file's options) and BundleError (the model), which concern all.
        """
        try:
            with plugin_code(InferenceError, f"{self.form.device} failed", self.form.backend, "being measured"):
                yield
        except (UsageError, BundleError):
            raise
        except UadxError as error:
            self.dropped, self.absent = _reason(error), isinstance(error, (UnavailableError, PluginError))

    def opened(self, bundle: Bundle, devices_file: str | None, batch: int) -> Inspector:
        """The form as a run opens it. Raises what opening a device raises, ParityError where it gives other numbers.

        The golden vectors are all repeated, and `parity` says how well, on the worst device of several.
        """
        config = PipelineConfig(
            device=self.form.device, precision=self.form.precision, batch_size=batch, hint=self.hint,
            devices_file=devices_file, verify=False,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UadxWarning)  # of the devices file, which everybody reads again
            inspector = Inspector(bundle, config)
        try:
            self.runs = inspector.opened.precision
            for share in inspector.opened.shares:
                form = bundle.running(share.precision)
                found = compare(form, partial(run_checked, share.compiled), share.precision)
                if self.parity is None or _worst(found) > _worst(self.parity):
                    self.parity = found
                require(found, share.used, self.form.backend)
        except BaseException:
            inspector.close()
            raise
        return inspector


def first_look(
    form: Form, hint: Hint, bundle: Bundle, devices_file: str | None, seconds: float, fastest: Mapping[int, float]
) -> Trial:
    """Open a form and measure it for so many seconds with each batch size that may be worth it.

    fastest: the highest rates seen so far, by batch size.
    """
    trial = Trial(form, hint)
    with trial.not_ended_by_it():
        inspector = trial.opened(bundle, devices_file, max(form.batches))
        try:
            for batch in _batches(inspector.opened.compiled.capabilities, form.batches):
                smaller = max(trial.rates.values(), default=0.0)
                try:
                    rate = trial.rates[batch] = measured(inspector, batch, seconds)
                except Exception as error:  # too much for its memory, perhaps: what it could do counts
                    if not smaller:
                        raise
                    trial.too_much = f"batch {batch}: {words(error)}"
                    break
                if rate < HOPELESS * fastest.get(batch, 0.0) or rate < WORTH * smaller:
                    break
        finally:
            inspector.close()
    return trial


def measured(inspector: Inspector, batch: int, seconds: float) -> float:
    """Images per second of batches of that size, in the way that a run submits them; after a warm-up."""
    images = np.repeat(inspector.bundle.golden.images[:1], batch, axis=0)
    throughput(inspector.opened, images, min(0.2, seconds / 4))
    return throughput(inspector.opened, images, seconds).rate


def _batches(capabilities: Capabilities, asked: tuple[int, ...]) -> tuple[int, ...]:
    """Those that the compiled model takes whole: anything else would be padded or split."""
    if capabilities.static_batch is not None:
        return (capabilities.static_batch,) if len(asked) > 1 else asked
    most = capabilities.max_batch or max(asked)
    return tuple(size for size in asked if size <= most) or asked[:1]


def _worst(parity: Parity) -> float:
    return max(level.maximum for level in parity.levels.values())


def _reason(error: UadxError) -> str:
    """In one line; of a device that cannot be used, its one backend's own words."""
    if isinstance(error, NoUsableDeviceError) and len(error.skipped) == 1:
        return error.skipped[0].error.in_one_line
    return error.in_one_line
