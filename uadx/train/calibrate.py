"""What the held-out good images say of a trained model: level scales, scores, peaks and base levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.api import ModelArtifact
from uadx.devices.compiling import Request
from uadx.devices.opened import open_model
from uadx.files import write_whole
from uadx.pipeline.batches import run_batch
from uadx.scoring.familiarity import base_levels, base_range
from uadx.scoring.fusion import FUSIONS, Fusion, Scoring, anomaly_maps, image_scores, level_scales

CHUNK = 64
"""Maps fused at once: the product's have the input's size, too much for thousands."""

Maps = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Calibrated:
    """The scoring, and for each fusion the held-out scores and highest map values (ascending) and the base levels'
    lowest and highest value, as the manifest keeps them."""

    scoring: Scoring
    scores: dict[str, tuple[float, ...]]
    peaks: dict[str, tuple[float, ...]]
    base_ranges: dict[str, tuple[float, float]]


def calibrate(maps: Maps, size: tuple[int, int]) -> Calibrated:
    """Calibrate on the level maps of the held-out good images. size: the model's input height and width."""
    scoring = Scoring(levels=level_scales(maps))
    scores: dict[str, tuple[float, ...]] = {}
    peaks: dict[str, tuple[float, ...]] = {}
    base_ranges: dict[str, tuple[float, float]] = {}
    for fusion in FUSIONS:
        fused = _fused(maps, scoring, fusion, size)
        scores[fusion] = tuple(sorted(fused["scores"]))
        peaks[fusion] = tuple(sorted(fused["peaks"]))
        if found := base_range(fused["bases"]):
            base_ranges[fusion] = found
    return Calibrated(scoring, scores, peaks, base_ranges)


def _fused(maps: Maps, scoring: Scoring, fusion: Fusion, size: tuple[int, int]) -> Mapping[str, list[float]]:
    values: dict[str, list[float]] = {"scores": [], "peaks": [], "bases": []}
    for start in range(0, len(maps["level1"]), CHUNK):
        chunk = {name: level[start : start + CHUNK] for name, level in maps.items()}
        fused = anomaly_maps(chunk, scoring, fusion, size)
        values["scores"] += image_scores(fused, scoring, fusion).tolist()
        values["peaks"] += fused.max(axis=(1, 2)).tolist()
        values["bases"] += base_levels(fused).tolist()
    return values


def held_out_maps(model: bytes, images: NDArray[np.uint8], path: Path) -> Maps:
    """Level maps of the exported graph, run by the same backend and code as `uadx run` runs it on the CPU."""
    write_whole(path, model)
    artifact = ModelArtifact(path, "onnx", "")
    opened = open_model(Request((artifact,), max_batch=8), "cpu")
    with opened.compiled as compiled:
        parts = [run_batch(compiled, images[start : start + 8]) for start in range(0, len(images), 8)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
