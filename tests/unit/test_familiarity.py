"""Another product is told apart from a defect, by the calm parts of the anomaly map."""

from __future__ import annotations

import numpy as np
import pytest

from uadx.scoring.familiarity import Tally, base_levels, base_range, limit


def maps(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-0.5, 0.2, (count, 64, 64)).astype(np.float32)


def test_the_base_level_is_the_lower_quartile():
    found = base_levels(maps(3))
    np.testing.assert_array_equal(found, np.quantile(maps(3), 0.25, axis=(1, 2), method="lower").astype(np.float32))


def test_a_defect_on_half_of_the_image_leaves_it_familiar_and_a_change_all_over_does_not():
    highest = limit(*base_range(base_levels(maps(20)).tolist()))
    defective, dimmed = maps(1, seed=1), maps(1, seed=1) + np.float32(0.3)
    defective[:, :32] += 50
    assert base_levels(defective)[0] > base_levels(maps(1, seed=1))[0]
    assert base_levels(dimmed)[0] > highest
    assert base_levels(maps(1, seed=1))[0] < highest


def test_two_images_say_nothing_of_how_far_good_images_lie_apart():
    assert base_range([0.1, 0.2]) is None
    assert base_range([0.1, 0.4, 0.2]) == (0.1, 0.4)
    assert limit(0.1, 0.4) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("unfamiliar", "images", "warns"), [(3, 5, True), (5, 10, False), (6, 10, True), (4, 4, False), (0, 0, False)]
)
def test_a_run_is_warned_of_where_more_than_half_of_at_least_five_images_are_unfamiliar(unfamiliar, images, warns):
    tally = Tally()
    for number in range(images):
        tally.add(number < unfamiliar)
    assert (tally.warning is not None) is warns
    if warns:
        assert tally.warning.startswith(f"{unfamiliar} of {images} images look unlike what the model was calibrated on")


def test_images_of_which_nothing_is_known_do_not_count():
    tally = Tally()
    for _ in range(10):
        tally.add(None)
    assert tally.warning is None
