"""Pixel AUROC and AUPRO against their definitions, computed the slow way; memory; a blind model."""

from __future__ import annotations

import itertools
import tracemalloc

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from uadx.evaluation import pixels
from uadx.evaluation.pixels import measure_defects
from uadx.evaluation.ranking import auroc
from uadx.evaluation.store import MapStore

Masks = list[NDArray[np.bool_]]
Maps = list[NDArray[np.float32]]


def pixel_auroc(masks: Masks, maps: Maps) -> float:
    return measure_defects(list(zip(maps, masks, strict=True))).pixel_auroc().value


def aupro(masks: Masks, maps: Maps, fpr_limit: float = 0.3) -> float:
    return measure_defects(list(zip(maps, masks, strict=True)), [fpr_limit]).aupro(fpr_limit).value


def brute_aupro(masks: list[NDArray[np.bool_]], maps: list[NDArray[np.float32]], fpr_limit: float) -> float:
    """The curve point by point, one for each distinct value as threshold, then trapezoids up to the limit."""
    regions = []
    for mask, anomaly_map in zip(masks, maps, strict=True):
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        regions += [anomaly_map[labels == label] for label in range(1, count)]
    outside = np.concatenate([anomaly_map[~mask] for mask, anomaly_map in zip(masks, maps, strict=True)])
    curve = [(0.0, 0.0)]
    for threshold in sorted({value for anomaly_map in maps for value in anomaly_map.ravel()}, reverse=True):
        overlap = np.mean([np.mean(region >= threshold) for region in regions])
        curve.append((float(np.mean(outside >= threshold)), float(overlap)))
    area = 0.0
    for (fpr, overlap), (next_fpr, next_overlap) in itertools.pairwise(curve):
        if fpr >= fpr_limit or next_fpr == fpr:
            continue
        end = min(next_fpr, fpr_limit)
        end_overlap = overlap + (next_overlap - overlap) * (end - fpr) / (next_fpr - fpr)
        area += (end - fpr) * (overlap + end_overlap) / 2
    return area / fpr_limit


def synthetic_images(seed: int, distinct_values: int) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.float32]]]:
    """Five images of different sizes with 0..4 defects each; few distinct values make many ties."""
    rng = np.random.default_rng(seed)
    masks, maps = [], []
    for defects in range(5):
        height, width = rng.integers(12, 25, 2)
        mask = np.zeros((height, width), np.uint8)
        for _ in range(defects):
            x, y = int(rng.integers(width)), int(rng.integers(height))
            cv2.circle(mask, (x, y), int(rng.integers(0, 4)), 1, -1)
        values = rng.random((height, width)) + 0.4 * mask * rng.random((height, width))
        masks.append(mask > 0)
        maps.append((np.round(values * distinct_values) / distinct_values).astype(np.float32))
    return masks, maps


@pytest.mark.parametrize("distinct_values", [3, 20, 10**6])
def test_pixel_auroc_is_the_auroc_of_all_pixels(distinct_values: int) -> None:
    masks, maps = synthetic_images(1, distinct_values)
    labels = np.concatenate([mask.ravel() for mask in masks])
    values = np.concatenate([anomaly_map.ravel() for anomaly_map in maps])
    assert pixel_auroc(masks, maps) == pytest.approx(auroc(labels, values), abs=1e-12)


@pytest.mark.parametrize("fpr_limit", [0.003, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("distinct_values", [3, 20, 10**6])
@pytest.mark.parametrize("seed", [0, 1])
def test_aupro_is_the_area_under_the_curve_drawn_point_by_point(
    seed: int, distinct_values: int, fpr_limit: float
) -> None:
    masks, maps = synthetic_images(seed, distinct_values)
    assert aupro(masks, maps, fpr_limit) == pytest.approx(brute_aupro(masks, maps, fpr_limit), abs=1e-9)


def test_aupro_of_a_perfect_map_is_one_and_of_an_inverted_map_zero() -> None:
    masks, _ = synthetic_images(2, 3)
    assert aupro(masks, [mask.astype(np.float32) for mask in masks]) == pytest.approx(1)
    # Upside down, all good pixels are flagged before the first defective one.
    inverted = [np.where(mask, -1, np.linspace(0, 1, mask.size).reshape(mask.shape)) for mask in masks]
    assert aupro(masks, [anomaly_map.astype(np.float32) for anomaly_map in inverted]) == 0


def test_aupro_counts_a_small_defect_as_much_as_a_large_one() -> None:
    mask = np.zeros((40, 40), bool)
    mask[2:22, 2:22] = True
    mask[30, 30] = True
    only_large_found, only_small_found = np.zeros((2, 40, 40), np.float32)
    only_large_found[2:22, 2:22] = 1
    only_small_found[30, 30] = 1
    # The missed defect ties with the background: its overlap equals the FPR, 0.15 on average up to 0.3.
    for found in (only_large_found, only_small_found):
        assert aupro([mask], [found]) == pytest.approx((1 + 0.15) / 2)


def test_aupro_takes_diagonal_neighbours_for_one_defect() -> None:
    mask = np.zeros((30, 30), bool)
    mask[0, 0] = mask[1, 1] = mask[20, 20] = True
    anomaly_map = np.linspace(0.5, 0, 900).reshape(30, 30).astype(np.float32)[::-1].copy()
    anomaly_map[0, 0] = anomaly_map[1, 1] = -1
    anomaly_map[20, 20] = 1
    assert aupro([mask], [anomaly_map]) == pytest.approx(1 / 2)


def test_aupro_counts_false_positives_on_good_images() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:8, 5:8] = True
    anomaly_map = mask.astype(np.float32)
    noisy_good_image = np.full((20, 20), 2, np.float32)
    assert aupro([mask], [anomaly_map]) == pytest.approx(1)
    assert aupro([mask, np.zeros_like(mask)], [anomaly_map, noisy_good_image]) == 0


def test_degenerate_input_is_refused_in_a_sentence() -> None:
    good, defect = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    values = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="no pixels inside a mask"):
        measure_defects([(values, good)])
    with pytest.raises(ValueError, match="no pixels inside a mask"):
        measure_defects([])
    with pytest.raises(ValueError, match="no pixels outside the masks"):
        measure_defects([(values, defect)])
    with pytest.raises(ValueError, match=r"shape \(4, 4\) for an anomaly map of shape \(3, 4\)"):
        measure_defects([(values[1:], good)])
    with pytest.raises(ValueError, match="NaN"):
        measure_defects([(values * np.float32(np.nan), good)])


