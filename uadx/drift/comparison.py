"""Scores of a production run beside those of the calibration: two-sample Kolmogorov-Smirnov, part by part of the run.

Good parts that are like the held-out ones have scores of the same distribution; how far two samples of it may lie apart
by chance is known whatever the distribution is (Smirnov, Annals of Mathematical Statistics 19, 1948), and depends on
the size of both. Production has defective parts too, which the calibration has not: where at most a share e of
production is anything at all, its distribution is at most e lower anywhere (Huber's contamination), and that much more
is allowed upwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uadx.errors import UsageError
from uadx.plural import counted

LEAST, MOST = 100, 1000
"""Images of a part: fewer show next to nothing, and more hide what began lately."""
MOST_PARTS = 20
"""Of a run that is cut into larger parts than LEAST."""
SHOWN = 40
"""Parts that are listed."""


@dataclass(frozen=True)
class Part:
    """Consecutive images of a run. first, last: their numbers, from 1.

    higher, lower: how far the share of scores below some score lies under, and over, that of the calibration, at the
    most; above higher_limit or lower_limit it is no chance. ng: share above the threshold. median: of the scores.
    """

    first: int
    last: int
    higher: float
    lower: float
    higher_limit: float
    lower_limit: float
    ng: float
    median: float

    @property
    def drift(self) -> str | None:
        """ "higher" or "lower" where the scores are, else None."""
        excess = {"higher": self.higher - self.higher_limit, "lower": self.lower - self.lower_limit}
        way = max(excess, key=lambda one: excess[one])
        return way if excess[way] > 0 else None


@dataclass(frozen=True)
class Drift:
    """What a run shows. level: how likely one of its parts differs by chance. defects: the share of production that may
    be anything."""

    calibration: NDArray[np.float64]
    parts: Sequence[Part]
    defects: float
    level: float

    @property
    def shown(self) -> Sequence[Part]:
        """All parts; of many those at which something changes, the first and the last."""
        if len(self.parts) <= SHOWN:
            return self.parts
        ways = [part.drift for part in self.parts]
        changes = [at for at in range(1, len(ways)) if ways[at] != ways[at - 1]]
        chosen = sorted({0, *changes[: SHOWN - 2], len(ways) - 1})
        return [self.parts[at] for at in chosen]

    @property
    def first(self) -> Part | None:
        """The first part that differs; None where none does."""
        return next((part for part in self.parts if part.drift), None)

    @property
    def worst(self) -> Part:
        """The part that differs most, beside what it may."""
        return max(self.parts, key=lambda part: max(part.higher - part.higher_limit, part.lower - part.lower_limit))


def compare(
    calibration: Sequence[float],
    scores: NDArray[np.float64],
    ng: NDArray[np.bool_],
    *,
    defects: float = 0.05,
    level: float = 0.01,
) -> Drift:
    """Compare a run's scores, float64 [N] in their order, with the calibration's; N at least LEAST. ng: which were NG.

    The run is cut into MOST_PARTS parts, or as many as have LEAST to MOST images each; the probability that chance
    alone makes any of them drift is at most `level` (Bonferroni). Raises UsageError where no difference could show.
    """
    known = np.sort(np.asarray(calibration, np.float64))
    length = min(MOST, max(LEAST, len(scores) // MOST_PARTS))
    starts = np.array_split(np.arange(len(scores)), max(1, len(scores) // length))
    parts = []
    for places in starts:
        chance = _chance(len(known), len(places), level / (2 * len(starts)))
        piece = scores[places]
        higher, lower = _apart(known, piece)
        first, last = int(places[0]) + 1, int(places[-1]) + 1
        share, middle = float(ng[places].mean()), float(np.median(piece))
        parts.append(Part(first, last, higher, lower, defects + chance, chance, share, middle))
    if min(part.higher_limit for part in parts) >= 1:
        raise UsageError(
            f"{counted(len(known), 'calibration image')} cannot show drift: that of production may be any by chance",
            hint="calibrate on more: uadx recalibrate --model MODEL --data GOOD --output NEW",
        )
    return Drift(known, parts, defects, level)


def shares_below(known: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """At every score of both, the share of the known ones and of the others that is not above it: two [M] in 0..1."""
    at = np.union1d(known, scores)
    return tuple(np.searchsorted(np.sort(one), at, side="right") / len(one) for one in (known, scores))


def _apart(known: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[float, float]:
    of_known, of_scores = shares_below(known, scores)
    return float((of_known - of_scores).max(initial=0.0)), float((of_scores - of_known).max(initial=0.0))


def _chance(count: int, other: int, level: float) -> float:
    """What a one-sided distance exceeds with that probability: exp(-2 d^2 nm / (n + m)) is the limit of large samples,
    and more than the probability of small ones."""
    return math.sqrt(-math.log(level) / 2 * (1 / count + 1 / other))
