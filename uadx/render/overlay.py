"""The heat map on the picture itself, with contours, score and verdict: what a person looks at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.render.heatmap import colours, levels

OK_COLOUR = (96, 174, 39)  # BGR
NG_COLOUR = (43, 57, 224)
SMALLEST_WITH_TEXT = 96
"""Side in pixels below which a text would cover the part; there the verdict is a border."""
SMALLEST_WITH_RIM = 200
"""Side in pixels from which outlines have a white rim, which sets them off from red parts."""

_START, _AT_THRESHOLD, _MOST = 0.6, 0.25, 0.5
"""Where the heat begins to show, in thresholds; its opacity there at 1; its most, which lets the defect be seen."""


def _opacity() -> NDArray[np.uint8]:
    ratio = np.arange(256) / 127.5
    rise = np.interp(ratio, [_START, 1.0, 2.0], [0.0, _AT_THRESHOLD, _MOST])
    return np.asarray(np.rint(rise * 255), np.uint8)


_OPACITY = _opacity()


def overlay(
    image: NDArray[np.uint8],
    anomaly_map: NDArray[np.float32],
    *,
    threshold: float,
    region_threshold: float,
    score: float,
    is_anomaly: bool,
    note: str = "",
) -> NDArray[np.uint8]:
    """A new picture of the image's size: uint8 BGR [H, W, 3] and float32 [H, W] -> uint8 BGR [H, W, 3].

    What lies well below the threshold is left as it is. An anomalous image has its regions, where the map is above
    region_threshold, outlined. note: a line to write below verdict and score.
    """
    region = mask(anomaly_map, region_threshold, is_anomaly)
    picture = marked(image, anomaly_map, region, threshold)
    colour = NG_COLOUR if is_anomaly else OK_COLOUR
    if min(picture.shape[:2]) < SMALLEST_WITH_TEXT:
        _border(picture, colour)
    else:
        verdict = f"{'NG' if is_anomaly else 'OK'}  {score:.3g} / {threshold:.3g}"
        _plate(picture, [verdict, note] if note else [verdict], colour, region)
    return picture


def marked(
    image: NDArray[np.uint8], anomaly_map: NDArray[np.float32], region: NDArray[np.uint8], threshold: float
) -> NDArray[np.uint8]:
    """The same without words: a new picture with the heat and the outlines of the region, a mask [H, W]."""
    picture = _heated(image, levels(anomaly_map, threshold))
    _outline(picture, region)
    return picture


def mask(anomaly_map: NDArray[np.float32], threshold: float, is_anomaly: bool) -> NDArray[np.uint8]:
    """255 where the map lies above the threshold, 0 elsewhere, uint8 [H, W]; all 0 for an image that is OK.

    Never empty for an anomalous image: where upsampling flattened its peak below the threshold, the peak's own
    pixel is marked, as in `find_regions`.
    """
    if not is_anomaly:
        return np.zeros(anomaly_map.shape, np.uint8)
    marked = (anomaly_map > threshold).astype(np.uint8) * np.uint8(255)
    if not marked.any():
        marked.flat[anomaly_map.argmax()] = 255
    return marked


def _heated(image: NDArray[np.uint8], scale: NDArray[np.uint8]) -> NDArray[np.uint8]:
    opacity = cv2.LUT(scale, _OPACITY)
    if not opacity.any():
        return image.copy()
    opacity = cv2.cvtColor(opacity, cv2.COLOR_GRAY2BGR)
    heat = colours(scale)
    cv2.multiply(heat, opacity, dst=heat, scale=1 / 255)  # in place: these are as large as the picture
    cv2.bitwise_not(opacity, dst=opacity)
    cv2.multiply(image, opacity, dst=opacity, scale=1 / 255)
    return np.asarray(cv2.add(heat, opacity, dst=heat), np.uint8)


def _outline(picture: NDArray[np.uint8], region: NDArray[np.uint8]) -> None:
    """Draw a line around the region, just outside it, so that it hides nothing of a small defect."""
    width = max(1, round(min(picture.shape[:2]) / 300))
    around = cv2.dilate(region, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    contours, _ = cv2.findContours(around, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    if min(picture.shape[:2]) >= SMALLEST_WITH_RIM:
        cv2.drawContours(picture, contours, -1, (255, 255, 255), width + 2 * max(1, width // 2), cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, NG_COLOUR, width, cv2.LINE_AA)


def _border(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    height, width = picture.shape[:2]
    if min(height, width) >= 8:
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), colour, 1)


def _plate(
    picture: NDArray[np.uint8], lines: Sequence[str], colour: tuple[int, int, int], region: NDArray[np.uint8]
) -> None:
    """A text in the corner that hides least of the region, the upper left one where all are free."""
    height, width = picture.shape[:2]
    scale = max(0.4, min(height, width) / 750)
    thickness = max(1, round(scale * 1.6))
    sizes = [cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness) for line in lines]
    wide, high, base = max(size[0][0] for size in sizes), sizes[0][0][1], sizes[0][1]
    pad = max(3, round(high * 0.45))
    step = high + base + pad
    tall, wide = step * len(lines), min(width, wide + 3 * pad)
    corners = [(y, x) for y in (0, height - tall) for x in (0, width - wide)]
    top, left = min(
        corners, key=lambda corner: np.count_nonzero(region[corner[0] : corner[0] + tall, corner[1] : corner[1] + wide])
    )
    plate = picture[top : top + tall, left : left + wide]
    plate[:] = (plate * 0.25).astype(np.uint8)
    plate[:, : max(2, pad // 2)] = colour
    for number, line in enumerate(lines):
        place = (left + round(1.6 * pad), top + number * step + high + pad // 2 + base // 2)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thickness, cv2.LINE_AA)
