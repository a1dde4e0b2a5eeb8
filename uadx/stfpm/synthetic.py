"""Defects drawn on good images: to teach the student to repair, and to learn how far each level can be trusted.

No defect of a product is ever known at training time. What can be had are pictures that are surely wrong somewhere:
a piece of another good image put where it does not belong (CutPaste, Li et al., CVPR 2021; NSA, Schlueter et al.,
ECCV 2022), a scratch, a stain, a blurred or roughened spot (DRAEM, Zavrtanik et al., ICCV 2021). Each is blended in
at a random strength, down to what the eye can hardly see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = 12.0
"""Difference between channels below which a picture comes from a grey camera, which sees no tint."""

Image = NDArray[np.uint8]
F32 = NDArray[np.float32]


def paste(image: Image, other: Image, rng: np.random.Generator) -> tuple[Image, NDArray[np.bool_]]:
    """A copy of an image with one to three defects, and where they are: uint8 RGB [H, W, 3], bool [H, W].

    other: another good image of the same size.
    """
    height, width = image.shape[:2]
    picture = image.astype(np.float32)
    where = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        draw = _KINDS[int(rng.integers(len(_KINDS)))]
        shape = _line(height, width, rng) if draw is _shade and rng.random() < 0.6 else _blob(height, width, rng)
        strength = float(rng.uniform(0.3, 1.0))
        wrong = draw(picture, other, rng)
        alpha = (shape * strength)[..., None]
        picture = picture * (1 - alpha) + wrong * alpha
        where = np.maximum(where, shape)
    return np.clip(picture, 0, 255).astype(np.uint8), where > 0.5


def _shade(picture: F32, other: Image, rng: np.random.Generator) -> F32:
    """Darker or brighter, in a tint of its own: a scratch, a stain."""
    sign = 1 if rng.random() < 0.4 else -1
    tint = rng.uniform(0.7, 1.3, 3)
    if np.ptp(picture[::8, ::8], axis=2).max() < GREY:
        tint[:] = 1
    shift = sign * rng.uniform(20, 110) * tint
    return np.asarray(picture + shift.astype(np.float32), np.float32)


def _elsewhere(picture: F32, other: Image, rng: np.random.Generator) -> F32:
    """A piece of another good image, turned or mirrored, in another light."""
    turned = np.rot90(other, int(rng.integers(4))) if other.shape[0] == other.shape[1] else other[::-1]
    if rng.random() < 0.5:
        turned = turned[:, ::-1]
    shift = (int(rng.integers(other.shape[0])), int(rng.integers(other.shape[1])))
    moved = np.roll(turned, shift, (0, 1)).astype(np.float32)
    return np.asarray(moved * rng.uniform(0.6, 1.4) + rng.uniform(-25, 25), np.float32)


def _smooth(picture: F32, other: Image, rng: np.random.Generator) -> F32:
    """The surface worn away."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(2, 8))), np.float32)


def _rough(picture: F32, other: Image, rng: np.random.Generator) -> F32:
    """Noise of a random grain."""
    height, width = picture.shape[:2]
    grain = int(rng.integers(1, 9))
    noise = rng.normal(0, rng.uniform(15, 60), (height // grain + 1, width // grain + 1)).astype(np.float32)
    fine = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(picture + fine[..., None], np.float32)


def _drawn_out(picture: F32, other: Image, rng: np.random.Generator) -> F32:
    """The surface bent: pixels moved by a few of their widths."""
    height, width = picture.shape[:2]
    reach = rng.uniform(3, 12)
    field = rng.normal(0, 1, (2, 6, 6)).astype(np.float32)
    dx, dy = (cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) * reach for part in field)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    moved = cv2.remap(picture, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.float32)


# scratches, stains and misplaced pieces twice as often as the rest
_KINDS: tuple[Callable[[F32, Image, np.random.Generator], F32], ...] = (
    *(_shade, _shade, _elsewhere, _elsewhere),
    *(_smooth, _rough, _drawn_out),
)


def _blob(height: int, width: int, rng: np.random.Generator) -> F32:
    """A spot with a ragged soft edge, 0..1: 1 to 35 % of the shorter side across, rarely more."""
    size = min(height, width) * float(np.exp(rng.uniform(np.log(0.02), np.log(0.45))))
    aspect = float(np.exp(rng.uniform(-0.9, 0.9)))
    radii = max(size / 2 * aspect, 1.5), max(size / 2 / aspect, 1.5)
    centre = rng.uniform(0, width), rng.uniform(0, height)
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
    v = -(x - centre[0]) * np.sin(angle) + (y - centre[1]) * np.cos(angle)
    ragged = cv2.resize(
        rng.normal(0, 0.25, (12, 12)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    distance = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2) + ragged
    soft = max(1.0 / min(radii), float(rng.uniform(0.05, 0.4)))
    return np.asarray(np.clip((1 - distance) / soft + 0.5, 0, 1), np.float32)


def _line(height: int, width: int, rng: np.random.Generator) -> F32:
    """A wandering line, 0..1, 1 to 5 pixels wide at 256 pixels."""
    scale = min(height, width) / 256
    step = 8 * scale
    at, angle = np.array([rng.uniform(0, width), rng.uniform(0, height)]), rng.uniform(0, 2 * np.pi)
    points = [at]
    for _ in range(int(rng.integers(2, 24))):
        angle += rng.normal(0, 0.25)
        at = at + step * np.array([np.cos(angle), np.sin(angle)])
        points.append(at)
    canvas = np.zeros((height, width), np.uint8)
    thickness = max(1, round(scale * float(rng.uniform(1, 5))))
    line: Any = np.round(np.array(points)).astype(np.int32)
    cv2.polylines(canvas, [line], False, 255, thickness, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.7).astype(np.float32) / 255, np.float32)
