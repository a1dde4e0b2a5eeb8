"""Foreign matter on or in the cloth: contamination, stain, glue. Each is a change of the lit surface."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.demo.weave import SIZE, Deposit, Floats, Part, Surface

ON_TOP = 8.0
"""Height of the upper side of the cloth, px."""
ROUND = np.linspace(0, 2 * np.pi, 12, endpoint=False)


def contamination(part: Part, rng: np.random.Generator) -> Part:
    """A fibre, a chip or some dust on the cloth."""
    shape = rng.choice(["fibre", "chip", "dust"])
    cover, thickness = {"fibre": _fibre, "chip": _chip, "dust": _dust}[shape](rng)
    dark, bright = (0.10, 0.20), (0.48, 0.72)
    tone = rng.uniform(*(dark if rng.random() < 0.4 else bright))
    tint = 1 + rng.uniform(-0.15, 0.15, 3) * (shape != "chip")
    colour = (tone * tint).astype(np.float32)
    right, down, _ = part.camera.light
    # Round fibres and rough chips are brighter on the side that faces the lamp.
    relief = cv2.GaussianBlur(cover, (0, 0), 1.2)
    facing = right * cv2.Sobel(relief, -1, 1, 0, scale=0.25) + down * cv2.Sobel(relief, -1, 0, 1, scale=0.25)
    lit = np.maximum(1 - np.float32(1.6) * facing, 0.2)[..., None] * colour

    def lie(surface: Surface) -> Surface:
        seen = cover[..., None]
        return Surface(
            np.where(cover > 0.5, np.float32(ON_TOP + thickness), surface.height),
            surface.colour + seen * (lit - surface.colour),
        )

    return _with(part, lie)


def stain(part: Part, rng: np.random.Generator) -> Part:
    """Oil soaked in: a faint, soft-edged, brown darkening, sometimes with a drying rim."""
    depth = _blob(rng, radius=rng.uniform(18, 55), roughness=0.16)
    soft = rng.uniform(4, 12)
    body = np.clip(depth / np.float32(soft) + 0.5, 0, 1)
    rim = np.exp(-((depth / np.float32(0.5 * soft)) ** 2)) * np.float32(rng.choice([0, 0.5]))
    strength = np.float32(rng.uniform(0.12, 0.50)) * (body + rim)
    absorbed = np.array([1.5, 1.0, 0.6], dtype=np.float32) * strength[..., None]

    def soak(surface: Surface) -> Surface:
        return Surface(surface.height, surface.colour * (1 - absorbed))

    return _with(part, soak)


def glue(part: Part, rng: np.random.Generator) -> Part:
    """A half-transparent drop that fills cells: milky, flattening the relief below, with a bright edge to the lamp."""
    radius = rng.uniform(10, 34)
    depth = _blob(rng, radius, roughness=0.12)
    cover = np.clip(depth / 2 + 0.5, 0, 1)
    dome = cv2.GaussianBlur(np.sqrt(np.clip(depth / np.float32(0.5 * radius), 0, 1)), (0, 0), 1.2)
    milk = np.float32(rng.uniform(0.12, 0.62)) * cover
    milky = (rng.uniform(0.34, 0.50) * np.array([rng.uniform(0.80, 1.02), 0.98, 1.02])).astype(np.float32)
    shine = np.float32(rng.uniform(0.25, 0.65)) * _glint(dome * np.float32(0.3 * radius), part.camera.light) * cover

    def flow(surface: Surface) -> Surface:
        blurred = cv2.GaussianBlur(surface.colour, (0, 0), 1.3)
        below = surface.colour + cover[..., None] * (blurred - surface.colour)
        colour = below + milk[..., None] * (milky - below) + shine[..., None]
        filled = np.maximum(surface.height, ON_TOP * dome - 2)
        return Surface(surface.height + cover * (filled - surface.height), np.maximum(colour, 0))

    return _with(part, flow)


def _glint(height: Floats, light: tuple[float, float, float]) -> Floats:
    """Blinn-Phong highlight, 0..1, of a smooth body of this height in px."""
    slope_right, slope_down = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    right, down, up = light
    towards_half = (up + 1 - right * slope_right - down * slope_down) / math.sqrt(2 + 2 * up)
    length = np.sqrt(1 + slope_right**2 + slope_down**2)
    glint: Floats = np.maximum(towards_half / length, 0) ** 48
    return glint


def _with(part: Part, deposit: Deposit) -> Part:
    return replace(part, deposits=(*part.deposits, deposit))


def _blob(rng: np.random.Generator, radius: float, roughness: float) -> Floats:
    """Distance in px inside (positive) or outside the outline of an irregular spot in the picture."""
    x0, y0 = SIZE / 2 + rng.uniform(-0.5, 0.5, 2) * (SIZE - 2 * radius)
    y, x = np.meshgrid(np.arange(SIZE, dtype=np.float32) - y0, np.arange(SIZE, dtype=np.float32) - x0, indexing="ij")
    distance, angle = cv2.cartToPolar(x.astype(np.float32), y.astype(np.float32))
    outline = np.ones_like(distance)
    for wave in range(2, 8):
        size, phase = rng.normal(0, 1.6 * roughness / wave), rng.uniform(0, 2 * np.pi)
        outline += np.float32(size) * np.cos(wave * angle + np.float32(phase))
    return np.asarray(np.float32(radius) * outline - distance, dtype=np.float32)


def _fibre(rng: np.random.Generator) -> tuple[Floats, float]:
    """A curved hair, 40..170 px long. Returns its coverage 0..1 and its thickness in px."""
    length = int(rng.uniform(40, 170))
    curl = np.cumsum(rng.normal(0, 0.004, length)) + rng.normal(0, 0.010)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(curl)
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    path += rng.uniform(60, SIZE - 60, 2) - path.mean(axis=0)
    thickness = int(rng.integers(1, 4))
    cover = np.zeros((SIZE, SIZE), np.uint8)
    cv2.polylines(cover, [_fixed_point(path)], False, 255, thickness, cv2.LINE_AA, shift=4)
    return _coverage(cover), float(thickness)


def _chip(rng: np.random.Generator) -> tuple[Floats, float]:
    """An angular flake, 8..30 px across."""
    count = int(rng.integers(4, 8))
    angle = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * (2 * np.pi / count)
    radius = rng.uniform(5, 15) * rng.uniform(0.6, 1, count)
    corners = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    cover = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(cover, [_fixed_point(corners + rng.uniform(30, SIZE - 30, 2))], 255, cv2.LINE_AA, shift=4)
    return _coverage(cover), float(rng.uniform(2, 5))


def _dust(rng: np.random.Generator) -> tuple[Floats, float]:
    """A loose group of 5..14 grains."""
    cover = np.zeros((SIZE, SIZE), np.uint8)
    middle, spread = rng.uniform(60, SIZE - 60, 2), rng.uniform(8, 24)
    for _ in range(int(rng.integers(5, 15))):
        grain = np.clip(rng.normal(middle, spread), 5, SIZE - 5)
        axes = rng.uniform(1.3, 3.0) * rng.uniform(0.7, 1.3, 2)
        outline = np.stack([np.cos(ROUND), np.sin(ROUND)], axis=1) * axes + grain
        cv2.fillPoly(cover, [_fixed_point(outline)], 255, cv2.LINE_AA, shift=4)
    return _coverage(cover), 2.0


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(points * 16).astype(np.int32)
    return fixed


def _coverage(drawn: NDArray[np.uint8]) -> Floats:
    cover: Floats = drawn.astype(np.float32) / np.float32(255)
    return cover
