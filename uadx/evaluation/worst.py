"""The worst mistakes of a model, as pictures: a few of each sort, however many images there are."""

from __future__ import annotations

import contextlib
import heapq
import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError
from uadx.evaluation.layout import GOOD, kind_of
from uadx.evaluation.masks import find_mask, read_mask
from uadx.report.pictures import shrunk, thumbnail
from uadx.result import Result

SHOWN = 12
SIDE = 640
"""Longer side in pixels of a pair of pictures."""
GAP = 4
MASK_COLOUR = (222, 134, 46)  # BGR
RIM = (255, 255, 255)


@dataclass(frozen=True)
class Shown:
    """One image: the picture, its defect outlined, beside its heat map."""

    label: str
    kind: str
    score: float
    is_anomaly: bool
    picture: str


class Worst:
    """Keeps the good images with the highest scores and the defective ones with the lowest."""

    def __init__(self, masks: Path) -> None:
        self._masks = masks
        self._good: list[tuple[float, int, Shown]] = []
        self._defective: list[tuple[float, int, Shown]] = []
        self._number = itertools.count()

    def add(self, result: Result) -> None:
        """Take a result, which still holds its picture; what could not be read or lies in no kind's folder is left."""
        if result.error is not None:
            return
        place = result.source.output
        kind = kind_of(place)
        if not kind:
            return
        kept, badness = (self._good, result["score"]) if kind == GOOD else (self._defective, -result["score"])
        if len(kept) == SHOWN and badness <= kept[0][0]:
            return
        shown = Shown(str(place), kind, result["score"], result["is_anomaly"], self._pair(result, kind))
        push = heapq.heappush if len(kept) < SHOWN else heapq.heapreplace
        push(kept, (badness, next(self._number), shown))

    @property
    def false_alarms(self) -> list[Shown]:
        """Good images with the highest scores, the highest first."""
        return [shown for _, _, shown in sorted(self._good, reverse=True)]

    @property
    def misses(self) -> list[Shown]:
        """Defective images with the lowest scores, the lowest first."""
        return [shown for _, _, shown in sorted(self._defective, reverse=True)]

    def _pair(self, result: Result, kind: str) -> str:
        height, width = result["image_size"]
        plain, heated = shrunk(result.image, SIDE // 2), shrunk(result.img, SIDE // 2)
        path = None if kind == GOOD else find_mask(result.source.output, self._masks)
        if path is not None:
            with contextlib.suppress(InputError):  # evaluate() says what is wrong with a mask
                _outline(plain, read_mask(path, height, width))
        # side by side where they are tall, one above the other where they are wide
        axis = 1 if height * 1.5 >= width else 0
        gap = np.full((plain.shape[0], GAP, 3) if axis else (GAP, plain.shape[1], 3), 255, np.uint8)
        return thumbnail(np.concatenate([plain, gap, heated], axis), SIDE + GAP)


def _outline(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    # taken before it is made smaller, so that a defect of one pixel stays
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    factor = np.array([picture.shape[1] / mask.shape[1], picture.shape[0] / mask.shape[0]])
    small = [np.rint(contour * factor).astype(np.int32) for contour in contours]
    cv2.drawContours(picture, small, -1, RIM, 3, cv2.LINE_AA)
    cv2.drawContours(picture, small, -1, MASK_COLOUR, 1, cv2.LINE_AA)
