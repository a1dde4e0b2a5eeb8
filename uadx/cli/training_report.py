"""What a person is told of a new calibration: its threshold, and the false-alarm rates that it certifies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uadx.bundle.manifest import Manifest
from uadx.plural import counted
from uadx.scoring.calibration import Calibration
from uadx.train.enough import takes


def certified(manifest: Manifest, what: str, output: Path, held_out: float) -> Iterator[str]:
    """Lines to print. what: what was done to get there; output: the bundle; held_out: the share of the good images
    that calibrate."""
    calibration = Calibration(manifest.calibration["quantile"])
    count, rate = len(manifest.training.held_out), manifest.default_fpr
    tiles = "" if manifest.input.tiling is None else f", for {manifest.input.tiling}"
    yield f"{what}: threshold {calibration.threshold(rate):.4g} for a false-alarm rate of {rate:.2g}{tiles}"
    if rate > calibration.default_fpr():  # by parts, of which each has several pictures
        parts = Calibration([0.0] * (round(1 / rate) - 1))
        needed = takes(parts, held_out).replace("good images", "good parts")
        yield f"{counted(len(parts.scores), 'held-out part')} certify no lower rate: {needed}"
    elif needed := takes(calibration, held_out):
        certify = "certifies" if count == 1 else "certify"
        yield f"{counted(count, 'held-out image')} {certify} no lower rate: {needed}"
    else:
        yield f"rates of {calibration.lowest_fpr:.2g} and more are certified (uadx run --fpr)"
    yield f"next: uadx run --model {output} --input DIR"
