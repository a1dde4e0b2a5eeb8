"""Does the threshold keep its word? Good images that the student never saw, split anew into calibration and use."""

from __future__ import annotations

import math

import numpy as np
from scorings import fused
from trained import Seen, both

from uadx.images.framing import Cut
from uadx.scoring.calibration import Calibration
from uadx.train.calibrate import calibrate, scaled

RATES = (0.01, 0.02, 0.05)
SPLITS = 10


def false_alarms(good: Seen, spoilt: Seen, more: Seen, size: tuple[int, int]) -> dict[str, list[int]]:
    """For each asked rate how many of the other good images lie above its threshold, a number for each split.

    good, more: held-out and labelled good images; as many as are held out calibrate in each split, and level scales,
    trust and threshold are made anew. The drawn defects of the trust stay those of the held-out images, and the splits
    divide the same images again: they are no independent trials.
    """
    found: dict[str, list[int]] = {str(rate): [] for rate in RATES}
    together, count = both(good, more), len(good.shown)
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(together.shown))
        held, others = together.some(order[:count]), together.some(order[count:])
        scoring = scaled(held.maps, spoilt.maps, [*held.shown, *spoilt.shown], size)
        cuts = [Cut(part) for part in held.shown]
        calibration = Calibration(calibrate(scoring, held.maps, cuts, size).scores["quantile"])
        scores = fused(others.maps, scoring, others.shown, size).scores
        for rate in RATES:
            if rate >= calibration.lowest_fpr:
                found[str(rate)].append(int(np.sum(scores > calibration.threshold(rate))))
    return found


def counted(good: Seen, spoilt: Seen, more: Seen, size: tuple[int, int]) -> dict[str, list[int]]:
    """The same without splitting anew: the held-out images calibrate, as they do in `uadx train`, the labelled ones are
    counted. Where parts have several pictures a new split would put the same part on both sides."""
    scoring = scaled(good.maps, spoilt.maps, [*good.shown, *spoilt.shown], size)
    cuts = [Cut(part) for part in good.shown]
    calibration = Calibration(calibrate(scoring, good.maps, cuts, size).scores["quantile"])
    scores = fused(more.maps, scoring, more.shown, size).scores
    return {str(rate): [int(np.sum(scores > calibration.threshold(rate)))] for rate in RATES}


def binomial_band(rate: float, judged: int) -> tuple[int, int]:
    """Counts between which 95 % of all sets of so many images lie, where each is a false alarm with that chance."""
    return _middle([math.comb(judged, k) * rate**k * (1 - rate) ** (judged - k) for k in range(judged + 1)])


def conformal_band(rate: float, calibrating: int, judged: int) -> tuple[int, int]:
    """The same where the threshold is a score of so many images: its true rate is drawn too, from a beta distribution
    (see docs/train.md)."""
    above = calibrating + 1 - math.ceil((calibrating + 1) * (1 - rate) - 1e-9)
    a, b = above, calibrating + 1 - above
    whole = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return _middle(
        [
            math.comb(judged, k)
            * math.exp(math.lgamma(k + a) + math.lgamma(judged - k + b) - math.lgamma(judged + a + b) - whole)
            for k in range(judged + 1)
        ]
    )


def _middle(chances: list[float]) -> tuple[int, int]:
    """Lowest and highest count outside which there is at most 2.5 % on either side."""
    total = np.cumsum(chances)
    return int(np.searchsorted(total, 0.025, "right")), int(np.searchsorted(total, 0.975))
