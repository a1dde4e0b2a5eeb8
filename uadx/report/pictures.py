"""Pictures small enough for a page, as data URLs, and with a verdict below them."""

from __future__ import annotations

import base64
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.result import encode_image


def shrunk(picture: NDArray[np.uint8], longer_side: int) -> NDArray[np.uint8]:
    """A picture, uint8 BGR [H, W, 3], with at most that longer side in pixels; no side vanishes."""
    height, width = picture.shape[:2]
    scale = min(1.0, longer_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def thumbnail(picture: NDArray[np.uint8], longer_side: int) -> str:
    """A picture as the data URL of a JPEG, made small like `shrunk`."""
    data = base64.b64encode(encode_image(shrunk(picture, longer_side), ".jpg")).decode()
    return f"data:image/jpeg;base64,{data}"


def figure(picture: str, label: str, score: float, is_anomaly: bool) -> str:
    """A picture, given as a data URL, framed and captioned by its verdict."""
    verdict = "NG" if is_anomaly else "OK"
    return (
        f'<figure class="{verdict.lower()}">'
        f'<img src="{picture}" alt="{escape(label)}: {verdict}" loading="lazy">'
        f"<figcaption><span>{escape(label)}</span><b>{verdict} {score:.2f}</b></figcaption></figure>"
    )
