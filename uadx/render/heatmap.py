"""The colours of an anomaly map: fixed relative to the threshold, so that pictures compare and a good part is calm.

Per-image scaling, as other tools do it, paints the calmest good part red somewhere.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FULL = 2.0
"""The multiple of the threshold at which the colours end."""

# inferno (Smith and van der Walt, 2015): its dark third up to the threshold, from there to twice it violet to amber
_PALETTE = cv2.applyColorMap(
    np.interp(np.arange(256), [0, 127.5, 255], [0, 85, 215]).round().astype(np.uint8)[:, None], cv2.COLORMAP_INFERNO
)


def levels(anomaly_map: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """The map on the colour scale: 0 at a score of 0, 128 at the threshold, 255 at twice the threshold and above.

    anomaly_map: float32 [H, W]. A threshold of 0 or below (somebody's own choice) has its 0 one below itself, or so
    far below that it is another number.
    """
    base = threshold - max(1.0, 1e-6 * -threshold) if threshold <= 0 else 0.0
    scaled = anomaly_map - np.float32(base)  # in place from here on: a large picture's map is hundreds of megabytes
    scaled *= np.float32(255 / (FULL * (threshold - base)))
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def colours(scale: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Values of the colour scale [H, W] -> BGR [H, W, 3]: black, dark violet at the threshold, then red to amber."""
    return np.asarray(cv2.applyColorMap(scale, _PALETTE), np.uint8)


def heatmap(anomaly_map: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """The anomaly map as a picture: float32 [H, W] -> uint8 BGR [H, W, 3]."""
    return colours(levels(anomaly_map, threshold))
