"""From a decoded image to the pixels that the model takes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def fit(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A BGR image [H, W, 3] as RGB [height, width, 3], uint8, squashed to the model's size.

    Each axis on its own is averaged by area where it shrinks, so that no scratch falls between two samples,
    and interpolated linearly where it grows. Done here, once for training, calibration and every backend,
    and never in the exported graph: runtimes disagree on antialiasing and pixel centres, and so would their
    scores.
    """
    rows, columns = image.shape[:2]
    shrunk = cv2.resize(image, (min(columns, width), min(rows, height)), interpolation=cv2.INTER_AREA)
    fitted = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return cv2.cvtColor(fitted, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
