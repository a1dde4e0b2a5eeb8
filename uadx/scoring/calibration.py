"""A threshold that means something: split-conformal quantiles of the scores of held-out good images.

With n held-out good images, a new good image scores above the k-th smallest of them with probability at most
1 - k / (n + 1), whatever the distribution (Vovk et al., Algorithmic Learning in a Random World, 2005; Bates et al.,
Testing for outliers with conformal p-values, 2023). So n images certify false-alarm rates of 1 / (n + 1) and more.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from uadx.errors import UsageError

DEFAULT_FPR = 0.01
MANY = 1e15
"""One over the lowest rates is infinite."""


@dataclass(frozen=True)
class Thresholds:
    """image: the image score above which an image is NG. pixel: the value of the anomaly map above which a pixel is
    part of a defect; at least `image`, since no score is above its map's maximum."""

    image: float
    pixel: float


@dataclass(frozen=True)
class Calibration:
    """The scores of the held-out good images, in ascending order; at least one."""

    scores: Sequence[float]

    @property
    def lowest_fpr(self) -> float:
        """The lowest false-alarm rate that this many images certify."""
        return 1 / (len(self.scores) + 1)

    def threshold(self, fpr: float) -> float:
        """The score above which a good image falls with probability at most fpr.

        Raises UsageError where fpr is not in (0, 1), or lower than the images can certify.
        """
        if not 0 < fpr < 1:
            raise UsageError(f"a false-alarm rate of {fpr:g} is not between 0 and 1", hint="for 1 in 100: --fpr 0.01")
        count = len(self.scores)
        rank = math.ceil((count + 1) * (1 - fpr) - 1e-9)
        if rank > count:
            raise UsageError(
                f"{count} calibration images certify false-alarm rates of {self.lowest_fpr:.4g} and more, not {fpr:g}",
                hint=f"calibrate with at least {math.ceil(min(1 / fpr, MANY) - 1e-9) - 1} held-out good images, "
                f"or set the score itself: --threshold",
            )
        return self.scores[max(rank, 1) - 1]

    def default_fpr(self) -> float:
        """1 %, or the lowest certified rate where the images are too few for that."""
        return max(DEFAULT_FPR, self.lowest_fpr)

    def p_value(self, score: float) -> float:
        """The conformal p-value: how likely a good image scores this high or higher, in [1 / (n + 1), 1]."""
        at_least = len(self.scores) - bisect.bisect_left(self.scores, score)
        return (at_least + 1) / (len(self.scores) + 1)
