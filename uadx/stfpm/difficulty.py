"""Where a student finds it hard to repeat its teacher although nothing is wrong, predicted from what the teacher sees.

On good images the distance is no noise around one level: edges, glints and rare textures are always further from the
teacher than plain surface. A linear function of the teacher's unit features, fitted to the distances on the images that
taught, tells a good part of it; the graph takes it off the distance, so that what is left says more of defects than of
content. The idea is that of locally weighted conformal prediction (Papadopoulos et al., ECML 2002; Lei et al., JASA
2018), with the difference in place of the quotient. What it is worth: docs/accuracy.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_IMAGES = 12.0
"""The images that say, before any is seen, that features tell nothing: few images do not fit by chance."""
LEAST_VARIANCE = 1e-6
"""Of unit features, the mean over the channels: less than this is the rounding of a surface that does not vary."""


@dataclass(frozen=True)
class Difficulty:
    """Of one level: how much further than on average good images are at a position whose teacher feature is u, of
    unit length: weight . u - offset. weight: float32 [C]."""

    weight: NDArray[np.float32]
    offset: float

    @classmethod
    def none(cls, channels: int) -> Difficulty:
        """Every position is as hard as any other: the distance of the paper."""
        return cls(np.zeros(channels, np.float32), 0.0)


class DifficultyFit:
    """Ridge regression of distances on unit features, from sums over any number of images.

    The ridge is PRIOR_IMAGES / images of the features' mean variance: positions of one image are too much alike to
    count as so many observations.
    """

    def __init__(self, channels: int) -> None:
        self._count = self._images = 0
        self._features, self._squares = np.zeros(channels), np.zeros((channels, channels))
        self._distance, self._products = 0.0, np.zeros(channels)

    def add(self, features: NDArray[np.floating], distances: NDArray[np.floating], images: int) -> None:
        """Take the positions of some good images: unit features of the teacher [N, C], distances of the student [N]."""
        # in float64: a variance is what is left of two sums that are nearly equal
        features, distances = features.astype(np.float64), distances.astype(np.float64)
        self._images += images
        self._count += len(features)
        self._features += features.sum(0)
        self._squares += features.T @ features
        self._distance += float(distances.sum())
        self._products += features.T @ distances

    def result(self) -> Difficulty:
        """The fitted difficulty; its mean over the positions is 0. Needs one image at least."""
        mean = self._features / self._count
        covariance = self._squares / self._count - np.outer(mean, mean)
        together = self._products / self._count - mean * (self._distance / self._count)
        ridge = PRIOR_IMAGES / self._images * max(covariance.trace() / len(mean), LEAST_VARIANCE)
        weight = np.linalg.solve(covariance + ridge * np.eye(len(mean)), together).astype(np.float32)
        return Difficulty(weight, float(weight @ mean))
