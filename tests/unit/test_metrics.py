"""AUROC and AUPRO against their definitions, computed the slow way."""

from __future__ import annotations

import itertools
import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from uadx.metrics import aupro, auroc, pixel_auroc


def brute_auroc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    pairs = list(itertools.product(scores[labels], scores[~labels]))
    return float(np.mean([(defective > good) + 0.5 * (defective == good) for defective, good in pairs]))


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


@pytest.mark.parametrize(
    ("defective", "good", "expected"),
    [
        ([3, 4], [1, 2], 1.0),
        ([1, 2], [3, 4], 0.0),
        ([1, 1], [1, 1, 1], 0.5),
        ([2, 4], [1, 3], 0.75),  # 2>1, 2<3, 4>1, 4>3
        ([2, 3], [1, 2, 2], 5 / 6),  # 1 + ½ + ½ + 1 + 1 + 1 of 6
        ([np.inf], [0.0, -np.inf], 1.0),
    ],
)
def test_auroc_of_cases_done_by_hand(defective: list[float], good: list[float], expected: float) -> None:
    labels = np.array([True] * len(defective) + [False] * len(good))
    assert auroc(labels, np.array(defective + good)) == pytest.approx(expected, abs=1e-15)


@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=40))
def test_auroc_is_the_share_of_pairs_in_the_right_order(items: list[tuple[bool, int]]) -> None:
    labels = np.array([label for label, _ in items])
    scores = np.array([float(score) for _, score in items])
    if labels.all() or not labels.any():
        with pytest.raises(ValueError, match="needs both"):
            auroc(labels, scores)
    else:
        assert auroc(labels, scores) == pytest.approx(brute_auroc(labels, scores), abs=1e-12)


def test_auroc_leaves_its_input_alone() -> None:
    labels, scores = np.array([True, False, False]), np.array([1.0, 3.0, 2.0])
    auroc(labels, scores)
    assert scores.tolist() == [1.0, 3.0, 2.0]


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


@pytest.mark.parametrize("metric", [aupro, pixel_auroc])
def test_degenerate_input_is_refused_in_a_sentence(metric) -> None:  # type: ignore[no-untyped-def]
    good, defect = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    values = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="no pixels inside a mask"):
        metric([good], [values])
    with pytest.raises(ValueError, match="no pixels inside a mask"):
        metric([], [])
    with pytest.raises(ValueError, match="no pixels outside the masks"):
        metric([defect], [values])
    with pytest.raises(ValueError, match="2 masks for 1 anomaly maps"):
        metric([good, defect], [values])
    with pytest.raises(ValueError, match=r"shape \(4, 4\) for values of shape \(3, 4\)"):
        metric([good], [values[1:]])
    with pytest.raises(ValueError, match="NaN"):
        metric([good], [values * np.nan])


@pytest.mark.parametrize("fpr_limit", [0.0, -0.1, 1.5, float("nan")])
def test_an_fpr_limit_outside_0_to_1_is_refused(fpr_limit: float) -> None:
    with pytest.raises(ValueError, match="fpr_limit"):
        aupro([np.eye(3, dtype=bool)], [np.eye(3, dtype=np.float32)], fpr_limit)


def test_aupro_of_a_whole_test_set_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    masks = [np.zeros((300, 300), bool) for _ in range(150)]
    for mask in masks[:100]:
        mask[100:150, 100:140] = True
    maps = [rng.random((300, 300), dtype=np.float32) for _ in masks]
    start = time.perf_counter()
    assert aupro(masks, maps) == pytest.approx(0.15, abs=0.01)
    assert time.perf_counter() - start < 5
