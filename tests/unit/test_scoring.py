"""Fusion, image score, calibration and regions, each against a plain definition."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uadx.errors import UsageError
from uadx.scoring import fusion
from uadx.scoring.calibration import Calibration
from uadx.scoring.fusion import LevelScale, Scoring
from uadx.scoring.regions import find_regions

SCORING = Scoring(levels={f"level{n}": LevelScale(low=0.01 * n, high=0.05 * n) for n in (1, 2, 3)}, smoothing=1.0)


def level_maps(count, rng):
    return {f"level{n}": rng.random((count, 128 >> n, 128 >> n), np.float32) * 0.1 for n in (1, 2, 3)}


def reference_fusion(maps, index):
    """Scale, resize with OpenCV and blur with OpenCV, in float64."""
    fused = np.zeros((64, 64))
    for name, scale in SCORING.levels.items():
        scaled = (maps[name][index].astype(np.float64) - scale.low) / (scale.high - scale.low)
        resized = cv2.resize(scaled, (64, 64), interpolation=cv2.INTER_LINEAR)
        fused += cv2.GaussianBlur(resized, (9, 9), 1.0, borderType=cv2.BORDER_REPLICATE)
    return fused / 3


def test_quantile_fusion_is_scaling_bilinear_resizing_and_gaussian_smoothing():
    maps = level_maps(3, np.random.default_rng(0))
    fused = fusion.fuse_quantile(maps, SCORING)
    assert fused.shape == (3, 64, 64)
    assert fused.dtype == np.float32
    for index in range(3):
        np.testing.assert_allclose(fused[index], reference_fusion(maps, index), atol=2e-5)


def test_product_fusion_is_the_product_of_the_levels_at_the_input_size():
    maps = level_maps(2, np.random.default_rng(1))
    expected = np.prod([cv2.resize(maps[name][1], (256, 256)) for name in maps], axis=0)
    np.testing.assert_allclose(fusion.fuse_product(maps, 256, 256)[1], expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("kind", fusion.FUSIONS)
def test_scores_do_not_depend_on_how_images_were_grouped(kind):
    maps = level_maps(7, np.random.default_rng(2))
    together = fusion.image_scores(fusion.anomaly_maps(maps, SCORING, kind, (256, 256)), SCORING, kind)
    for index in range(7):
        one = {name: level[index : index + 1] for name, level in maps.items()}
        alone = fusion.image_scores(fusion.anomaly_maps(one, SCORING, kind, (256, 256)), SCORING, kind)
        assert alone[0] == together[index]


def test_the_image_score_is_the_mean_of_the_highest_hundredth():
    anomaly_map = np.arange(20 * 20, dtype=np.float32).reshape(20, 20)
    assert fusion.top_mean(anomaly_map, 0.01) == 397.5  # of 397 to 398 and 399, 396: the highest four
    assert fusion.top_mean(anomaly_map, 0.0) == 399
    assert fusion.top_mean(anomaly_map[:1, :2], 0.01) == 1  # one value at least


@pytest.mark.parametrize("side", [64, 256])
def test_maps_are_cut_to_the_part_that_shows_the_image(side):
    maps = np.arange(2 * side * side, dtype=np.float32).reshape(2, side, side)
    whole, part = fusion.contents(maps, [(256, 256), (128, 84)], (256, 256))
    np.testing.assert_array_equal(whole, maps[0])
    np.testing.assert_array_equal(part, maps[1, : side // 2, : 84 * side // 256])


def test_a_coarse_cell_that_is_half_in_the_picture_is_kept():
    (part,) = fusion.contents(np.zeros((1, 16, 16), np.float32), [(256, 84)], (256, 256))
    assert part.shape == (16, 6)  # 84 / 16 = 5.25


def test_a_level_scale_is_the_quantiles_of_its_held_out_distances():
    level = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
    scale = fusion.level_scales({"level1": level})["level1"]
    assert scale.low == pytest.approx(0.9, abs=1e-3)
    assert scale.high == pytest.approx(0.995, abs=1e-3)


def test_a_level_without_any_variation_still_has_a_scale():
    scale = fusion.level_scales({"level1": np.zeros((2, 4, 4), np.float32)})["level1"]
    assert scale.high > scale.low


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_the_threshold_leaves_no_more_calibration_scores_above_it_than_the_rate_allows(count, seed):
    scores = sorted(np.random.default_rng(seed).random(count).tolist())
    calibration = Calibration(scores)
    for fpr in (calibration.lowest_fpr, 0.1, 0.5):
        if fpr >= calibration.lowest_fpr:
            above = sum(score > calibration.threshold(fpr) for score in scores)
            assert (above + 1) / (count + 1) <= fpr + 1e-12


def test_a_new_good_score_exceeds_the_threshold_as_rarely_as_stated():
    rng = np.random.default_rng(3)
    false_alarms = [rng.random() > Calibration(sorted(rng.random(99).tolist())).threshold(0.05) for _ in range(20_000)]
    assert np.mean(false_alarms) == pytest.approx(0.05, abs=0.006)


def test_a_rate_that_the_images_cannot_certify_is_refused_with_the_number_it_takes():
    with pytest.raises(UsageError) as caught:
        Calibration([0.1] * 50).threshold(0.01)
    assert caught.value.message == ("50 calibration images certify false-alarm rates of 0.01961 and more, not 0.01")
    assert caught.value.hint == (
        "calibrate with at least 99 held-out good images, or set the score itself: --threshold"
    )


def test_99_images_certify_one_in_a_hundred():
    scores = [float(n) for n in range(99)]
    assert Calibration(scores).threshold(0.01) == 98.0
    assert Calibration(scores[:98]).default_fpr() == 1 / 99


def test_the_p_value_is_one_for_a_calm_image_and_the_least_for_the_worst():
    calibration = Calibration([1.0, 2.0, 3.0])
    assert [calibration.p_value(score) for score in (0.5, 2.0, 2.5, 9.0)] == [1.0, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, 7])
def test_a_rate_outside_zero_to_one_is_a_usage_error(fpr):
    with pytest.raises(UsageError, match="is not between 0 and 1"):
        Calibration([1.0]).threshold(fpr)


def test_regions_are_components_in_original_pixels_with_box_area_and_peak():
    anomaly_map = np.zeros((50, 80), np.float32)
    anomaly_map[10:14, 20:30] = 2
    anomaly_map[12, 25] = 5
    anomaly_map[40, 70] = 3
    anomaly_map[41, 71] = 2  # touches by a corner
    first, second = find_regions(anomaly_map, 1.0)
    assert (first.bbox, first.area, first.peak, first.score) == ((20, 10, 10, 4), 40, (25, 12), 5.0)
    assert (second.bbox, second.area, second.peak) == ((70, 40, 2, 2), 2, (70, 40))
    assert second.as_json() == {"bbox": [70, 40, 2, 2], "area": 2, "peak": [70, 40], "score": 3.0}


def test_the_peak_of_a_region_is_never_that_of_another_inside_its_box():
    anomaly_map = np.zeros((20, 20), np.float32)
    anomaly_map[2, 2:18] = anomaly_map[2:18, 2] = 2  # an angle whose box holds the dot
    anomaly_map[10, 10] = 9
    dot, angle = find_regions(anomaly_map, 1.0)
    assert dot.peak == (10, 10)
    assert angle.score == 2.0


def test_an_anomalous_image_whose_peak_was_flattened_has_its_peak_as_region():
    anomaly_map = np.full((4, 4), 0.5, np.float32)
    anomaly_map[3, 1] = 0.9
    (region,) = find_regions(anomaly_map, 1.0)
    assert (region.bbox, region.area, region.peak) == ((1, 3, 1, 1), 1, (1, 3))
