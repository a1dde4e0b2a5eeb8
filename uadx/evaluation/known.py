"""Test images that taught or calibrated the model: what is measured on them says nothing of parts that it never saw."""

from __future__ import annotations

import contextlib
from pathlib import Path

from uadx.bundle.manifest import Training
from uadx.errors import InputError
from uadx.evaluation.layout import kind_of
from uadx.result import Result
from uadx.train.dataset import digest


class Known:
    """Counts the images of a test that a training had, by the hashes of their files.

    taught, calibrated: how many did; images: of all. A bundle of an older uadx knows only those that calibrated it.
    """

    def __init__(self, training: Training) -> None:
        self._taught, self._held_out = frozenset(training.taught), frozenset(training.held_out)
        self.images = self.taught = self.calibrated = 0

    def add(self, result: Result) -> None:
        """Take a result; what could not be read or lies in no kind's folder counts for nothing."""
        source = result.source
        if result.error is not None or not kind_of(source.output):
            return
        self.images += 1
        if isinstance(source.data, Path):
            with contextlib.suppress(InputError):  # it was read a moment ago, and has gone
                known = digest(source)[:16]
                self.taught += known in self._taught
                self.calibrated += known in self._held_out

    @property
    def warning(self) -> str | None:
        """A sentence where there are any, else None."""
        if not self.taught + self.calibrated:
            return None
        return (
            f"of {self.images} test images {self.taught} taught the model and {self.calibrated} calibrated it: the "
            "figures are better than those of new parts would be. Test on images that the training had not"
        )
