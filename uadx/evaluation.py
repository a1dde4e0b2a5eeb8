"""Figures of a model on labelled images in MVTec layout: test/<kind>/NAME, ground_truth/<kind>/NAME_mask.png."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.errors import UsageError
from uadx.metrics import aupro, auroc, pixel_auroc
from uadx.result import Result

GOOD = "good"


@dataclass(frozen=True)
class Figures:
    """What was measured on the images of one kind (or all), set against the good ones.

    auroc: of the image scores; pixel_auroc and aupro (to a false-positive rate of 0.3): of the anomaly maps.
    None where one of the two classes, or the masks, are missing. flagged: images called NG at the threshold used.
    """

    kind: str
    images: int
    flagged: int
    auroc: float | None = None
    pixel_auroc: float | None = None
    aupro: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Figures for each kind (good first, then by name) and for all defective images together."""

    kinds: Sequence[Figures]
    total: Figures


@dataclass(frozen=True)
class _Seen:
    score: float
    flagged: bool
    anomaly_map: NDArray[np.float32]
    mask: NDArray[np.bool_] | None


def kind_of(result: Result) -> str:
    """The kind of an image of a `test` folder: the first directory below it."""
    return result.source.output.parts[0] if len(result.source.output.parts) > 1 else GOOD


def evaluate(results: Iterable[Result], ground_truth: Path) -> Evaluation:
    """Measure the results of inspecting the `test` folder of a set in MVTec layout.

    Keeps one anomaly map an image, at its original size. Inputs that could not be read do not count.
    Raises UsageError where no image could be read, or a mask has another size than its image.
    """
    seen: dict[str, list[_Seen]] = {}
    for result in results:
        if result.error is None:
            kind = kind_of(result)
            mask = _mask(result, kind, ground_truth)
            seen.setdefault(kind, []).append(_Seen(result["score"], result["is_anomaly"], result.anomaly_map, mask))
    if not seen:
        raise UsageError("no image could be read", hint="the test folder has one sub-folder for each kind")
    good = seen.pop(GOOD, [])
    defective = [one for kind in sorted(seen) for one in seen[kind]]
    kinds = [_figures(kind, good, seen[kind]) for kind in sorted(seen)]
    flagged = sum(one.flagged for one in good)
    return Evaluation([Figures(GOOD, len(good), flagged), *kinds], _figures("all defects", good, defective))


def _mask(result: Result, kind: str, ground_truth: Path) -> NDArray[np.bool_] | None:
    height, width = result["image_size"]
    if kind == GOOD:
        return np.zeros((height, width), np.bool_)
    place = result.source.output
    path = ground_truth.joinpath(*place.parent.parts, f"{place.stem}_mask.png")
    if not path.is_file():
        return None
    mask = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != (height, width):
        found = "no picture" if mask is None else f"{mask.shape[1]} x {mask.shape[0]}"
        raise UsageError(
            f"the mask {path} does not fit its image: {found}, the image is {width} x {height}",
            hint="a mask has its image's size, 0 for good pixels and anything else for defective ones",
        )
    return np.asarray(mask > 0)


def _figures(kind: str, good: list[_Seen], defective: list[_Seen]) -> Figures:
    flagged = sum(one.flagged for one in defective)
    if not good or not defective:
        return Figures(kind, len(defective), flagged)
    labels = np.array([False] * len(good) + [True] * len(defective))
    image_auroc = auroc(labels, np.array([one.score for one in good + defective]))
    masked = [one for one in good + defective if one.mask is not None and one.mask.shape == one.anomaly_map.shape]
    masks = [one.mask for one in masked if one.mask is not None]
    if not any(mask.any() for mask in masks):
        return Figures(kind, len(defective), flagged, image_auroc)
    maps = [one.anomaly_map for one in masked]
    return Figures(kind, len(defective), flagged, image_auroc, pixel_auroc(masks, maps), aupro(masks, maps))
