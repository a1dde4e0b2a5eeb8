"""How far each level is to be trusted for a product: layer3 most, unless defects pasted on good images say otherwise.

Which level sees a product's defects depends on the product: fine scratches show in layer1, a wrong part in layer3, and
a level that is noisy on good images hides what the others found. Defects of a test set must not decide that. Drawn
ones may, since good images are all that they need, but the lower levels find drawn edges better than real damage: where
all levels rank drawn defects alike, layer3 was seen to rank real ones best by far (docs/accuracy.md). So it takes a
lead, LEAD, to move the weights away from PRIOR.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from uadx.evaluation.ranking import auroc
from uadx.scoring.fusion import Scoring, contents, scaled_level, top_mean
from uadx.stfpm.synthetic import paste

LevelMaps: TypeAlias = Mapping[str, NDArray[np.float32]]

LEAST, MOST = 96, 256
"""Pictures with pasted defects: enough to tell levels apart, and few enough to take seconds."""
PRIOR = {"level1": 0.25, "level2": 0.5, "level3": 1.0}
STEPS = (0.0, 0.25, 0.5, 1.0)
"""Weights that are tried for each level."""
LEAD = 0.01
"""AUROC by which other weights must rank drawn defects better before they replace those nearer to PRIOR."""


def pasted(
    images: NDArray[np.uint8], shown: Sequence[tuple[int, int]], seed: int
) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Copies of good images, uint8 RGB [N, H, W, 3], with defects on what they show; each image is used about alike."""
    rng = np.random.default_rng([seed, 1])
    count = min(MOST, max(LEAST, 2 * len(images)))
    order = [int(index) for index in itertools.islice(itertools.cycle(rng.permutation(len(images))), count)]
    spoilt = np.stack([images[index] for index in order])
    for picture, index in zip(spoilt, order, strict=True):
        high, wide = shown[index]
        other = images[int(rng.integers(len(images)))][:high, :wide]
        picture[:high, :wide] = paste(picture[:high, :wide], other, rng)[0]
    return spoilt, [shown[index] for index in order]


def level_weights(
    scoring: Scoring, good: LevelMaps, spoilt: LevelMaps, shown: Sequence[tuple[int, int]], size: tuple[int, int]
) -> dict[str, float]:
    """A weight for each level, 0..1: of those that rank spoilt above good images nearly best, the nearest to PRIOR.

    good, spoilt: level maps by name. shown: the part of each image that shows something, the good ones' first.
    size: the model's input. Heights and widths in pixels.
    """
    names = list(scoring.levels)
    count = len(good[names[0]])
    labels = np.arange(len(shown)) >= count
    height, width = max(level.shape[1:] for level in good.values())
    alone = [
        contents(
            scaled_level(
                np.concatenate([good[name], spoilt[name]]), scoring.levels[name], height, width, scoring.smoothing
            ),
            shown,
            size,
        )
        for name in names
    ]
    found: list[tuple[float, tuple[float, ...]]] = []
    for weights in itertools.product(STEPS, repeat=len(names)):
        if max(weights) == max(STEPS):  # others are the same in another unit
            fused = (_weighted(weights, maps) for maps in zip(*alone, strict=True))
            scores = np.array([top_mean(one, scoring.top_fraction) for one in fused])
            found.append((auroc(labels, scores), weights))
    enough = max(area for area, _ in found) - LEAD
    chosen = min((weights for area, weights in found if area >= enough), key=lambda weights: _apart(weights, names))
    return dict(zip(names, chosen, strict=True))


def _apart(weights: Sequence[float], names: Sequence[str]) -> float:
    return math.dist(weights, [PRIOR[name] for name in names])


def _weighted(weights: Sequence[float], maps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    total = np.zeros_like(maps[0])
    for weight, level in zip(weights, maps, strict=True):
        if weight:
            total += np.float32(weight) * level
    return total
