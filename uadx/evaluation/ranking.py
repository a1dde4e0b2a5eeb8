"""How well image scores tell defective from good: AUROC, average precision and best F1, exact, with intervals.

All three are sums over the distinct scores from the highest down, so that tied items are taken together and never in
the order in which they happened to come. Intervals are percentiles of bootstrap replicates (Efron, 1979) in which
the good and the defective images are drawn anew, each class by itself; figures that have no spread there have
Wilson's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1_000
COVERAGE = 0.95


class Measure(NamedTuple):
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """How defective images rank among good ones.

    auroc: the probability that a defective image scores higher than a good one, ties counting half. aupr: average
    precision, the mean over the defective images of the precision at their score. f1_max: the highest F1 of any
    threshold. Each 0..1.
    """

    auroc: Measure
    aupr: Measure
    f1_max: Measure


def rank(good: NDArray[Any], defective: NDArray[Any], seed: int = 0) -> Ranking:
    """Measure the scores of good [N] and of defective [M] images, of any real dtype.

    Raises ValueError where one class is missing or a score is NaN.
    """
    good, defective = np.asarray(good, np.float64), np.asarray(defective, np.float64)
    _check(good, "scores of good images")
    _check(defective, "scores of defective images")
    distinct, places = np.unique(-np.concatenate([defective, good]), return_inverse=True)
    of_defective, of_good = places[: len(defective)], places[len(defective) :]

    def counts(items: NDArray[np.intp]) -> NDArray[np.int64]:
        return np.bincount(items, minlength=len(distinct))

    def drawn_again(items: NDArray[np.intp]) -> NDArray[np.int64]:
        return counts(items[rng.integers(len(items), size=len(items))])

    rng = np.random.default_rng(seed)
    values = _figures(counts(of_defective), counts(of_good))
    replicates = np.array([_figures(drawn_again(of_defective), drawn_again(of_good)) for _ in range(REPLICATES)])
    fewer = min(len(good), len(defective))
    return Ranking(*(interval(value, column, fewer) for value, column in zip(values, replicates.T, strict=True)))


def auroc(labels: NDArray[np.bool_], scores: NDArray[Any]) -> float:
    """The AUROC alone. labels: bool [N], True for defective; scores: [N]. Raises ValueError like `rank`."""
    labels, scores = np.asarray(labels, bool), np.asarray(scores)
    if labels.shape != scores.shape:
        raise ValueError(f"labels of shape {labels.shape} for scores of shape {scores.shape}")
    _check(scores[~labels], "scores of good images")
    _check(scores[labels], "scores of defective images")
    distinct, places = np.unique(-scores, return_inverse=True)
    defective, good = (np.bincount(places[of], minlength=len(distinct)) for of in (labels, ~labels))
    return _figures(defective, good)[0]


def interval(value: float, replicates: NDArray[np.float64], items: int) -> Measure:
    """A figure with the percentiles of its bootstrap replicates, which are drawn from `items` items or more.

    Where all replicates are alike (a perfect figure, or a single item) they would say that others fare the same:
    then it has Wilson's interval for such a share of so many trials.
    """
    if np.all(replicates == replicates[0]):
        return _wilson(value, items)
    low, high = np.quantile(replicates, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Measure(value, float(low), float(high))


def share(count: int, total: int) -> Measure:
    """count of total with Wilson's interval (1927), which says something of 0 in 40 too. total: at least 1."""
    return _wilson(count / total, total)


def _wilson(found: float, total: int) -> Measure:
    z = 1.959964
    centre = (found + z * z / (2 * total)) / (1 + z * z / total)
    reach = z / (1 + z * z / total) * math.sqrt(found * (1 - found) / total + z * z / (4 * total * total))
    return Measure(found, max(0.0, centre - reach), min(1.0, centre + reach))


def _figures(defective: NDArray[np.int64], good: NDArray[np.int64]) -> tuple[float, float, float]:
    """AUROC, average precision, best F1 from the counts at each distinct score, the highest first."""
    found, alarms = defective.cumsum(), good.cumsum()
    all_defective, all_good = int(found[-1]), int(alarms[-1])
    higher_than = all_good - alarms + good / 2
    area = float(defective @ higher_than) / (all_defective * all_good)
    flagged = np.maximum(found + alarms, 1)  # a replicate may have left out the highest scores
    precision = float(defective @ (found / flagged)) / all_defective
    return area, precision, float((2 * found / (all_defective + flagged)).max())


def _check(scores: NDArray[Any], name: str) -> None:
    if scores.size == 0:
        raise ValueError(f"there are no {name}: the figures compare two classes and need both")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN: it has no place in an order")