@pytest.mark.parametrize("fpr_limit", [0.0, -0.1, 1.5, float("nan")])
def test_an_fpr_limit_outside_0_to_1_is_refused(fpr_limit: float) -> None:
    with pytest.raises(ValueError, match="FPR limit"):
        aupro([np.eye(3, dtype=bool)], [np.eye(3, dtype=np.float32)], fpr_limit)


def test_a_blind_model_scores_one_half() -> None:
    """PaddleX counts mask pixels of 1 only; masks are 0 and 255, so that it finds no defect and gives 1.0."""
    masks = [np.zeros((30, 30), bool) for _ in range(3)]
    masks[0][3:9, 3:9] = masks[1][20:22, 5:25] = True
    blind = measure_defects([(np.full((30, 30), 0.7, np.float32), mask) for mask in masks])
    assert blind.pixel_auroc().value == 0.5
    assert blind.aupro(0.3).value == pytest.approx(0.15)  # the diagonal below 0.3, divided by 0.3
    assert blind.pro == pytest.approx(np.where(pixels.GRID < 1, 0, 1))  # no threshold but all or nothing


@pytest.mark.parametrize("chunk", [1, 50, 1000])
@pytest.mark.parametrize("distinct_values", [1, 20, 10**6])
def test_ranges_of_values_taken_one_after_another_give_the_same_as_all_at_once(
    chunk: int, distinct_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, maps = synthetic_images(3, distinct_values)
    maps = [anomaly_map - np.float32(0.5) for anomaly_map in maps]  # negative values sort too
    images = list(zip(maps, masks, strict=True))
    whole = measure_defects(images)
    monkeypatch.setattr(pixels, "CHUNK", chunk)
    parts = measure_defects(images)
    assert parts.auroc == pytest.approx(whole.auroc, abs=1e-12)
    for limit in (0.3, 0.05):
        assert parts.overlap[limit] == pytest.approx(whole.overlap[limit], abs=1e-12)
    assert parts.pro == pytest.approx(whole.pro, abs=1e-12)


def test_minus_zero_ties_with_zero() -> None:
    mask = np.array([[True, False]])
    assert pixel_auroc([mask], [np.array([[-0.0, 0.0]], np.float32)]) == 0.5


def test_the_curve_rises_to_one_and_its_area_is_the_figure() -> None:
    masks, maps = synthetic_images(4, 10**6)
    found = measure_defects(list(zip(maps, masks, strict=True)))
    assert found.pro[-1] == pytest.approx(1)
    assert (np.diff(found.pro) >= 0).all()
    area = float(np.sum((found.pro[1:] + found.pro[:-1]) / 2 * np.diff(pixels.GRID)))
    assert found.aupro(0.3).value < 1
    assert measure_defects(list(zip(maps, masks, strict=True)), [1.0]).aupro(1.0).value == pytest.approx(area, abs=0.01)


def test_the_images_of_a_kind_are_measured_against_all_good_pixels() -> None:
    masks, maps = synthetic_images(5, 20)
    images = list(zip(maps, masks, strict=True))
    found = measure_defects(images)
    only = measure_defects(images)
    bearers = sorted(set(found.image.tolist()))
    weighted = sum(found.aupro(0.3, [bearer]).value * int((found.image == bearer).sum()) for bearer in bearers) / len(
        found.image
    )
    assert weighted == pytest.approx(only.aupro(0.3).value)


def test_maps_come_back_from_the_file_as_they_went_in() -> None:
    rng = np.random.default_rng(0)
    with MapStore() as store:
        masks = []
        for height, width in ((31, 17), (8, 8), (40, 40)):
            masks.append(rng.random((height, width)) < 0.2)
            store.add(rng.random((4, 4), dtype=np.float32), masks[-1])
        store.add(np.ones((4, 4), np.float32), np.zeros((5, 6), np.bool_))
        for _ in range(2):
            again = list(store)
            assert [anomaly_map.shape for anomaly_map, _ in again] == [(31, 17), (8, 8), (40, 40), (5, 6)]
            assert all((mask == before).all() for (_, mask), before in zip(again, masks, strict=False))
            assert not again[3][1].any()
            assert (again[3][0] == 1).all()


def test_memory_stays_bounded_however_many_images_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "CHUNK", 1 << 16)
    mask = np.zeros((400, 400), np.bool_)
    mask[100:120, 100:120] = True
    rng = np.random.default_rng(0)

    def peak(count: int) -> int:
        with MapStore() as store:
            for number in range(count):
                store.add(rng.random((16, 16), dtype=np.float32), mask if number % 2 else np.zeros_like(mask))
            tracemalloc.start()
            measure_defects(store)
            held = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return held

    few = peak(4)
    assert peak(24) < 1.2 * few
