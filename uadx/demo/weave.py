"""The part on the table: one piece of plain-woven wire cloth, and where its wires run.

A part is described by tables, one row per wire and one column per pixel of its length, so that natural variation and
damage are both plain array edits, and the renderer needs two look-ups per pixel and no loop over wires.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.demo.camera import Camera, draw_camera

Floats = NDArray[np.float32]

SIZE = 300
"""Height and width of an image, px."""
LANES = 12
"""Wires on each side of the middle one."""
REACH = 180
"""Length of a wire on each side of the middle of the image, px."""

STEPS: Floats = np.arange(-REACH, REACH + 1, dtype=np.float32)
"""The position along a wire that each column of a wire table stands for, px."""


@dataclass(frozen=True)
class Wires:
    """Wires of one direction. Each array is float32 of shape (wires, len(STEPS)), in px unless said otherwise."""

    centre: Floats
    """Where the axis lies across the wire's own direction."""
    radius: Floats
    """0 where there is no wire."""
    lift: Floats
    """Height of the axis over the middle plane of the cloth."""
    tone: Floats
    """Reflectance relative to the mean, without unit."""

    def copy(self) -> Wires:
        """The same wires in arrays of their own, to be edited."""
        return Wires(self.centre.copy(), self.radius.copy(), self.lift.copy(), self.tone.copy())


@dataclass(frozen=True)
class Surface:
    """What the light falls on: `height` (SIZE, SIZE) in px, `colour` (SIZE, SIZE, 3) BGR in 0..1, both float32."""

    height: Floats
    colour: Floats


Deposit = Callable[[Surface], Surface]
"""Something lying on the cloth or soaked into it."""


@dataclass(frozen=True)
class Part:
    """One part as it lies before the camera."""

    pitch: float
    """Distance of neighbouring wires, px."""
    angle: float
    """Rotation in the fixture, radians."""
    shift: tuple[float, float]
    """Displacement in the fixture (across the warp, across the weft), px."""
    backing: float
    """Reflectance of the table seen through the cells."""
    gloss: float
    """Strength of the wires' specular highlight."""
    warp: Wires
    weft: Wires
    camera: Camera
    loose_warp: tuple[Wires, ...] = field(default=())
    """Wires that left their lane: tables of one row, drawn one by one."""
    loose_weft: tuple[Wires, ...] = field(default=())
    deposits: tuple[Deposit, ...] = field(default=())

    def turned(self) -> Part:
        """The same part with the names warp and weft exchanged, so that an edit of the warp edits the weft."""
        return replace(
            self,
            warp=self.weft,
            weft=self.warp,
            loose_warp=self.loose_weft,
            loose_weft=self.loose_warp,
        )


def lane_position(lane: int, pitch: float) -> float:
    """Nominal centre of the wire in row `lane` of a table, px from the middle of the part."""
    return (lane - LANES) * pitch


def draw_part(rng: np.random.Generator) -> Part:
    """A good part with its natural variation: pitch, thickness, gloss, placement, light."""
    pitch = float(rng.normal(17.6, 0.10))
    radius = float(rng.normal(4.0, 0.10))
    return Part(
        pitch=pitch,
        angle=float(np.clip(rng.normal(0.0, 0.006), -0.02, 0.02)),
        shift=(float(rng.uniform(-3, 3)), float(rng.uniform(-3, 3))),
        backing=float(rng.uniform(0.30, 0.36)),
        gloss=float(rng.normal(1.0, 0.08)),
        warp=_wires(rng, pitch, radius, over=1.0),
        weft=_wires(rng, pitch, radius * float(rng.normal(0.98, 0.01)), over=-1.0),
        camera=draw_camera(rng, SIZE),
    )


def _wires(rng: np.random.Generator, pitch: float, radius: float, over: float) -> Wires:
    count = 2 * LANES + 1
    lanes = np.arange(count)[:, None] - LANES
    parity = np.where(lanes % 2 == 0, over, -over)
    place = rng.normal(0.0, 0.35, (count, 1)) + _wander(rng, count, knots=9, sigma=0.45)
    thickness = 1.0 + rng.normal(0.0, 0.02, (count, 1)) + _wander(rng, count, knots=30, sigma=0.012)
    tone = 1.0 + rng.normal(0.0, 0.03, (count, 1)) + _wander(rng, count, knots=120, sigma=0.05)
    # In plain weave a wire swings by its own radius: the upper one just touches the lower one at each crossing.
    crimp = parity * radius * np.cos(np.pi / pitch * STEPS)
    return Wires(
        centre=(lanes * pitch + place).astype(np.float32),
        radius=(radius * thickness).astype(np.float32),
        lift=crimp.astype(np.float32),
        tone=tone.astype(np.float32),
    )


def _wander(rng: np.random.Generator, count: int, knots: int, sigma: float) -> Floats:
    """Smooth random variation along each of `count` wires: (count, len(STEPS))."""
    coarse = rng.normal(0.0, sigma, (count, knots)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (len(STEPS), count), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
