"""Drawn defects: where they say they are, and nowhere else; the same from the same seed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from uadx.stfpm.synthetic import paste


@pytest.fixture(scope="module")
def pair(product):
    paths = sorted((product / "train" / "good").iterdir())[:2]
    return [cv2.resize(cv2.imread(str(path)), (256, 256)) for path in paths]


def test_most_pictures_change_where_the_mask_is_and_hardly_any_beyond(pair):
    image, other = pair
    before = image.copy()
    changed_inside = changed_outside = 0.0
    for seed in range(40):
        spoilt, where = paste(image, other, np.random.default_rng(seed))
        assert spoilt.shape == image.shape
        assert (spoilt.dtype, where.dtype) == (np.uint8, np.bool_)
        difference = np.abs(spoilt.astype(int) - image).max(axis=2)
        if where.any():
            changed_inside += float(difference[where].mean())
        far = cv2.dilate(where.astype(np.uint8), np.ones((61, 61))) == 0
        changed_outside += float(difference[far].mean()) if far.any() else 0.0
    assert changed_inside / 40 > 15
    assert changed_outside / 40 < 1
    np.testing.assert_array_equal(image, before)


def test_the_same_seed_draws_the_same_defects(pair):
    first, again, other = (paste(*pair, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


def test_defects_are_of_all_sizes(pair):
    areas = [paste(*pair, np.random.default_rng(seed))[1].mean() for seed in range(100)]
    assert min(areas) < 0.002
    assert max(areas) > 0.1
    assert np.median(areas) < 0.05


def test_a_grey_camera_sees_no_tint(pair):
    grey = [np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2) for image in pair]
    for seed in range(30):
        spoilt, _ = paste(*grey, np.random.default_rng(seed))
        assert np.ptp(spoilt.astype(int), axis=2).max() <= 1


@pytest.mark.parametrize("shape", [(32, 32), (64, 192), (300, 40)])
def test_any_size_of_picture_can_be_spoilt(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for seed in range(20):
        assert paste(image, image[::-1].copy(), np.random.default_rng(seed))[0].shape == (*shape, 3)
