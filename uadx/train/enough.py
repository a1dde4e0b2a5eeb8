"""What the good images cannot certify: few ones, and several pictures of one part that count as many parts."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.check.sisters import have_sisters, thumbnails
from uadx.errors import UadxWarning
from uadx.plural import counted
from uadx.scoring.calibration import DEFAULT_FPR, Calibration
from uadx.train.split import parts_of

MINIMUM_IMAGES = 5
FEW = 4
"""Held-out images, below which a verdict is a guess."""
RATES = (0.05, 0.01)
"""False-alarm rates that are worth naming."""
START = "20 are a start, 200 make a threshold for 2.5 % false alarms"


def too_few(folder: Path, count: int) -> tuple[str, str] | None:
    """What to say, and to advise, of a folder with so many different images that can be read where a training refuses
    them; None where they are enough to begin with."""
    if count >= MINIMUM_IMAGES:
        return None
    return (
        f"{folder} holds {count} different readable images; training needs at least {MINIMUM_IMAGES}",
        f"bring more pictures of good parts: {START}",
    )


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


def warn_of_sisters(images: NDArray[np.uint8]) -> None:
    """Warn where most of the images that teach, uint8 [N, H, W, 3], show parts that others show too: so do those that
    calibrate."""
    small = thumbnails(images)
    if have_sisters(small, small, same=True):
        warnings.warn(
            "most images have another that is far more like them than the rest. If several show one part, the "
            "threshold is made of parts that the model knows, and calls more than its share of new good parts NG: say "
            "which show one part, with --same-part",
            UadxWarning,
            stacklevel=2,
        )


def fewest_parts(same_part: re.Pattern[str] | None, held_out: Sequence[str]) -> float:
    """The lowest false-alarm rate that so many held-out parts certify, and a warning where that is above 1 %; 0 where
    each picture shows a part of its own. held_out: the pictures' paths."""
    if same_part is None:
        return 0.0
    count = len(set(parts_of(same_part, held_out)))
    if count == len(held_out):
        return 0.0
    lowest = Calibration([0.0] * count).lowest_fpr
    if lowest > DEFAULT_FPR:
        warnings.warn(
            f"the {counted(len(held_out), 'held-out picture')} show {counted(count, 'part')}, which certify a "
            f"false-alarm rate of {100 * lowest:.2g} % and more: that is the threshold's. Lower ones, which --fpr "
            "takes, rest on pictures that belong together",
            UadxWarning,
            stacklevel=2,
        )
    return lowest
