"""What the pictures show: calm good parts, marked defects, one colour scale, any size of image."""

from __future__ import annotations

import numpy as np
import pytest

from uadx.render.heatmap import heatmap, levels
from uadx.render.overlay import NG_COLOUR, OK_COLOUR, mask, overlay

THRESHOLD = 2.0


def picture(height, width):
    return np.full((height, width, 3), 120, np.uint8)


def hot_spot(height, width, value=5.0):
    anomaly_map = np.full((height, width), 0.3, np.float32)
    anomaly_map[height // 2 : height // 2 + 40, width // 2 : width // 2 + 40] = value
    return anomaly_map


def draw(image, anomaly_map, is_anomaly):
    return overlay(
        image, anomaly_map, threshold=THRESHOLD, region_threshold=THRESHOLD, score=1.0, is_anomaly=is_anomaly
    )


def test_a_good_part_is_left_as_it_is_but_for_the_plate():
    image = picture(300, 300)
    drawn = draw(image, np.full((300, 300), 0.55 * THRESHOLD, np.float32), False)
    np.testing.assert_array_equal(drawn[40:], image[40:])


def test_a_defect_is_coloured_and_outlined_and_the_rest_is_left_as_it_is():
    image = picture(300, 300)
    drawn = draw(image, hot_spot(300, 300), True)
    inside = drawn[160:180, 160:180].astype(int)
    assert (inside[..., 2] - inside[..., 0]).min() > 60
    assert (drawn[148:152, 148:192] == 255).all(axis=2).any()
    np.testing.assert_array_equal(drawn[200:, :140], image[200:, :140])


def test_a_defect_within_a_ring_of_others_has_its_own_outline():
    anomaly_map = np.full((400, 400), 0.3, np.float32)
    anomaly_map[40:360, 40:60] = anomaly_map[40:360, 340:360] = 5.0
    anomaly_map[40:60, 40:360] = anomaly_map[340:360, 40:360] = 5.0
    anomaly_map[180:220, 180:220] = 5.0
    drawn = draw(picture(400, 400), anomaly_map, True)
    assert (drawn[176:180, 180:220] == 255).all(axis=2).any()


def test_the_same_value_has_the_same_colour_in_every_image():
    calm = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    wild = np.append(calm, np.full((8, 8), 50, np.float32), axis=0)
    np.testing.assert_array_equal(heatmap(calm, THRESHOLD), heatmap(wild, THRESHOLD)[:8])


def test_the_scale_has_the_threshold_in_its_middle_and_ends_at_twice_it():
    values = np.array([[-3.0, 0.0, THRESHOLD, 2 * THRESHOLD, 99.0]], np.float32)
    assert levels(values, THRESHOLD).tolist() == [[0, 0, 127, 255, 255]]


@pytest.mark.parametrize("threshold", [0.0, -5.0])
def test_a_threshold_of_nothing_or_less_still_gives_a_scale(threshold):
    values = np.array([[threshold - 1, threshold, threshold + 1]], np.float32)
    assert levels(values, threshold)[0].tolist() in ([0, 127, 255], [0, 0, 127], [0, 128, 255])


def test_the_mask_is_what_lies_above_the_threshold_and_empty_for_an_ok_image():
    anomaly_map = np.array([[1.9, 2.0, 2.1]], np.float32)
    assert mask(anomaly_map, THRESHOLD, True).tolist() == [[0, 0, 255]]
    assert mask(anomaly_map, THRESHOLD, False).tolist() == [[0, 0, 0]]


def test_an_anomalous_image_is_marked_even_where_its_map_nowhere_exceeds_the_threshold():
    anomaly_map = np.full((300, 300), 0.3, np.float32)
    anomaly_map[200, 120] = 0.99 * THRESHOLD
    assert np.argwhere(mask(anomaly_map, THRESHOLD, True)).tolist() == [[200, 120]]
    around = draw(picture(300, 300), anomaly_map, True)[196:205, 116:125].astype(int)
    assert (around[..., 2] - around[..., 0]).max() > 100


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_plate_never_covers_a_defect_in_a_corner(corner):
    image, anomaly_map = picture(300, 300), np.full((300, 300), 0.3, np.float32)
    top, left = corner[0] * 270, corner[1] * 270
    anomaly_map[top : top + 30, left : left + 30] = 5
    drawn = draw(image, anomaly_map, True)
    inside = drawn[top + 6 : top + 24, left + 6 : left + 24].astype(int)
    assert (inside[..., 2] - inside[..., 0]).min() > 20


@pytest.mark.parametrize("is_anomaly", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 3), (31, 33), (64, 64), (95, 400), (100, 96), (1500, 2000)])
def test_every_size_of_image_is_drawn_and_never_written_to(size, is_anomaly):
    image, anomaly_map = picture(*size), hot_spot(*size)
    image.flags.writeable = anomaly_map.flags.writeable = False
    drawn = draw(image, anomaly_map, is_anomaly)
    assert drawn.shape == (*size, 3)
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize(("is_anomaly", "colour"), [(False, OK_COLOUR), (True, NG_COLOUR)])
def test_a_small_image_carries_its_verdict_as_a_border(is_anomaly, colour):
    drawn = draw(picture(48, 48), np.zeros((48, 48), np.float32), is_anomaly)
    assert drawn[0, 0].tolist() == list(colour)
    assert drawn[24, 24].tolist() == [120, 120, 120]


def test_the_plate_grows_with_the_image():
    def text_pixels(side):
        drawn = draw(picture(side, side), np.zeros((side, side), np.float32), False)
        return (drawn == 255).all(axis=2).sum()

    assert text_pixels(2000) > 10 * text_pixels(400)
