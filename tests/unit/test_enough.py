"""What few held-out images certify, and what more would take."""

from __future__ import annotations

import warnings

import pytest

from uadx.errors import UadxWarning
from uadx.scoring.calibration import Calibration
from uadx.train.enough import takes, warn_of_few


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "5 % takes 95 good images, 1 % takes 495"),
        (18, "5 % takes 95 good images, 1 % takes 495"),
        (19, "1 % takes 495 good images"),
        (98, "1 % takes 495 good images"),
        (99, ""),
    ],
)
def test_the_rates_that_are_not_certified_are_named_with_what_they_take(count, words):
    assert takes(Calibration([0.0] * count), held_out=0.2) == words


@pytest.mark.parametrize("rate", [0.05, 0.01])
@pytest.mark.parametrize("held_out", [0.2, 1.0])
def test_what_is_said_to_be_enough_is_enough(rate, held_out):
    words = takes(Calibration([0.0]), held_out)
    needed = int(words.split(f"{100 * rate:g} % takes ")[1].split(",")[0].split()[0])
    Calibration([0.0] * round(held_out * needed)).threshold(rate)


def test_three_held_out_images_are_warned_of_and_four_are_not():
    with pytest.warns(UadxWarning, match="^3 held-out images can certify no .* 1 good part in 4 may lie above it"):
        warn_of_few(3, 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_few(4, 0.2)
