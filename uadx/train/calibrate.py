"""What the held-out good images say of a trained model: level scales and trust, scores, peaks and base levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.api import ModelArtifact, Precision
from uadx.devices.compiling import Request
from uadx.devices.opened import open_model
from uadx.images.framing import Cut
from uadx.pipeline.batches import run_batch
from uadx.scoring.familiarity import base_levels, base_range
from uadx.scoring.fusion import FUSIONS, Fusion, LevelScale, Scoring, anomaly_maps, contents, level_scales
from uadx.scoring.windows import highest_scores, joined
from uadx.train.dataset import Part
from uadx.train.trust import MOST, level_weights, pasted

CHUNK = 64
"""Windows, at least, whose maps are fused at once: the product's have the input's size, too much for thousands."""
SAMPLED = 512
"""Held-out windows, at the most, on which the trust in the levels is found."""

Maps = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Calibrated:
    """The scoring, and for each fusion the held-out scores and highest map values (ascending) and the base levels'
    lowest and highest value, as the manifest keeps them. most_windows: of one image. ranked: the images' places, the
    highest score of `quantile` first."""

    scoring: Scoring
    scores: dict[str, tuple[float, ...]]
    peaks: dict[str, tuple[float, ...]]
    base_ranges: dict[str, tuple[float, float]]
    most_windows: int
    ranked: tuple[int, ...]


def scaled(maps: Maps, spoilt: Maps, shown: Sequence[tuple[int, int]], size: tuple[int, int]) -> Scoring:
    """The scale of each level from the held-out windows, and how far it is trusted from such with pasted defects.

    shown: the part of each that shows its image, the held-out ones' first.
    """
    count = len(maps["level1"])
    levels = scales(maps, shown[:count], size)
    few = {name: level[:MOST] for name, level in maps.items()}
    weights = level_weights(Scoring(levels=levels), few, spoilt, [*shown[:count][:MOST], *shown[count:]], size)
    return Scoring(
        levels={name: msgspec.structs.replace(level, weight=weights[name]) for name, level in levels.items()}
    )


def scales(maps: Maps, shown: Sequence[tuple[int, int]], size: tuple[int, int]) -> dict[str, LevelScale]:
    """The scale of each level from the maps of the held-out windows, all levels trusted alike."""
    return level_scales({name: contents(level, shown, size) for name, level in maps.items()})


def calibrate(scoring: Scoring, maps: Maps, cuts: Sequence[Cut], size: tuple[int, int]) -> Calibrated:
    """Calibrate on the level maps of the held-out good images, those of all windows of one after the other.

    cuts: where each image's windows lie; size: the model's input, height and width in pixels.
    """
    scores: dict[str, tuple[float, ...]] = {}
    peaks: dict[str, tuple[float, ...]] = {}
    base_ranges: dict[str, tuple[float, float]] = {}
    ranked: dict[str, tuple[int, ...]] = {}
    for fusion in FUSIONS:
        fused = _fused(maps, scoring, fusion, cuts, size)
        scores[fusion] = tuple(sorted(fused["scores"]))
        ranked[fusion] = tuple(int(place) for place in np.argsort(-np.array(fused["scores"]), kind="stable"))
        peaks[fusion] = tuple(sorted(fused["peaks"]))
        if found := base_range(fused["bases"]):
            base_ranges[fusion] = found
    most = max(len(cut.corners) for cut in cuts)
    return Calibrated(scoring, scores, peaks, base_ranges, most, ranked["quantile"])


def _fused(
    maps: Maps, scoring: Scoring, fusion: Fusion, cuts: Sequence[Cut], size: tuple[int, int]
) -> Mapping[str, list[float]]:
    values: dict[str, list[float]] = {"scores": [], "peaks": [], "bases": []}
    for windows, some in _chunks(cuts):
        chunk = {name: level[windows] for name, level in maps.items()}
        fused = joined(anomaly_maps(chunk, scoring, fusion, size), some, size)
        values["scores"] += highest_scores(fused, some, size, scoring, fusion).tolist()
        values["peaks"] += [float(one.max()) for one in fused]
        values["bases"] += base_levels(fused).tolist()
    return values


def _chunks(cuts: Sequence[Cut]) -> Iterator[tuple[slice, list[Cut]]]:
    """Whole images with CHUNK windows or some more: which windows, and the images' cuts."""
    start = end = 0
    some: list[Cut] = []
    for cut in cuts:
        some.append(cut)
        end += len(cut.corners)
        if end - start >= CHUNK:
            yield slice(start, end), some
            start, some = end, []
    if some:
        yield slice(start, end), some


def calibrated(model: Path, held_out: Part, seed: int) -> Calibrated:
    """Run an exported graph on the held-out good images, as they are and spoilt, and calibrate it.

    seed: of the defects that are drawn.
    """
    windows, shown = held_out.windows, [(int(high), int(wide)) for high, wide in held_out.shown]
    size = windows.shape[1], windows.shape[2]
    chosen = range(0, len(windows), -(-len(windows) // SAMPLED))
    spoilt, shown_spoilt = pasted(windows[chosen], [shown[index] for index in chosen], seed)
    maps = level_maps(model, windows)
    scoring = scaled(maps, level_maps(model, spoilt), [*shown, *shown_spoilt], size)
    return calibrate(scoring, maps, held_out.cuts, size)


def level_maps(path: Path, images: NDArray[np.uint8], precision: Precision = "f32") -> Maps:
    """Level maps of an exported graph, run by the same backend and code as `uadx run` runs it on the CPU."""
    artifact = ModelArtifact(path, "onnx", "", precision="int8" if precision == "int8" else "")
    opened = open_model(Request((artifact,), precision, max_batch=8), "cpu")
    with opened.compiled as compiled:
        parts = [run_batch(compiled, images[start : start + 8]) for start in range(0, len(images), 8)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
