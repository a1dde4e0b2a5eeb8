"""Which size a model has: that of the square it is given by default, in the proportions of the images."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np

from uadx.errors import InputError
from uadx.images.decode import Limits, load
from uadx.images.framing import Tiling
from uadx.images.sources import expand

AREA = 256
"""Side of the square that has as many pixels as a model is given by default."""
GRAIN = 32
LOOKED_AT = 25
"""Images whose proportions are looked at."""
NEARLY_SQUARE, MOST_OBLONG = math.log(1.15), math.log(8)
"""Proportions taken for square, and the most oblong ones a model is given, as logarithms."""


def fitting_size(folder: Path) -> tuple[int, int]:
    """The model's height and width for the images of a folder: AREA pixels in their typical proportions.

    A part three times as wide as high gets a model of that shape, and no pixel is wasted on filling up.
    """
    sources = sorted(expand(folder), key=lambda source: source.output)
    ratios = []
    for source in sources[:: max(1, len(sources) // LOOKED_AT)]:
        with contextlib.suppress(InputError):  # named when all images are read
            height, width = load(source, Limits()).shape[:2]
            ratios.append(math.log(width / height))
    ratio = math.exp(float(np.clip(np.median(ratios), -MOST_OBLONG, MOST_OBLONG))) if ratios else 1.0
    if abs(math.log(ratio)) < NEARLY_SQUARE:
        ratio = 1.0
    height, width = (max(GRAIN, round(side / GRAIN) * GRAIN) for side in (AREA / ratio**0.5, AREA * ratio**0.5))
    return height, width


def size_of_tiles(tiling: Tiling) -> tuple[int, int]:
    """The model's height and width for tiles: their own where they are not larger than AREA."""
    side = max(GRAIN, round(min(tiling.size, AREA) / GRAIN) * GRAIN)
    return side, side
