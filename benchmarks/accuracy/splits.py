"""Does the threshold keep its word? Good images that the student never saw, split anew into calibration and use."""

from __future__ import annotations

import numpy as np
from scorings import fused
from trained import Seen, both

from uadx.scoring.calibration import Calibration
from uadx.train.calibrate import calibrate, scaled

RATES = (0.01, 0.02, 0.05)
SPLITS = 10


def false_alarms(good: Seen, spoilt: Seen, more: Seen, size: tuple[int, int]) -> dict[str, list[float]]:
    """For each asked rate the share of the other good images above its threshold, a number for each split.

    good, more: held-out and labelled good images; as many as are held out calibrate in each split, and level scales,
    trust and threshold are made anew.
    """
    found: dict[str, list[float]] = {str(rate): [] for rate in RATES}
    together, count = both(good, more), len(good.shown)
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(together.shown))
        held, others = together.some(order[:count]), together.some(order[count:])
        scoring = scaled(held.maps, spoilt.maps, [*held.shown, *spoilt.shown], size)
        calibration = Calibration(calibrate(scoring, held.maps, held.shown, size).scores["quantile"])
        scores = fused(others.maps, scoring, others.shown, size).scores
        for rate in RATES:
            if rate >= calibration.lowest_fpr:
                found[str(rate)].append(round(float(np.mean(scores > calibration.threshold(rate))), 4))
    return found
