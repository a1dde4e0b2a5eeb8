"""How often chance is taken for drift, and what is found, on drawn scores whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from uadx.drift.comparison import LEAST, MOST_PARTS, compare
from uadx.drift.words import detectable, verdict


def drawn(rng, count, shift=0.0):
    return rng.gamma(2.0, 1.0, count) + shift


@pytest.mark.parametrize("held_out", [10, 40, 200])
@pytest.mark.parametrize("inspected", [100, 5000])
def test_chance_is_taken_for_drift_no_more_often_than_said(held_out, inspected):
    rng = np.random.default_rng(held_out + inspected)
    runs, level = 300, 0.1
    false = sum(
        compare(drawn(rng, held_out), drawn(rng, inspected), 6.0, defects=0.0, level=level).first is not None
        for _ in range(runs)
    )
    assert false <= runs * level + 3 * np.sqrt(runs * level * (1 - level))


def test_defects_within_the_allowed_share_are_no_drift_and_twice_as_many_are():
    rng = np.random.default_rng(0)
    good = drawn(rng, 2000)
    run = drawn(rng, 20_000)
    run[rng.random(len(run)) < 0.1] = 50.0
    assert compare(good, run, 6.0, defects=0.1).first is None
    assert compare(good, run, 6.0, defects=0.0).first is not None


def test_a_change_is_found_where_it_began_and_with_its_direction():
    rng = np.random.default_rng(1)
    good = drawn(rng, 200)
    run = np.concatenate([drawn(rng, 3000), drawn(rng, 3000, shift=1.0)])
    found = compare(good, run, 6.0)
    assert len(found.parts) == MOST_PARTS
    assert 2700 < found.first.first <= 3301
    assert found.first.drift == "higher"
    assert verdict(found) == (
        f"Drift: from image {found.first.first} on the scores are higher than those of the calibration "
        f"({sum(1 for part in found.parts if part.drift)} of 20 parts of the run)"
    )
    lower = compare(good, drawn(rng, 500, shift=-1.5), 6.0)
    assert lower.first.drift == "lower"


def test_parts_cover_the_run_and_are_large_enough():
    found = compare([1.0, 2.0], np.arange(950.0), 500.0)
    assert [part.first for part in found.parts[1:]] == [part.last + 1 for part in found.parts[:-1]]
    assert (found.parts[0].first, found.parts[-1].last) == (1, 950)
    assert min(part.last - part.first + 1 for part in found.parts) >= LEAST
    assert found.parts[-1].ng == 1.0
    assert found.parts[0].ng == 0.0


def test_few_calibration_images_are_said_to_see_little():
    rng = np.random.default_rng(2)
    few = compare(drawn(rng, 40), drawn(rng, 10_000), 6.0)
    many = compare(drawn(rng, 200), drawn(rng, 10_000), 6.0)
    assert "drift shows once 38% of the scores lie higher than they did, or 33% lower" in detectable(few)
    assert "drift shows once 22% of the scores lie higher" in detectable(many)
