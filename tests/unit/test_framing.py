"""Images of any size become windows of the model's size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uadx.images.framing import Framing, Tiling
from uadx.images.preprocess import letterbox

SIDES = st.integers(8, 900)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@given(SIDES, SIDES, st.sampled_from([64, 100, 256]), st.sampled_from([0.0, 0.25, 0.5, 0.75]))
def test_tiles_leave_no_pixel_out_and_overlap_as_asked(height, width, size, overlap):
    framing = Framing(64, 64, tiling=Tiling(size, overlap))
    framed = framing(np.zeros((height, width, 3), np.uint8))
    high, wide = framed.cut.content
    seen = np.zeros((high, wide), int)
    for (row, column), window in zip(framed.cut.corners, framed.windows, strict=True):
        assert window.shape == (64, 64, 3)
        seen[row : row + 64, column : column + 64] += 1
    assert seen.min() >= 1
    rows = sorted({row for row, _ in framed.cut.corners})
    grain = 4  # windows stand on the grid of level1
    assert all(64 - (below - above) >= overlap * 64 - grain for above, below in itertools.pairwise(rows))
    assert len(framed.windows) == framing.count(height, width)
    assert all(row % grain == column % grain == 0 for row, column in framed.cut.corners)


def test_tiles_of_the_model_s_size_are_the_image_s_own_pixels():
    image = noise(300, 500)
    framed = Framing(256, 256, tiling=Tiling(256))(image)
    assert framed.cut.content == (300, 500)
    assert framed.cut.corners == ((0, 0), (0, 120), (0, 244), (44, 0), (44, 120), (44, 244))
    np.testing.assert_array_equal(framed.windows[4], image[44:300, 120:376, ::-1])


def test_larger_tiles_are_made_smaller_all_by_the_same_scale():
    framed = Framing(256, 256, tiling=Tiling(512))(noise(1024, 768))
    assert framed.cut.content == (512, 384)


def test_an_image_that_is_smaller_than_a_tile_keeps_its_scale_and_is_filled_up():
    image = noise(60, 100)
    framed = Framing(256, 256, tiling=Tiling(256))(image)
    assert (framed.cut.content, framed.cut.corners) == ((60, 100), ((0, 0),))
    np.testing.assert_array_equal(framed.windows[0][:60, :100], image[..., ::-1])
    assert framed.cut.shown(256, 256) == [(60, 100)]


def test_a_whole_image_is_one_window_just_as_it_is_fitted():
    image = noise(60, 100)
    framed = Framing(64, 96)(image)
    fitted = letterbox(image, 64, 96)
    np.testing.assert_array_equal(framed.windows, [fitted.pixels])
    assert framed.cut.shown(64, 96) == [fitted.content]


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1)])
def test_a_sliver_has_tiles_along_it(size):
    framing = Framing(64, 64, tiling=Tiling(64, 0.0))
    assert len(framing(np.zeros((*size, 3), np.uint8)).windows) == framing.count(*size) == 79
