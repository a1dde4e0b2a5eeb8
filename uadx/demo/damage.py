"""Damage to the wires themselves: cut, torn out, bent.

Each function takes a part and gives the part back with the damage; it works on the warp or, at random, on the weft.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from uadx.demo.weave import LANES, REACH, SIZE, STEPS, Part, Wires, lane_position


def hole(part: Part, rng: np.random.Generator) -> Part:
    """A torn opening: every wire that would cross an irregular region is gone there, its ends bent."""
    pitch = part.pitch
    radius = rng.uniform(1.0, 2.8) * pitch
    middle = rng.uniform(-0.5, 0.5, 2) * (SIZE - 2.2 * radius)
    stretch = rng.uniform(0.75, 1.3)
    warp, weft = part.warp.copy(), part.weft.copy()
    for wires, centre_across, centre_along, wide, long in (
        (warp, middle[0], middle[1], radius * stretch, radius / stretch),
        (weft, middle[1], middle[0], radius / stretch, radius * stretch),
    ):
        for lane in range(len(wires.centre)):
            aside = (lane_position(lane, pitch) - centre_across) / wide
            if abs(aside) < 1:
                half = long * np.sqrt(1 - aside**2) + rng.uniform(-0.15, 0.75, 2) * pitch
                reach = min(0.22 * pitch, 1.2 + half.sum() * 0.1)
                _cut(wires, lane, centre_along - half[0], centre_along + half[1], reach, rng)
    return replace(part, warp=warp, weft=weft)


def broken_thread(part: Part, rng: np.random.Generator) -> Part:
    """One wire with a gap, from a hairline break on top of a crossing to several cells long."""
    part, turned = _either_way(part, rng)
    gap = float(rng.choice([rng.uniform(3.5, 8), rng.uniform(8, 45)]))
    lane, along = _spot(part, rng, margin=gap / 2 + 2 * part.pitch)
    if part.warp.lift[lane, round(along) + REACH] < 0:
        along += part.pitch  # under a crossing wire nobody would see it
    wires = part.warp.copy()
    _cut(wires, lane, along - gap / 2, along + gap / 2, rng.uniform(0.3, 4.2), rng)
    return _back(replace(part, warp=wires), turned)


def bent_wire(part: Part, rng: np.random.Generator) -> Part:
    """One wire that leaves its lane over some cells, towards its neighbour or over it."""
    part, turned = _either_way(part, rng)
    span = rng.uniform(22, 62)
    push = rng.uniform(0.22, 1.05) * part.pitch * rng.choice([-1, 1])
    lane, along = _spot(part, rng, margin=span * 0.8)
    place = np.clip((STEPS - along) / span, -1, 1)
    skew = place + rng.uniform(-0.3, 0.3) * (1 - place**2)
    bump = np.cos(np.pi / 2 * skew) ** 2
    if rng.random() < 0.3:
        bump = np.sin(np.pi * skew) * np.cos(np.pi / 2 * skew)

    row = slice(lane, lane + 1)
    bent = Wires(part.warp.centre[row], part.warp.radius[row], part.warp.lift[row], part.warp.tone[row]).copy()
    bent.centre[:] += push * bump
    # Where it lies on its neighbour it has to climb on top of it.
    bent.lift[:] += 1.5 * bent.radius * np.clip(np.abs(push * bump) / part.pitch - 0.45, 0, 0.5) * 2
    wires = part.warp.copy()
    wires.radius[lane] = 0
    return _back(replace(part, warp=wires, loose_warp=(bent,)), turned)


def _either_way(part: Part, rng: np.random.Generator) -> tuple[Part, bool]:
    turned = bool(rng.random() < 0.5)
    return (part.turned() if turned else part), turned


def _back(part: Part, turned: bool) -> Part:
    return part.turned() if turned else part


def _spot(part: Part, rng: np.random.Generator, margin: float) -> tuple[int, float]:
    """A wire well inside the picture and a place along it."""
    reach = int((SIZE / 2 - 25) / part.pitch)
    lane = LANES + int(rng.integers(-reach, reach + 1))
    return lane, float(rng.uniform(-1, 1) * (SIZE / 2 - margin))


def _cut(wires: Wires, lane: int, start: float, stop: float, bend: float, rng: np.random.Generator) -> None:
    """Remove wire `lane` between `start` and `stop` px in place, its two ends bent by up to `bend` px."""
    outside = np.maximum(start - STEPS, STEPS - stop)
    wires.radius[lane] *= np.sqrt(np.clip((outside + 1) / 3, 0, 1))
    before = (start + stop) / 2 > STEPS
    for end in (before, ~before):
        curl = np.exp(-np.maximum(outside[end], 0) / rng.uniform(3, 8))
        wires.centre[lane, end] += bend * rng.uniform(0.4, 1) * rng.choice([-1, 1]) * curl
        wires.lift[lane, end] += rng.uniform(-0.4, 1.0) * bend * curl
