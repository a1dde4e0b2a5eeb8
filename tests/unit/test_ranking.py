"""Figures of image scores against cases done by hand, the definition, and scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from uadx.evaluation.ranking import auroc, rank, share


def brute_auroc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    pairs = list(itertools.product(scores[labels], scores[~labels]))
    return float(np.mean([(defective > good) + 0.5 * (defective == good) for defective, good in pairs]))


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
        with pytest.raises(ValueError, match="need both"):
            auroc(labels, scores)
    else:
        assert auroc(labels, scores) == pytest.approx(brute_auroc(labels, scores), abs=1e-12)


@pytest.mark.parametrize("distinct", [2, 7, 10**6])
@pytest.mark.parametrize("seed", range(4))
def test_the_figures_are_those_of_scikit_learn(seed: int, distinct: int) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: pip install 'uadx[test]'")
    rng = np.random.default_rng(seed)
    labels = rng.random(120) < 0.3
    scores = np.round((rng.random(120) + 0.4 * labels) * distinct) / distinct
    found = rank(scores[~labels], scores[labels])
    assert found.auroc.value == pytest.approx(sklearn.roc_auc_score(labels, scores), abs=1e-12)
    assert found.aupr.value == pytest.approx(sklearn.average_precision_score(labels, scores), abs=1e-12)
    best = max(sklearn.f1_score(labels, scores >= threshold) for threshold in scores)
    assert found.f1_max.value == pytest.approx(best, abs=1e-12)
    assert auroc(labels, scores) == found.auroc.value


def test_a_blind_model_ranks_like_a_coin() -> None:
    found = rank(np.zeros(40), np.zeros(60))
    assert found.auroc.value == 0.5
    assert found.auroc.low < 0.4 < 0.6 < found.auroc.high
    assert found.aupr.value == pytest.approx(0.6)  # the share of defective images
    assert found.f1_max.value == pytest.approx(2 * 60 / 160)  # all called defective


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    # two normal distributions a standard deviation apart: the true AUROC is Phi(1 / sqrt 2) = 0.7602
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        _, low, high = rank(rng.normal(0, 1, 60), rng.normal(1, 1, 60)).auroc
        held += low <= 0.7602 <= high
    assert 88 <= held <= 99


@pytest.mark.parametrize(("count", "low"), [(1, 0.207), (15, 0.796), (400, 0.990)])
def test_a_perfect_figure_of_few_images_promises_little(count: int, low: float) -> None:
    found = rank(np.zeros(500), np.ones(count))
    assert (found.auroc.value, found.auroc.high) == (1, 1)
    assert found.auroc.low == pytest.approx(low, abs=1e-3)


def test_the_same_scores_give_the_same_interval() -> None:
    good, defective = np.random.default_rng(1).normal([[0.0], [1.0]], 1, (2, 50))
    assert rank(good, defective) == rank(good, defective)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"), [(0, 40, 0.0, 0.0876), (5, 50, 0.0435, 0.2136), (40, 40, 0.9124, 1.0)]
)
def test_a_share_has_wilsons_interval(count: int, total: int, low: float, high: float) -> None:
    found = share(count, total)
    assert found.value == count / total
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_scores_are_left_as_they_are() -> None:
    labels, scores = np.array([True, False, False]), np.array([1.0, 3.0, 2.0])
    auroc(labels, scores)
    assert scores.tolist() == [1.0, 3.0, 2.0]


@pytest.mark.parametrize(
    ("good", "defective", "message"),
    [
        ([], [1.0], "there are no scores of good images"),
        ([1.0], [], "there are no scores of defective images"),
        ([1.0], [np.nan], "a score is NaN"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_a_sentence(
    good: list[float], defective: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rank(np.array(good), np.array(defective))
