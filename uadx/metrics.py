"""How well scores and anomaly maps tell defective from good: AUROC and AUPRO, exact, ties included.

Each is an area under a curve of "share of positives found" against the false-positive rate (FPR). Such a curve is
the mean of one step for each positive, at the FPR of the threshold that just finds it, so the area needs one sort of
the negatives and two look-ups for each positive: no list of thresholds, no curve, no binning. Positives and negatives
of equal value are crossed by a straight line, which counts each tied pair one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def auroc(labels: NDArray[np.bool_], scores: NDArray[Any]) -> float:
    """The probability that a defective item scores higher than a good one, ties counting half (Mann-Whitney U).

    labels: bool [N], True for defective. scores: [N], any real dtype. Returns a value in 0..1.
    Raises ValueError where shapes differ, a score is NaN, or only one class is there.
    """
    labels = np.asarray(labels, dtype=bool)
    scores = np.asarray(scores)
    _check_pair(labels, scores)
    return _auroc(scores[labels], scores[~labels], "scores of defective items", "scores of good items")


def pixel_auroc(masks: Sequence[NDArray[np.bool_]], maps: Sequence[NDArray[np.float32]]) -> float:
    """AUROC over all pixels of all images together.

    masks: bool [H, W] each, True on a defect; maps: float32 [H, W] each. Sizes may differ between images.
    Raises ValueError like `auroc`.
    """
    defects, outside, _ = _split(masks, maps)
    return _auroc(defects, outside, "pixels inside a mask", "pixels outside the masks")


def aupro(masks: Sequence[NDArray[np.bool_]], maps: Sequence[NDArray[np.float32]], fpr_limit: float = 0.3) -> float:
    """Area under the per-region overlap curve up to fpr_limit, divided by fpr_limit: 0..1.

    Bergmann et al., The MVTec Anomaly Detection Dataset (IJCV 2021): the overlap of a threshold is the share of a
    defect's pixels at or above it, averaged over the 8-connected components of all masks, so that a small defect
    counts as much as a large one. The FPR is the share of the pixels outside all masks, those of good images
    included. The curve is interpolated linearly, at the limit too.

    masks: bool [H, W] each, all False for a good image; maps: float32 [H, W] each. Sizes may differ between
    images. Raises ValueError where shapes differ, a value is NaN, there is no defect or no pixel outside one, or
    fpr_limit is not in (0, 1].
    """
    if not 0 < fpr_limit <= 1:
        raise ValueError(f"fpr_limit is {fpr_limit:g}, but must be above 0 and at most 1")
    defects, outside, weights = _split(masks, maps)
    _check_present(defects, "pixels inside a mask")
    _check_present(outside, "pixels outside the masks")
    outside.sort()
    enter, leave = _fpr(defects, outside)
    # Each pixel's step rises from 0 at `enter` to 1 at `leave`: they differ where its value also occurs outside.
    rise = np.clip(fpr_limit - enter, 0, leave - enter)
    width = np.where(leave > enter, leave - enter, 1)
    area = rise**2 / (2 * width) + np.clip(fpr_limit - leave, 0, None)
    return float(weights @ area / weights.sum() / fpr_limit)


def _auroc(positive: NDArray[Any], negative: NDArray[Any], positives: str, negatives: str) -> float:
    _check_present(positive, positives)
    _check_present(negative, negatives)
    negative.sort()
    enter, leave = _fpr(positive, negative)
    return float(1 - (enter.mean() + leave.mean()) / 2)


def _fpr(positive: NDArray[Any], negative: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each positive the share of the (ascending) negatives above it, and of those above or equal."""
    above = 1 - np.searchsorted(negative, positive, side="right") / negative.size
    at_least = 1 - np.searchsorted(negative, positive, side="left") / negative.size
    return above, at_least


def _split(
    masks: Sequence[NDArray[np.bool_]], maps: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """The map values inside masks and outside, and for each inside the reciprocal of its region's area."""
    if len(masks) != len(maps):
        raise ValueError(f"{len(masks)} masks for {len(maps)} anomaly maps")
    defects, outside = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    weights = [np.empty(0)]
    for mask, anomaly_map in zip(masks, maps, strict=True):
        mask, anomaly_map = np.asarray(mask, dtype=bool), np.asarray(anomaly_map, dtype=np.float32)
        _check_pair(mask, anomaly_map)
        outside.append(anomaly_map[~mask])
        if mask.any():
            regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1][mask]
            defects.append(anomaly_map[mask])
            weights.append(1 / np.bincount(regions)[regions])
    return np.concatenate(defects), np.concatenate(outside), np.concatenate(weights)


def _check_pair(labels: NDArray[np.bool_], values: NDArray[Any]) -> None:
    if labels.shape != values.shape:
        raise ValueError(f"labels of shape {labels.shape} for values of shape {values.shape}")
    if np.isnan(values).any():
        raise ValueError("a value is NaN: it has no place in an order")


def _check_present(values: NDArray[Any], name: str) -> None:
    if values.size == 0:
        raise ValueError(f"there are no {name}: the area compares two classes and needs both")
