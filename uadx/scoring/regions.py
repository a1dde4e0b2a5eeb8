"""Where the defect is: connected components of the anomaly map above the threshold, in original pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Region:
    """One connected defect. bbox: x, y, width, height; area: pixels; peak: x, y of the highest value, `score`."""

    bbox: tuple[int, int, int, int]
    area: int
    peak: tuple[int, int]
    score: float

    def as_json(self) -> dict[str, object]:
        """The region as it stands in results."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def find_regions(anomaly_map: NDArray[np.float32], threshold: float) -> list[Region]:
    """Components (8-connected) of anomaly_map [H, W] above the threshold, the highest score first.

    For images that are anomalous: no score is above its map's maximum, so some value lies above the threshold. Where
    upsampling flattened a narrow peak below it, the peak's own pixel is the region.
    """
    above = (anomaly_map > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    if count == 1:
        y, x = divmod(int(anomaly_map.argmax()), anomaly_map.shape[1])
        return [Region((x, y, 1, 1), 1, (x, y), float(anomaly_map[y, x]))]
    regions = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        box = np.s_[y : y + height, x : x + width]
        inside = np.where(labels[box] == label, anomaly_map[box], -np.inf)
        row, column = divmod(int(inside.argmax()), width)
        peak = float(inside[row, column])
        regions.append(Region((x, y, width, height), area, (x + column, y + row), peak))
    return sorted(regions, key=lambda region: region.score, reverse=True)
