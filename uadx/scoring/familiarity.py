"""Is this the kind of picture that the model was calibrated on? Told apart from defects by the calm parts of the map.

A defect raises the anomaly map where it is. Another product, light, lens or distance raises it all over, so that even
the lower quarter of the map, its base level, lies above what any good image showed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

BASE = 0.25
"""The quantile of the anomaly map that is its base level: a defect may cover three quarters of an image."""
LEAST = 3
"""Calibration images below which nothing can be said of how far good images lie apart."""
ENOUGH = 5
"""Images of a run below which one unlike the others is a chance."""


def base_level(anomaly_map: NDArray[np.float32]) -> np.float32:
    """The base level of a map [h, w]."""
    place = int(BASE * (anomaly_map.size - 1))
    value: np.float32 = np.partition(anomaly_map, place, axis=None)[place]
    return value


def base_levels(anomaly_maps: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The base level of each map: N of [h, w] -> [N]."""
    return np.array([base_level(anomaly_map) for anomaly_map in anomaly_maps], np.float32)


def base_range(held_out: Sequence[float]) -> tuple[float, float] | None:
    """Lowest and highest base level of the held-out good images; None where they are too few to tell."""
    return (min(held_out), max(held_out)) if len(held_out) >= LEAST else None


def limit(lowest: float, highest: float) -> float:
    """The base level above which an image is unfamiliar: as far again above the highest as the held-out images lie
    apart."""
    return highest + (highest - lowest)


class Tally:
    """Counts the unfamiliar images of a run. warning() is a sentence where they are most of it, else None."""

    def __init__(self) -> None:
        self.images = self.unfamiliar = 0

    def add(self, unfamiliar: bool | None) -> None:
        """Take one image; None where it is not known."""
        if unfamiliar is not None:
            self.images += 1
            self.unfamiliar += unfamiliar

    @property
    def warning(self) -> str | None:
        if self.images < ENOUGH or 2 * self.unfamiliar <= self.images:
            return None
        return (
            f"{self.unfamiliar} of {self.images} images look unlike what the model was calibrated on, all over and not "
            "in one place: another product, light, lens or distance? Their scores and verdicts mean little"
        )
