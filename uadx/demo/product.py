"""Pictures of the demo product, good and defective, with the exact mask of what a defect changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.demo.damage import bent_wire, broken_thread, hole
from uadx.demo.deposits import contamination, glue, stain
from uadx.demo.shading import expose
from uadx.demo.weave import Floats, Part, draw_part

_DEFECTS: Mapping[str, Callable[[Part, np.random.Generator], Part]] = {
    "hole": hole,
    "glue": glue,
    "bent_wire": bent_wire,
    "broken_thread": broken_thread,
    "contamination": contamination,
    "stain": stain,
}

DEFECT_KINDS: tuple[str, ...] = tuple(_DEFECTS)
"""The kinds of defect, from easy to hard."""

CLEAR = 5.0
"""A change of this many grey levels, in any channel and before sensor noise, belongs to the defect."""
FAINT = 1.0
"""A change of this many belongs to it too, where it is surrounded by clear ones."""


def render_good(rng: np.random.Generator) -> NDArray[np.uint8]:
    """One good part: (300, 300, 3) BGR uint8."""
    part = draw_part(rng)
    return part.camera.read_out(expose(part))


def render_defect(kind: str, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One defective part and its mask: (300, 300, 3) BGR uint8 and (300, 300) uint8 of 0 and 255.

    It is the very part that `render_good` draws from the same `rng`, down to the noise, with the defect added.
    Raises KeyError when `kind` is none of DEFECT_KINDS.
    """
    add = _DEFECTS[kind]
    part = draw_part(rng)
    damaged = expose(add(part, rng))
    return part.camera.read_out(damaged), _changed(expose(part), damaged)


def _changed(before: Floats, after: Floats) -> NDArray[np.uint8]:
    """The mask (H, W) of 0 and 255 of the pixels that differ between two noise-free exposures."""
    change: Floats = np.abs(after - before).max(axis=2)
    clear = (change >= CLEAR).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    surrounded = cv2.morphologyEx(clear, cv2.MORPH_CLOSE, disc)
    mask: NDArray[np.uint8] = ((surrounded > 0) & (change >= FAINT)).astype(np.uint8)
    return mask * np.uint8(255)
