"""How often chance is taken for drift, and what is found, on drawn scores whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from uadx.drift.comparison import LEAST, MOST_PARTS, compare
from uadx.drift.words import detectable, verdict
from uadx.errors import UsageError


def drawn(rng, count, shift=0.0):
    return rng.gamma(2.0, 1.0, count) + shift


def compared(good, run, **options):
    return compare(good, run, run > 6.0, **options)


@pytest.mark.parametrize("held_out", [10, 40, 200])
@pytest.mark.parametrize("inspected", [100, 5000])
def test_chance_is_taken_for_drift_no_more_often_than_said(held_out, inspected):
    rng = np.random.default_rng(held_out + inspected)
    runs, level = 300, 0.1
    false = sum(
        compared(drawn(rng, held_out), drawn(rng, inspected), defects=0.0, level=level).first is not None
        for _ in range(runs)
    )
    assert false <= runs * level + 3 * np.sqrt(runs * level * (1 - level))


def test_defects_within_the_allowed_share_are_no_drift_and_twice_as_many_are():
    rng = np.random.default_rng(0)
    good = drawn(rng, 2000)
    run = drawn(rng, 20_000)
    run[rng.random(len(run)) < 0.1] = 50.0
    assert compared(good, run, defects=0.1).first is None
    assert compared(good, run, defects=0.0).first is not None


def test_a_change_is_found_where_it_began_and_with_its_direction():
    rng = np.random.default_rng(1)
    good = drawn(rng, 200)
    run = np.concatenate([drawn(rng, 3000), drawn(rng, 3000, shift=1.0)])
    found = compared(good, run)
    assert len(found.parts) == MOST_PARTS
    assert 2700 < found.first.first <= 3301
    assert found.first.drift == "higher"
    assert verdict(found) == (
        f"Drift: from image {found.first.first} on the scores are higher than those of the calibration "
        f"({sum(1 for part in found.parts if part.drift)} of 20 parts of the run)"
    )
    lower = compared(good, drawn(rng, 500, shift=-1.5))
    assert lower.first.drift == "lower"


def test_parts_cover_the_run_and_are_large_enough():
    found = compare(range(50), np.arange(950.0), np.arange(950) > 500)
    assert [part.first for part in found.parts[1:]] == [part.last + 1 for part in found.parts[:-1]]
    assert (found.parts[0].first, found.parts[-1].last) == (1, 950)
    assert min(part.last - part.first + 1 for part in found.parts) >= LEAST
    assert found.parts[-1].ng == 1.0
    assert found.parts[0].ng == 0.0


def test_what_began_lately_shows_at_the_end_of_a_long_run():
    rng = np.random.default_rng(3)
    run = np.concatenate([drawn(rng, 300_000), drawn(rng, 3000, shift=3.0)])
    found = compared(drawn(rng, 40), run)
    assert found.first is not None
    assert 299_000 < found.first.first <= 301_500
    assert len(found.shown) <= 40
    assert found.first in found.shown


def test_calibration_images_too_few_to_show_anything_are_said_to_be():
    rng = np.random.default_rng(4)
    with pytest.raises(UsageError, match="2 calibration images cannot show drift"):
        compared(drawn(rng, 2), drawn(rng, 300, shift=9.0))


def test_few_calibration_images_are_said_to_see_little():
    rng = np.random.default_rng(2)
    few = compared(drawn(rng, 40), drawn(rng, 10_000))
    many = compared(drawn(rng, 200), drawn(rng, 10_000))
    assert "drift shows once 38% of the scores lie higher than they did, or 33% lower" in detectable(few)
    assert "drift shows once 22% of the scores lie higher" in detectable(many)
