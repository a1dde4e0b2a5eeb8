"""How images of any size become windows of the model's size: one for a whole image, or many for its tiles.

A whole image is brought to the model's size (uadx.images.preprocess). Tiles keep small defects large: the image is
brought to one scale, whatever its size, and windows that overlap are cut from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from uadx.errors import UsageError
from uadx.images.preprocess import FITS, GRAIN, Fit, filled, resized, rgb

TileSize: TypeAlias = Annotated[int, Meta(ge=32, le=16384)]
Overlap: TypeAlias = Annotated[float, Meta(ge=0, le=0.75)]


class Tiling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """size: the longer side of a tile, in pixels of the image. overlap: the share of a tile that the next one shows
    too, at least."""

    size: TileSize
    overlap: Overlap = 0.25

    def __str__(self) -> str:
        return f"tiles of {self.size} pixels that overlap by {self.overlap:g}"


def chosen_tiling(size: int | None, overlap: float | None, own: Tiling | None = None) -> Tiling | None:
    """What is asked for, None where it is nothing, in place of a model's own. Raises UsageError for an overlap of no
    tiles."""
    if size is None and own is None:
        if overlap is not None:
            raise UsageError("there are no tiles to overlap", hint="say how large they are: --tile PIXELS")
        return None
    chosen = own if size is None else Tiling(size)
    assert chosen is not None
    return chosen if overlap is None else Tiling(chosen.size, overlap)


@dataclass(frozen=True)
class Cut:
    """Where an image lies in its windows, in pixels of the model. content: height and width of the image at the model's
    scale. corners: row and column of each window's upper left corner in it."""

    content: tuple[int, int]
    corners: tuple[tuple[int, int], ...] = ((0, 0),)

    def shown(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of the part of each window [height, width], from its upper left corner, that shows the
        image; what lies beyond is filled up."""
        high, wide = self.content
        return [(min(height, high - row), min(width, wide - column)) for row, column in self.corners]


@dataclass(frozen=True)
class Framed:
    """An image for the model. pixels: uint8 RGB, at the model's scale, and filled up where it is smaller than a window.
    windows: its windows, uint8 RGB [height, width, 3], views of the pixels."""

    pixels: NDArray[np.uint8]
    cut: Cut
    height: int
    width: int

    @property
    def windows(self) -> list[NDArray[np.uint8]]:
        return [self.pixels[row : row + self.height, column : column + self.width] for row, column in self.cut.corners]


@dataclass(frozen=True)
class Framing:
    """What a model wants. height, width: of its input, in pixels. tiling: None for whole images, brought to that size
    by `fit`."""

    height: int
    width: int
    fit: Fit = "letterbox"
    tiling: Tiling | None = None

    def __call__(self, image: NDArray[np.uint8]) -> Framed:
        """The windows of a BGR image [H, W, 3]."""
        if self.tiling is None:
            fitted = FITS[self.fit](image, self.height, self.width)
            return Framed(fitted.pixels, Cut(fitted.content), self.height, self.width)
        high, wide = self._scaled(*image.shape[:2])
        pixels = filled(resized(image, high, wide), max(high, self.height), max(wide, self.width))
        return Framed(rgb(pixels), Cut((high, wide), self._corners(high, wide)), self.height, self.width)

    def count(self, height: int, width: int) -> int:
        """How many windows an image of that size has."""
        return 1 if self.tiling is None else len(self._corners(*self._scaled(height, width)))

    def _scaled(self, *sides: int) -> tuple[int, int]:
        assert self.tiling is not None
        scale = max(self.height, self.width) / self.tiling.size
        high, wide = (max(GRAIN, round(side * scale / GRAIN) * GRAIN) for side in sides)
        return high, wide

    def _corners(self, high: int, wide: int) -> tuple[tuple[int, int], ...]:
        assert self.tiling is not None
        rows, columns = (
            _places(length, window, self.tiling.overlap) for length, window in ((high, self.height), (wide, self.width))
        )
        return tuple((row, column) for row in rows for column in columns)


def _places(length: int, window: int, overlap: float) -> list[int]:
    """Where windows begin, evenly spaced, so that the last one ends with the image, on the grid of level1."""
    if length <= window:
        return [0]
    steps = math.ceil((length - window) / (window * (1 - overlap)))
    return [round(step * (length - window) / steps / GRAIN) * GRAIN for step in range(steps + 1)]
