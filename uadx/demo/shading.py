"""From a part to a picture: shaded wires put over each other by height, then what lies on them, then shadows.

Wires are cylinders with diffuse and Blinn-Phong specular reflection. Good and defective parts take the same path.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from uadx.demo.weave import LANES, REACH, SIZE, Floats, Part, Surface, Wires

TABLE_DEPTH = -22.0
"""Height of the table under the cloth, px."""


def expose(part: Part) -> Floats:
    """The noise-free picture of `part`: (SIZE, SIZE, 3) BGR float32 in grey levels."""
    surface = _woven(part)
    for deposit in part.deposits:
        surface = deposit(surface)
    return part.camera.expose(surface.colour * _shadow(surface.height, part.camera.light)[..., None])


def _woven(part: Part) -> Surface:
    """The cloth on the table, lit but without the shadows it casts."""
    y, x = np.meshgrid(*[np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2] * 2, indexing="ij")
    cos, sin = np.float32(np.cos(part.angle)), np.float32(np.sin(part.angle))
    u = cos * x + sin * y - np.float32(part.shift[0])
    v = cos * y - sin * x - np.float32(part.shift[1])
    right, down, up = part.camera.light

    height = np.full((SIZE, SIZE), TABLE_DEPTH, dtype=np.float32)
    shade = np.full((SIZE, SIZE), part.backing, dtype=np.float32)
    for wires, loose, across, along, light in (
        (part.warp, part.loose_warp, u, v, (right, down, up)),
        (part.weft, part.loose_weft, v, u, (down, right, up)),
    ):
        lane = np.rint(across * np.float32(1 / part.pitch)) + LANES
        _lay(wires, lane, across, along, light, part.gloss, height, shade)
        for wire in loose:
            _lay(wire, np.zeros_like(lane), across, along, light, part.gloss, height, shade)
    return Surface(height, np.dstack([shade, shade, shade]))


def _lay(
    wires: Wires,
    lane: Floats,
    across: Floats,
    along: Floats,
    light: tuple[float, float, float],
    gloss: float,
    height: Floats,
    shade: Floats,
) -> None:
    """Put wires over `height` and `shade` in place wherever they are the highest; `lane` names each pixel's wire."""
    # A wire that runs at an angle is farther off sideways than it is at right angles to itself.
    straight = 1 / np.sqrt(1 + np.gradient(wires.centre, axis=1) ** 2)
    tables = (wires.centre, straight, wires.radius, wires.lift, np.gradient(wires.lift, axis=1), wires.tone)
    column = along + REACH
    centre, narrow, radius, lift, slope, tone = (cv2.remap(t, column, lane, cv2.INTER_LINEAR) for t in tables)

    aside = (across - centre) * narrow
    cover = np.clip(radius - np.abs(aside) + 0.5, 0, 1) * np.minimum(radius, 1)
    side = np.clip(aside / np.maximum(radius, 0.5), -1, 1)
    rise = np.sqrt(1 - side * side)
    top = lift + radius * rise

    # The normal in the wire's own frame: across it, along it, towards the camera.
    upward = rise / np.sqrt(1 + slope * slope)
    lit = light[0] * side + upward * (light[2] - light[1] * slope)
    norm = math.sqrt(2 + 2 * light[2])
    half = (light[0] / norm, light[1] / norm, (light[2] + 1) / norm)
    glint = np.maximum(half[0] * side + upward * (half[2] - half[1] * slope), 0)
    broad = glint**2
    broad *= broad
    broad *= broad
    sharp = broad**2
    sharp *= sharp
    brightness = tone * (0.10 + 0.10 * upward + 0.30 * np.maximum(lit, 0) + gloss * (0.14 * broad + 0.30 * sharp))

    visible = cover * np.clip((top - height) * 0.8 + 0.5, 0, 1)
    height += visible * (top - height)
    shade += visible * (brightness - shade)


def _shadow(height: Floats, light: tuple[float, float, float]) -> Floats:
    """How much light is left at each pixel, 0..1: shadows cast away from the lamp and closed-in places."""
    run = math.hypot(light[0], light[1])
    fall = light[2] / run
    above = np.zeros_like(height)
    for distance in (3.0, 6.0, 10.0, 15.0):
        move = np.array([[1, 0, -light[0] / run * distance], [0, 1, -light[1] / run * distance]])
        towards = cv2.warpAffine(height, move, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
        np.maximum(above, towards - height - np.float32(fall * distance), out=above)
    cast = cv2.blur(np.clip(above * 0.35, 0, 1), (3, 3))
    closed_in = np.clip((cv2.GaussianBlur(height, (0, 0), 5) - height) * 0.035, 0, 0.45)
    left: Floats = (1 - 0.55 * cast) * (1 - closed_in)
    return left
