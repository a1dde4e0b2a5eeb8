"""What a person is told of a new calibration: its threshold, and the false-alarm rates that it certifies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from uadx.bundle.manifest import Manifest
from uadx.plural import counted
from uadx.scoring.calibration import DEFAULT_FPR, Calibration

FEW = 4
"""Held-out images, below which a verdict is a guess."""


def certified(manifest: Manifest, what: str, output: Path, held_out: float) -> Iterator[str]:
    """Lines to print. what: what was done to get there; output: the bundle; held_out: the share of the good images
    that calibrate."""
    calibration = Calibration(manifest.calibration["quantile"])
    count, rate = len(manifest.training.held_out), manifest.default_fpr
    tiles = "" if manifest.input.tiling is None else f", for {manifest.input.tiling}"
    yield f"{what}: threshold {calibration.threshold(rate):.4g} for a false-alarm rate of {rate:.2g}{tiles}"
    if rate > DEFAULT_FPR:
        needed = math.ceil((math.ceil(1 / DEFAULT_FPR - 1e-9) - 1) / held_out - 1e-9)
        yield f"{count} held-out images certify no lower rate; {DEFAULT_FPR:g} takes {needed} good images"
    else:
        yield f"rates of {calibration.lowest_fpr:.2g} and more are certified (uadx run --fpr)"
    if count < FEW:
        yield (
            f"warning: {counted(count, 'held-out image')} make no threshold to rely on: 1 good part in {count + 1} may"
            " lie above it. Look at scores and heat maps until there are 20 good images, better 200"
        )
    yield f"next: uadx run --model {output} --input DIR"
