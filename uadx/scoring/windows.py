"""From the anomaly maps of windows to one map and one score for each image.

Where windows overlap, their values are averaged, each weighing as much as its cell is far from its window's edge: at
an edge the network sees filling where the image goes on. The score is that of the window that scores highest: the mean
of the highest share of a whole map would lose a small defect in a large image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from uadx.images.framing import Cut
from uadx.scoring.fusion import Fusion, Scoring, contents, image_scores

Map = NDArray[np.float32]


def joined(maps: Map, cuts: Sequence[Cut], size: tuple[int, int]) -> list[Map]:
    """The anomaly map of each image, cut to what shows it.

    maps: of the windows of all images, one image after the other, [M, h, w]; size: height and width of the model's
    input, in pixels.
    """
    found, start = [], 0
    for cut in cuts:
        end = start + len(cut.corners)
        found.append(_joined(maps[start:end], cut, size))
        start = end
    return found


def highest_scores(
    maps: Sequence[Map], cuts: Sequence[Cut], size: tuple[int, int], scoring: Scoring, fusion: Fusion
) -> NDArray[np.float64]:
    """The image scores [N]: each that of the image's highest window."""
    return np.array(
        [image_scores(_windows(one, cut, size), scoring, fusion).max() for one, cut in zip(maps, cuts, strict=True)]
    )


def _joined(maps: Map, cut: Cut, size: tuple[int, int]) -> Map:
    if len(cut.corners) == 1:
        return contents(maps, [cut.content], size)[0]
    height, width = maps.shape[1:]
    last_row, last_column = cut.corners[-1]
    cell = size[0] // height
    total = np.zeros((last_row // cell + height, last_column // cell + width), np.float32)
    weights = np.zeros_like(total)
    ramp = np.outer(_from_the_edge(height), _from_the_edge(width))
    for window, (row, column) in zip(maps, cut.corners, strict=True):
        place = np.s_[row // cell : row // cell + height, column // cell : column // cell + width]
        total[place] += ramp * window
        weights[place] += ramp
    high, wide = cut.content
    whole = (total / weights)[: -(-high // cell), : -(-wide // cell)]
    return np.asarray(whole, np.float32)


def _windows(whole: Map, cut: Cut, size: tuple[int, int]) -> Iterator[Map]:
    """The part of an image's map that lies in each of its windows."""
    cell = -(-cut.content[0] // len(whole))
    for row, column in cut.corners:
        yield whole[row // cell : (row + size[0]) // cell, column // cell : (column + size[1]) // cell]


def _from_the_edge(length: int) -> Map:
    """How far each cell's centre is from the nearer edge."""
    places = np.arange(length) + 0.5
    return np.asarray(np.minimum(places, length - places), np.float32)
