"""What a run's report says beside its results: model, device, threshold and where it came from."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from uadx import __version__
from uadx.images.naming import printable
from uadx.pipeline.pipeline import Pipeline


class Facts(msgspec.Struct, frozen=True):
    """threshold_from: "model", "fpr" or "own"; fpr: the rate of the first two. calibration: the held-out scores,
    ascending; empty where images are cut otherwise than the model was calibrated for. seconds: of this run, without the
    `resumed` results that were there already. left_out: results that the report has no row for, filled in by it."""

    input: str
    model: str
    sha256: str
    made_by: str
    device: dict[str, Any]
    threshold: float
    threshold_from: str
    fpr: float | None
    calibration: tuple[float, ...]
    resumed: int
    seconds: float
    finished: str
    left_out: int = 0
    version: str = __version__


def facts_of(pipeline: Pipeline, what: str, resumed: int, seconds: float) -> Facts:
    """The facts of a run that ends now. what: its input as the user named it."""
    inspector, config = pipeline.inspector, pipeline.config
    manifest = inspector.bundle.manifest
    own = config.threshold is not None
    return Facts(
        input=printable(what),
        model=manifest.name,
        sha256=inspector.bundle.sha256,
        made_by=manifest.created_by,
        device=inspector.device_fields,
        threshold=inspector.thresholds.image,
        threshold_from="own" if own else "fpr" if config.fpr else "model",
        fpr=None if own else config.fpr or manifest.default_fpr,
        calibration=() if inspector.calibration is None else tuple(inspector.calibration.scores),
        resumed=resumed,
        seconds=seconds,
        finished=time.strftime("%Y-%m-%d %H:%M %z"),
    )
