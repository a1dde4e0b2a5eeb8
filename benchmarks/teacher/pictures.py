"""What the teacher sees: photographs from a folder, drawn textures beside them, and crops of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
LEAST_SIDE = 320
MIXED = 0.4
"""Share of crops that are mixed with another."""


def photographs(folder: Path) -> list[Image]:
    """All of a folder, RGB, with the short side at most LEAST_SIDE."""
    images = []
    for path in sorted(folder.iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is not None:
            scale = min(1.0, LEAST_SIDE / min(image.shape[:2]))
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return images


def drawn(rng: np.random.Generator, side: int = LEAST_SIDE) -> Image:
    """Dead leaves (Baradad et al., NeurIPS 2021): shapes on shapes, each filled with a texture of its own.

    Photographs show few of the surfaces that stand before an inspection camera: cast, woven, printed, brushed.
    """
    image = texture(rng, side)
    for _ in range(rng.integers(0, 40)):
        mask = np.zeros((side, side), np.uint8)
        centre = tuple(int(c) for c in rng.integers(0, side, 2))
        radius = int(np.exp(rng.uniform(np.log(4), np.log(side / 2.5))))
        if rng.random() < 0.5:
            axes = (radius, max(1, int(radius * rng.uniform(0.2, 1))))
            cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1)
        else:
            turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
            corners = np.stack([np.cos(turns), np.sin(turns)], 1) * radius + centre
            cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
        soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.3, 2))[..., None] / 255.0
        fill = texture(rng, side) if rng.random() < 0.7 else np.broadcast_to(_colour(rng), image.shape)
        image = (image * (1 - soft) + fill * soft).astype(np.uint8)
    return image


def texture(rng: np.random.Generator, side: int) -> Image:
    """Noise of one spectrum and direction, a grating or weave of waves, or grains, in a ramp between two colours."""
    kind = rng.integers(0, 3)
    if kind == 0:
        field = _noise(rng, side)
    elif kind == 1:
        field = _waves(rng, side)
    else:
        field = _grains(rng, side)
    field = (field - field.min()) / (np.ptp(field) + 1e-9)
    field = field[..., None] ** rng.uniform(0.5, 2)
    return np.clip(_colour(rng) * (1 - field) + _colour(rng) * field, 0, 255).astype(np.uint8)


def crops(images: Sequence[Image], count: int, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random crops [count, side, side, 3]: scale, shape, turn, flip, light, contrast, colour, grey, blur, noise; a
    share of them is mixed with another."""
    out = np.stack([_crop(images[int(rng.integers(len(images)))], side, rng) for _ in range(count)])
    chosen = rng.random(count) < MIXED
    weight = rng.uniform(0, 1, (count, 1, 1, 1)).astype(np.float32)
    both = out * weight + out[rng.permutation(count)] * (1 - weight)
    return np.where(chosen[:, None, None, None], both, out).astype(np.uint8)


def _crop(image: Image, side: int, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    area = rng.uniform(0.08, 1) * height * width
    aspect = np.exp(rng.uniform(-0.3, 0.3))
    across = min(width, np.sqrt(area * aspect))
    down = min(height, np.sqrt(area / aspect))
    angle = rng.normal(0, 20) if rng.random() < 0.5 else 0.0
    x, y = rng.uniform(0, width - across) + across / 2, rng.uniform(0, height - down) + down / 2
    turn = np.deg2rad(angle)
    flip = rng.choice([-1, 1])
    axes = np.array(
        [[np.cos(turn) * across * flip, -np.sin(turn) * down], [np.sin(turn) * across * flip, np.cos(turn) * down]]
    )
    matrix = np.concatenate([axes / side, (np.array([[x], [y]]) - axes @ [[0.5], [0.5]])], 1)
    shrink = max(across, down) / side
    if shrink > 1.5:  # else what is too fine for the crop shows as false waves
        image = cv2.GaussianBlur(image, (0, 0), 0.35 * shrink)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101).astype(
        np.float32
    )
    if rng.random() < 0.3:
        crop[:] = crop.mean(2, keepdims=True)
    crop = (crop - 128) * rng.uniform(0.5, 1.5) + 128 + rng.uniform(-50, 50)
    crop *= rng.uniform(0.8, 1.2, 3).astype(np.float32)
    if rng.random() < 0.2:
        crop = cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.3:
        crop += rng.normal(0, rng.uniform(1, 12), crop.shape).astype(np.float32)
    return np.clip(crop, 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    grey = rng.uniform(0, 255)
    return np.clip(grey + rng.normal(0, rng.choice([0, 15, 80]), 3), 0, 255)


def _noise(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    stretch = np.exp(rng.uniform(-1.5, 1.5))
    fy, fx = np.fft.fftfreq(side)[:, None] * stretch, np.fft.rfftfreq(side)[None, :] / stretch
    turn = rng.uniform(0, np.pi)
    radius = np.hypot(np.cos(turn) * fx - np.sin(turn) * fy, (np.sin(turn) * fx + np.cos(turn) * fy) * stretch)
    spectrum = (radius + 1 / side) ** -rng.uniform(0.3, 2)
    phases = rng.normal(size=spectrum.shape) + 1j * rng.normal(size=spectrum.shape)
    return np.fft.irfft2(spectrum * phases, (side, side))


def _waves(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    y, x = np.mgrid[:side, :side]
    total = np.zeros((side, side))
    bend = _noise(rng, side)
    bend *= rng.uniform(0, 4) / (np.abs(bend).max() + 1e-9)
    for _ in range(rng.integers(1, 4)):
        turn, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(3), np.log(60)))
        wave = np.sin((np.cos(turn) * x + np.sin(turn) * y) * 2 * np.pi / period + bend)
        total = total + (np.sign(wave) if rng.random() < 0.3 else wave)
    return total


def _grains(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Cells around random points, with edges between them."""
    points = np.full((side, side), 255, np.uint8)
    count = int(np.exp(rng.uniform(np.log(10), np.log(2000))))
    points[rng.integers(0, side, count), rng.integers(0, side, count)] = 0
    distance, label = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    levels = rng.uniform(0, 1, int(label.max()) + 1)
    return levels[label] + rng.uniform(-1, 1) * distance / (distance.max() + 1e-9)
