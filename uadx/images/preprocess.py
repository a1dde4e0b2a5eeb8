"""From a decoded image to the pixels that the model takes.

Done here, once for training, calibration and every backend, and never in the exported graph: runtimes disagree on
antialiasing and pixel centres, and so would their scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Fit: TypeAlias = Literal["letterbox", "stretch"]
GRAIN = 4
"""Content ends at a multiple of this many pixels, the stride of level1, so that maps can be cut to it exactly."""


@dataclass(frozen=True)
class Fitted:
    """An image at the model's size. pixels: uint8 RGB [height, width, 3]. content: height and width of the part, from
    the upper left corner, that shows the image; what lies beyond is filled up."""

    pixels: NDArray[np.uint8]
    content: tuple[int, int]


def letterbox(image: NDArray[np.uint8], height: int, width: int) -> Fitted:
    """A BGR image [H, W, 3] with its proportions kept, as large as fits; the rest is its mirror image.

    A surface looks the same whatever the part's shape, and the model has not to learn it at every squeeze. The mirror
    image has no edge for the network to see.
    """
    rows, columns = image.shape[:2]
    scale = min(height / rows, width / columns)
    high, wide = (
        min(side, max(GRAIN, round(length * scale / GRAIN) * GRAIN))
        for length, side in ((rows, height), (columns, width))
    )
    return Fitted(rgb(filled(resized(image, high, wide), height, width)), (high, wide))


def stretch(image: NDArray[np.uint8], height: int, width: int) -> Fitted:
    """A BGR image [H, W, 3] squashed to the model's size, whatever its proportions."""
    return Fitted(rgb(resized(image, height, width)), (height, width))


FITS: dict[Fit, Callable[[NDArray[np.uint8], int, int], Fitted]] = {"letterbox": letterbox, "stretch": stretch}


def resized(image: NDArray[np.uint8], height: int, width: int) -> cv2.typing.MatLike:
    """An image of that size: each axis on its own averaged by area where it shrinks, so that no scratch falls between
    two samples, and interpolated linearly where it grows."""
    rows, columns = image.shape[:2]
    resized: cv2.typing.MatLike = image
    for size, interpolation in (
        ((min(columns, width), min(rows, height)), cv2.INTER_AREA),
        ((width, height), cv2.INTER_LINEAR_EXACT),
    ):
        if resized.shape[1::-1] != size:  # OpenCV takes a tenth of a millisecond to change nothing
            resized = cv2.resize(resized, size, interpolation=interpolation)
    return resized


def filled(image: cv2.typing.MatLike, height: int, width: int) -> cv2.typing.MatLike:
    """The image with its mirror image below and on its right, up to that size."""
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    return cv2.copyMakeBorder(image, 0, height - rows, 0, width - columns, cv2.BORDER_REFLECT)


def rgb(image: cv2.typing.MatLike) -> NDArray[np.uint8]:
    """A BGR image [H, W, 3] as uint8 RGB."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
