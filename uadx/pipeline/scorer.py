"""From level maps to results: fused, scored, judged against the threshold, regions found. Knows no device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uadx.bundle.reader import Bundle
from uadx.errors import InferenceError
from uadx.images.source import Source
from uadx.pipeline.windows import Complete, Item
from uadx.result import Result
from uadx.scoring.calibration import Thresholds
from uadx.scoring.familiarity import base_level
from uadx.scoring.fusion import Fusion, anomaly_maps
from uadx.scoring.windows import highest_scores, joined


class Scorer:
    """One bundle's scoring by one fusion. load: reads an image again when its result is asked for it later."""

    def __init__(self, bundle: Bundle, fusion: Fusion, load: Callable[[Source], NDArray[np.uint8]]) -> None:
        self.fusion: Fusion = fusion
        self.calibration = bundle.calibration(fusion) if bundle.calibrated else None
        self._unfamiliar_above = bundle.unfamiliar_above(fusion) if bundle.calibrated else None
        self._scoring = bundle.manifest.scoring
        self._size = (bundle.manifest.input.height, bundle.manifest.input.width)
        self._model = {"name": bundle.manifest.name, "sha256": bundle.sha256}
        self._load = load

    def results(self, complete: Complete, thresholds: Thresholds) -> list[Result]:
        """One result for each item. Raises InferenceError where a score is not a number."""
        start = time.perf_counter()
        feature_maps: list[NDArray[np.float32]] = []
        scores = np.empty(0)
        if complete.maps:
            cuts = [item.cut for item in complete.items if item.cut is not None]
            fused = anomaly_maps(complete.maps, self._scoring, self.fusion, self._size)
            feature_maps = joined(fused, cuts, self._size)
            scores = highest_scores(feature_maps, cuts, self._size, self._scoring, self.fusion)
        good = iter(zip(feature_maps, scores, strict=True))
        fusion_ms = ms_since(start) / max(1, len(scores))
        results = []
        for item in complete.items:
            fields = self._fields(item, thresholds)
            if item.error is not None:
                fields["error"] = {"type": item.error.kind, "message": item.error.in_one_line}
                results.append(Result(fields, item.source, self._load, error=item.error))
                continue
            start = time.perf_counter()
            feature_map, score = next(good)
            if not np.isfinite(score):  # NaN > threshold is False, and would be a verdict of OK
                raise _no_number(fields["device"], item.source)
            if self._unfamiliar_above is not None:
                fields["unfamiliar"] = bool(base_level(feature_map) > self._unfamiliar_above)
            result = self._inspected(item, fields, feature_map.copy(), float(score))
            fields["ms"]["infer"] = round(item.infer_ms, 3)
            fields["ms"]["score"] = round(fusion_ms + ms_since(start), 3)
            results.append(result)
        return results

    def _inspected(self, item: Item, fields: dict[str, Any], feature_map: NDArray[np.float32], score: float) -> Result:
        assert item.image is not None
        height, width = item.image.shape[:2]
        fields |= {
            "image_size": [height, width],
            "score": score,
            "p_value": None if self.calibration is None else self.calibration.p_value(score),
        }
        result = Result(fields, item.source, self._load, feature_map=feature_map)
        result.hold(item.image)
        result.judge()
        return result

    def _fields(self, item: Item, thresholds: Thresholds) -> dict[str, Any]:
        return {
            "input_path": item.source.label,
            "frame": item.source.frame and item.source.frame.as_json(),
            "image_size": None,
            "windows": 0 if item.cut is None else len(item.cut.corners),
            "score": None,
            "threshold": thresholds.image,
            "pixel_threshold": thresholds.pixel,
            "is_anomaly": None,
            "p_value": None,
            "unfamiliar": None,
            "regions": [],
            "model": dict(self._model),
            "device": dict(item.device or {}),
            "ms": {"decode": round(item.decode_ms, 3), "infer": None, "score": None},
            "error": None,
        }


def _no_number(device: Mapping[str, Any], source: Source) -> InferenceError:
    return InferenceError(
        f"{device['used']} gave level maps that are not numbers for {source.label}",
        backend=device["backend"],
        stage="scoring",
        hint="the precision may overflow: try --precision f32; or the model's weights are damaged",
    )


def ms_since(start: float) -> float:
    """Milliseconds since a time.perf_counter()."""
    return (time.perf_counter() - start) * 1e3
