"""The fixed industrial camera and its lamp: uneven light, vignetting, lens blur, sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """One exposure. The lamp and the lens hardly change from part to part; the noise does."""

    light: tuple[float, float, float]
    """Unit vector from the part towards the lamp (right, down, towards the camera)."""
    gain: Floats
    """(H, W, 3) BGR: lamp gradient, vignetting, colour tint and exposure, in grey levels per unit of brightness."""
    blur: float
    """Standard deviation of the lens blur, px."""
    noise: Floats
    """(H, W, 3) standard normal, scaled by the signal when the image is read out."""

    def expose(self, colour: Floats) -> Floats:
        """The image on the sensor before noise: (H, W, 3) BGR in grey levels."""
        blurred = cv2.GaussianBlur(colour, (7, 7), self.blur, borderType=cv2.BORDER_REFLECT)
        # A lens passes highlights softly: compress above the knee instead of clipping hard.
        level = blurred * self.gain
        pressed: Floats = np.minimum(level, 205 + (level - 205) * 0.45)
        return pressed

    def read_out(self, exposure: Floats) -> NDArray[np.uint8]:
        """The picture that the camera delivers, with read and shot noise: (H, W, 3) BGR uint8."""
        sigma = np.sqrt(np.float32(0.8) + np.float32(0.011) * np.maximum(exposure, 0))
        picture: NDArray[np.uint8] = np.clip(np.rint(exposure + sigma * self.noise), 0, 255).astype(np.uint8)
        return picture


def draw_camera(rng: np.random.Generator, size: int) -> Camera:
    """The station's camera with the small drift that it has from part to part."""
    azimuth = rng.normal(np.radians(232), np.radians(2.5))
    elevation = rng.normal(np.radians(52), np.radians(1.2))
    light = (
        float(np.cos(azimuth) * np.cos(elevation)),
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
    )
    return Camera(
        light=light,
        gain=_gain(rng, size, light),
        blur=float(rng.uniform(0.62, 0.78)),
        noise=rng.standard_normal((size, size, 3), dtype=np.float32),
    )


def _gain(rng: np.random.Generator, size: int, light: tuple[float, float, float]) -> Floats:
    y, x = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2, indexing="ij")
    gradient = 1 + np.float32(rng.normal(0.13, 0.02)) * (light[0] * x + light[1] * y)
    centre_x, centre_y = rng.normal(0.0, 0.06, 2).astype(np.float32)
    vignette = 1 - np.float32(rng.normal(0.13, 0.015)) * ((x - centre_x) ** 2 + (y - centre_y) ** 2)
    tint = np.array([1.0, 1.0, 0.985]) + rng.normal(0.0, 0.008, 3)
    exposure = rng.normal(300, 7)
    gain: Floats = (gradient * vignette)[..., None] * (exposure * tint).astype(np.float32)
    return gain
