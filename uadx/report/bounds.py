"""How much of a run its report shows, however many images it had: the newest results, and the highest scores of all.

An image that is not shown now is not shown later either, so that its picture need not be kept while a run goes on.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

LARGE, SMALL = 1_000, 10_000
"""How many of the highest scores have a large picture, and how many one at all, and a row however old they are."""
NEWEST = 100_000
"""Results that have a row whatever their scores."""


def places(scores: Iterable[float | None]) -> NDArray[np.intp]:
    """The place of each score among all, 0 for the highest, of equal ones for the earliest; None is below all: what
    could not be read has no score, and no picture."""
    values = np.fromiter((-np.inf if score is None else score for score in scores), np.float64)
    ranks = np.empty(len(values), np.intp)
    ranks[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return ranks


def has_row(ranks: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which results have a row, by their places in the order of the run."""
    return (ranks < SMALL) | (np.arange(len(ranks)) >= len(ranks) - NEWEST)
