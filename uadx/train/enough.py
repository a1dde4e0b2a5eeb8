"""How many good images it takes: what few held-out ones certify, and what lower false-alarm rates would take."""

from __future__ import annotations

import math
import warnings

from uadx.errors import UadxWarning
from uadx.plural import counted
from uadx.scoring.calibration import Calibration

FEW = 4
"""Held-out images, below which a verdict is a guess."""
RATES = (0.05, 0.01)
"""False-alarm rates that are worth naming."""


def takes(calibration: Calibration, held_out: float) -> str:
    """ "5 % takes 95 good images, 1 % takes 495": of the rates that the calibration does not certify, "" where there is
    none. held_out: the share of the good images that calibrate."""
    lower = [rate for rate in RATES if rate < calibration.lowest_fpr - 1e-9]
    needed = [math.ceil((math.ceil(1 / rate - 1e-9) - 1) / held_out - 1e-9) for rate in lower]
    nouns = [" good images", *[""] * len(RATES)]
    return ", ".join(
        f"{100 * rate:g} % takes {count}{noun}" for rate, count, noun in zip(lower, needed, nouns, strict=False)
    )


def warn_of_few(count: int, held_out: float) -> None:
    """Warn where so many held-out images make no threshold to rely on: before a training, which takes minutes."""
    if count < FEW:
        warnings.warn(
            f"{counted(count, 'held-out image')} can certify no threshold to rely on: 1 good part in {count + 1} may "
            f"lie above it. A false-alarm rate of {takes(Calibration([0.0] * count), held_out)}. Until then look at "
            "scores and heat maps, and trust no verdict",
            UadxWarning,
            stacklevel=2,
        )
