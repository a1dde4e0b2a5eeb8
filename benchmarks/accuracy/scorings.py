"""Ways to make a score of level maps: uadx's own, changes to it one at a time, and the paper's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.scoring.fusion import Fusion, Scoring, anomaly_maps, contents, image_scores

Maps = Mapping[str, NDArray[np.float32]]
CHUNK = 64


@dataclass(frozen=True)
class Scored:
    """Image scores [N] and anomaly maps, each cut to the part that shows its image."""

    scores: NDArray[np.float64]
    maps: list[NDArray[np.float32]]


Way = Callable[[Maps, Scoring, Sequence[tuple[int, int]], tuple[int, int]], Scored]


def fused(
    maps: Maps,
    scoring: Scoring,
    shown: Sequence[tuple[int, int]],
    size: tuple[int, int],
    fusion: Fusion = "quantile",
    weights: tuple[float, float, float] | None = None,
    **changes: Any,
) -> Scored:
    """By uadx's own code, with some of what a bundle's `scoring` says replaced."""
    if weights:
        levels = {
            name: msgspec.structs.replace(scale, weight=weight)
            for (name, scale), weight in zip(sorted(scoring.levels.items()), weights, strict=True)
        }
        scoring = msgspec.structs.replace(scoring, levels=levels)
    scoring = msgspec.structs.replace(scoring, **changes)
    cut: list[NDArray[np.float32]] = []
    for start in range(0, len(shown), CHUNK):
        chunk = {name: level[start : start + CHUNK] for name, level in maps.items()}
        cut += contents(anomaly_maps(chunk, scoring, fusion, size), shown[start : start + CHUNK], size)
    return Scored(image_scores(cut, scoring, fusion), cut)


def of_paper(maps: Maps, scoring: Scoring, shown: Sequence[tuple[int, int]], size: tuple[int, int]) -> Scored:
    """Product of the levels and its maximum."""
    return fused(maps, scoring, shown, size, "product")


def log_sum(maps: Maps, scoring: Scoring, shown: Sequence[tuple[int, int]], size: tuple[int, int]) -> Scored:
    """The product in logarithms, smoothed and averaged like the default."""
    logs = {name: np.log(level + 1e-4) for name, level in maps.items()}
    plain = {
        name: msgspec.structs.replace(scale, low=0.0, high=1.0, weight=1.0) for name, scale in scoring.levels.items()
    }
    return fused(logs, msgspec.structs.replace(scoring, levels=plain), shown, size)


def soft_maximum(maps: Maps, scoring: Scoring, shown: Sequence[tuple[int, int]], size: tuple[int, int]) -> Scored:
    """log(mean(exp(4 map))) / 4: a small strong defect and a large faint one both count."""
    found = fused(maps, scoring, shown, size)
    scores = [
        float((4 * one.max() + np.log(np.exp(4.0 * one.astype(np.float64) - 4 * one.max()).mean())) / 4)
        for one in found.maps
    ]
    return Scored(np.array(scores), found.maps)


SCORINGS: dict[str, Way] = {
    "default": fused,
    "product, maximum": of_paper,
    "sum of logarithms": log_sum,
    "levels trusted alike": partial(fused, weights=(1.0, 1.0, 1.0)),
    "level1 alone": partial(fused, weights=(1.0, 0.0, 0.0)),
    "level2 alone": partial(fused, weights=(0.0, 1.0, 0.0)),
    "level3 alone": partial(fused, weights=(0.0, 0.0, 1.0)),
    "not smoothed": partial(fused, smoothing=0.0),
    "smoothed by 2 cells": partial(fused, smoothing=2.0),
    "smoothed by 4 cells": partial(fused, smoothing=4.0),
    "maximum": partial(fused, top_fraction=0.0),
    "mean of the top 1 %": partial(fused, top_fraction=0.01),
    "mean of the top 2 %": partial(fused, top_fraction=0.02),
    "mean of the top 5 %": partial(fused, top_fraction=0.05),
    "mean of the top 10 %": partial(fused, top_fraction=0.1),
    "mean": partial(fused, top_fraction=1.0),
    "soft maximum": soft_maximum,
}
