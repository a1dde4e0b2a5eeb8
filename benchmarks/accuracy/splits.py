"""Does the threshold keep its word? Good images that the student never saw, split anew into calibration and use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scorings import Maps, fused

from uadx.scoring.calibration import Calibration
from uadx.train.calibrate import calibrate, scaled

RATES = (0.01, 0.02, 0.05)
SPLITS = 10


def false_alarms(
    good: Maps,
    shown: Sequence[tuple[int, int]],
    spoilt: Maps,
    shown_spoilt: Sequence[tuple[int, int]],
    size: tuple[int, int],
    count: int,
) -> dict[str, list[float]]:
    """For each asked rate the share of the other good images above its threshold, a number for each split.

    count: how many of the good images calibrate. Level scales, trust and threshold are made anew for each split.
    """
    found: dict[str, list[float]] = {str(rate): [] for rate in RATES}
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(shown))
        (maps, parts), (others, other_parts) = (
            ({name: level[chosen] for name, level in good.items()}, [shown[index] for index in chosen])
            for chosen in (order[:count], order[count:])
        )
        scoring = scaled(maps, spoilt, [*parts, *shown_spoilt], size)
        calibration = Calibration(calibrate(scoring, maps, parts, size).scores["quantile"])
        scores = fused(others, scoring, other_parts, size).scores
        for rate in RATES:
            if rate >= calibration.lowest_fpr:
                found[str(rate)].append(round(float(np.mean(scores > calibration.threshold(rate))), 4))
    return found
