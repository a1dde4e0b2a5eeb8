"""Pictures small enough for a page, as data URLs."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.result import encode_image


def thumbnail(picture: NDArray[np.uint8], longer_side: int) -> str:
    """A picture, uint8 BGR [H, W, 3], as the data URL of a JPEG of at most that longer side in pixels."""
    scale = min(1.0, longer_side / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data = base64.b64encode(encode_image(np.asarray(small, np.uint8), ".jpg")).decode()
    return f"data:image/jpeg;base64,{data}"
