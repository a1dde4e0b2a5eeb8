"""Level maps -> one anomaly map at feature scale, and the anomaly map -> one image score.

Resizing and smoothing are linear and separable, so each level takes two small matrix products for a whole batch;
nothing here depends on how images were grouped into batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal, TypeAlias

import cv2
import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Fusion: TypeAlias = Literal["quantile", "product"]
FUSIONS: tuple[Fusion, ...] = ("quantile", "product")
Maps: TypeAlias = Mapping[str, NDArray[np.float32]]


class LevelScale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a level looks like on held-out good images: two quantiles of its values, mapped to 0 and 1.

    weight: how far it is trusted, 0..1 (see uadx.train.trust).
    """

    low: float
    high: float
    weight: float = 1.0


class Scoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How level maps become an anomaly map and a score.

    levels: the scale of each level, by name. smoothing: standard deviation of the Gaussian, in cells of level1.
    top_fraction: the share of the anomaly map's highest values whose mean is the image score.
    """

    levels: dict[str, LevelScale]
    smoothing: Annotated[float, Meta(ge=0, le=64)] = 1.0
    top_fraction: Annotated[float, Meta(gt=0, le=1)] = 0.03


def fuse_quantile(maps: Maps, scoring: Scoring) -> NDArray[np.float32]:
    """Weighted mean of the levels, each scaled by its quantiles, smoothed, at level1's size: [N, H/4, W/4]."""
    height, width = max(maps[name].shape[1:] for name in scoring.levels)
    total = np.zeros((1, height, width), np.float32)
    for name, scale in scoring.levels.items():
        if scale.weight:
            share = np.float32(scale.weight / sum(one.weight for one in scoring.levels.values()))
            total = total + share * scaled_level(maps[name], scale, height, width, scoring.smoothing)
    return total


def scaled_level(
    level: NDArray[np.float32], scale: LevelScale, height: int, width: int, smoothing: float
) -> NDArray[np.float32]:
    """One level on its scale, resized and smoothed: [N, h, w] -> [N, height, width].

    The scaling follows EfficientAD (Batzner et al., WACV 2024, section 3.4): a level that is noisy on good images
    counts for less.
    """
    scaled = (level - np.float32(scale.low)) * np.float32(1 / (scale.high - scale.low))
    return _between(_operator(level.shape[1], height, smoothing), scaled, _operator(level.shape[2], width, smoothing))


def fuse_product(maps: Maps, height: int, width: int) -> NDArray[np.float32]:
    """Product of the levels, each resized to the model's input size: [N, height, width].

    The paper's formula (Wang et al., BMVC 2021, equation 5), on level maps that are less what good images show too
    (uadx.stfpm.difficulty).
    """
    product = np.ones((1, height, width), np.float32)
    for level in maps.values():
        rows, columns = _operator(level.shape[1], height, 0.0), _operator(level.shape[2], width, 0.0)
        product = product * _between(rows, level, columns)
    return product


def contents(
    maps: NDArray[np.float32], shown: Sequence[tuple[int, int]], size: Sequence[int]
) -> list[NDArray[np.float32]]:
    """Each map cut to the part that shows its image: [N, h, w] -> N views.

    shown: height and width of that part in the model's pixels (uadx.images.preprocess.Fitted); size: the model's
    own. A cell that is half in it is kept.
    """
    height, width = maps.shape[1:]
    return [
        one[: -(-high * height // size[0]), : -(-wide * width // size[1])]
        for one, (high, wide) in zip(maps, shown, strict=True)
    ]


def top_mean(anomaly_map: NDArray[np.float32], fraction: float) -> float:
    """Mean of a map's highest values, at least one. A fraction of 0 gives the maximum."""
    count = max(1, round(fraction * anomaly_map.size))
    highest = np.partition(anomaly_map, anomaly_map.size - count, axis=None)[-count:]
    # sorted, so that equal maps give equal sums whatever order partition left them in
    return float(np.sort(highest).mean(dtype=np.float64))


def level_scales(
    maps: Mapping[str, Sequence[NDArray[np.float32]]], low: float = 0.9, high: float = 0.995
) -> dict[str, LevelScale]:
    """The scale of each level from its maps of held-out good images."""
    scales = {}
    for name, level in maps.items():
        values = np.concatenate([one.ravel() for one in level]).astype(np.float64)
        bottom, top = (float(q) for q in np.quantile(values, [low, high]))
        scales[name] = LevelScale(low=bottom, high=max(top, bottom + 1e-6))  # a constant level scales by nothing
    return scales


def upsample(anomaly_map: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """One anomaly map at the image's original size, bilinear: [h, w] -> [height, width]."""
    resized = cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)


def _between(rows: NDArray[np.float32], maps: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    return (rows @ maps @ columns.T).astype(np.float32, copy=False)


@lru_cache(maxsize=64)
def _operator(size: int, target: int, sigma: float) -> NDArray[np.float32]:
    """The matrix [target, size] that resizes (bilinear, half-pixel centres) and then smooths; edges repeat."""
    centres = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
    resize: NDArray[np.float64] = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(size)[None, :]))
    if sigma == 0:
        return resize.astype(np.float32)
    radius = int(np.ceil(4 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    smooth = np.zeros((target, target))
    for offset, weight in zip(offsets, kernel / kernel.sum(), strict=True):
        np.add.at(smooth, (np.arange(target), np.clip(np.arange(target) + offset, 0, target - 1)), weight)
    operator: NDArray[np.float64] = smooth @ resize
    return operator.astype(np.float32)


def anomaly_maps(maps: Maps, scoring: Scoring, fusion: Fusion, size: Sequence[int]) -> NDArray[np.float32]:
    """The anomaly maps of a batch by the chosen fusion. size: the model's input height and width."""
    if fusion == "product":
        return fuse_product(maps, size[0], size[1])
    return fuse_quantile(maps, scoring)


def image_scores(anomaly_maps: Iterable[NDArray[np.float32]], scoring: Scoring, fusion: Fusion) -> NDArray[np.float64]:
    """The image scores [N] of N anomaly maps: the maximum for `product`, else the mean of the top."""
    fraction = 0.0 if fusion == "product" else scoring.top_fraction
    return np.array([top_mean(anomaly_map, fraction) for anomaly_map in anomaly_maps])
