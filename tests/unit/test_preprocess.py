"""Fitting an image to the model's size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from uadx.images.preprocess import letterbox, stretch


def fit(image, height, width):
    return stretch(image, height, width).pixels


NOISE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 1), (64, 96), (16, 1000), (3000, 20), (256, 256)])
def test_any_image_becomes_the_model_s_size(shape: tuple[int, int]):
    image = fit(np.zeros((*shape, 3), np.uint8), 128, 256)
    assert image.shape == (128, 256, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


def test_an_image_of_the_model_s_size_only_changes_bgr_to_rgb():
    np.testing.assert_array_equal(fit(NOISE, 64, 96), NOISE[..., ::-1])


def test_shrinking_averages_each_block():
    blocks = NOISE.reshape(16, 4, 32, 3, 3).mean(axis=(1, 3))
    assert np.abs(fit(NOISE, 16, 32) - blocks[..., ::-1]).max() <= 0.5


def test_a_scratch_of_one_pixel_survives_shrinking_wherever_it_lies():
    for column in range(80):
        image = np.zeros((80, 80, 3), np.uint8)
        image[:, column] = 255
        assert fit(image, 10, 10).sum() == pytest.approx(3 * 10 * 255 / 8, abs=30)


def test_growing_interpolates_between_pixel_centres():
    ramp = np.array([[[0, 0, 0], [200, 200, 200]]], np.uint8)
    np.testing.assert_allclose(fit(ramp, 1, 8)[0, :, 0], [0, 0, 25, 75, 125, 175, 200, 200], atol=1)


def test_each_axis_is_treated_on_its_own():
    tall = fit(NOISE, 16, 192)
    by_rows = NOISE.reshape(16, 4, 96, 3).mean(axis=1).round().astype(np.uint8)
    expected = cv2.resize(by_rows, (192, 16), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    assert np.abs(tall.astype(int) - expected).max() <= 1
    wide = fit(np.ascontiguousarray(NOISE.transpose(1, 0, 2)), 192, 16)
    assert np.abs(wide.transpose(1, 0, 2).astype(int) - expected).max() <= 1


def test_a_flat_colour_stays_what_it_is_in_rgb():
    flat = np.full((33, 77, 3), (10, 20, 30), np.uint8)
    for size in ((256, 256), (7, 300), (300, 7), (5, 5)):
        assert (fit(flat, *size) == (30, 20, 10)).all()


def test_the_image_is_not_written_to():
    before = NOISE.copy()
    fit(NOISE, 20, 200)
    np.testing.assert_array_equal(NOISE, before)


@pytest.mark.parametrize(
    ("shape", "content"),
    [
        ((64, 96), (84, 128)),
        ((96, 64), (128, 84)),
        ((64, 64), (128, 128)),
        ((10, 1000), (4, 128)),
        ((700, 1), (128, 4)),
    ],
)
def test_a_letterbox_keeps_the_proportions_to_a_cell_of_four_pixels(shape, content):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    fitted = letterbox(image, 128, 128)
    assert fitted.content == content
    assert fitted.pixels.shape == (128, 128, 3)
    assert fitted.pixels.flags.c_contiguous
    shown = fitted.pixels[: content[0], : content[1]]
    np.testing.assert_array_equal(shown, stretch(image, *content).pixels)


def test_beyond_the_content_lies_its_mirror_image():
    fitted = letterbox(NOISE, 96, 96)
    assert fitted.content == (64, 96)
    np.testing.assert_array_equal(fitted.pixels[64:], fitted.pixels[32:64][::-1])


def test_an_image_of_the_models_proportions_is_not_letterboxed():
    fitted = letterbox(NOISE, 128, 192)
    assert fitted.content == (128, 192)
    np.testing.assert_array_equal(fitted.pixels, stretch(NOISE, 128, 192).pixels)
