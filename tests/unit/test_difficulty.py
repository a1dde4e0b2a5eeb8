"""What of the distance the teacher's features tell on good images is taken off it, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from uadx.stfpm.difficulty import Difficulty, DifficultyFit


def units(count: int, channels: int, seed: int) -> np.ndarray:
    features = np.random.default_rng(seed).random((count, channels)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def fitted(features: np.ndarray, distances: np.ndarray, images: int = 1_000, parts: int = 1) -> Difficulty:
    fit = DifficultyFit(features.shape[1])
    for some, values in zip(np.array_split(features, parts), np.array_split(distances, parts), strict=True):
        fit.add(some, values, images // parts)
    return fit.result()


def test_what_the_features_tell_of_the_distance_is_found():
    features = units(5_000, 16, 0)
    told = 0.1 + 0.2 * features[:, 3] - 0.1 * features[:, 7]
    noise = np.random.default_rng(1).normal(0, 0.005, len(features))
    difficulty = fitted(features, (told + noise).astype(np.float32))
    predicted = features @ difficulty.weight - difficulty.offset
    assert predicted.mean() == pytest.approx(0, abs=1e-5)  # the distance keeps its mean
    assert np.corrcoef(predicted, told)[0, 1] > 0.99
    assert np.std(told + noise - predicted) < 0.3 * np.std(told)


def test_what_they_do_not_tell_is_left_alone():
    features = units(5_000, 16, 0)
    distances = np.random.default_rng(1).uniform(0, 0.2, len(features)).astype(np.float32)
    difficulty = fitted(features, distances)
    assert np.std(features @ difficulty.weight) < 0.1 * distances.std()


def test_the_fewer_the_images_the_less_is_believed():
    features = units(500, 16, 0)
    distances = features[:, 0]
    strengths = [np.std(features @ fitted(features, distances, images).weight) for images in (5, 50, 500)]
    assert strengths == sorted(strengths)
    assert strengths[0] < 0.5 * distances.std() < 0.9 * strengths[2]


def test_the_sums_may_come_in_parts():
    features = units(1_000, 16, 0)
    distances = features[:, 0] ** 2
    once, parts = fitted(features, distances, 700), fitted(features, distances, 700, parts=7)
    np.testing.assert_allclose(once.weight, parts.weight, atol=1e-5)
    assert once.offset == pytest.approx(parts.offset, abs=1e-5)


@pytest.mark.parametrize("variation", [0.0, 1e-6, 1e-5])
def test_a_surface_that_hardly_varies_tells_nothing(variation):
    rng = np.random.default_rng(0)
    features = units(1, 64, 0) + rng.normal(0, variation, (16_384, 64)).astype(np.float32)
    fit = DifficultyFit(64)
    for _ in range(5):
        fit.add(features, rng.uniform(0, 0.2, len(features)).astype(np.float32), 4)
    assert np.linalg.norm(fit.result().weight) < 0.1
