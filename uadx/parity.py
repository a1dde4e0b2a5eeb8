"""Do a device's level maps repeat the reference? Compares a compiled model with a bundle's golden vectors.

What a device may differ by depends on the precision that really ran, never on the device. Measured on the shipped
bundle, where level maps reach 0.6: float32 4.8e-7 at most (OpenVINO, ONNX Runtime, torch), float16 2.7e-4 (torch),
bfloat16 2.7e-3 (torch); of a model of magnetic_tile int8 1.3e-2, beside the reference of its own graph. TF32, which
calls itself float32, keeps as many bits as float16 and is told from float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uadx.bundle.reader import Bundle, Golden
from uadx.errors import UadxError
from uadx.scoring.fusion import anomaly_maps, image_scores

LevelMaps = Mapping[str, NDArray[np.floating]]


class ParityError(UadxError):
    """A model that runs where it was asked to, and gives other numbers than the reference."""

    exit_code = 6


@dataclass(frozen=True)
class Tolerance:
    """Absolute differences of level maps that a precision may show: the largest, and the mean of a level."""

    maximum: float
    mean: float


TOLERANCES = {
    "f32": Tolerance(5e-5, 5e-6),
    "tf32": Tolerance(3e-3, 3e-4),
    "f16": Tolerance(3e-3, 3e-4),
    "bf16": Tolerance(1e-2, 1e-3),
    "int8": Tolerance(3e-2, 5e-3),
}


def tolerance_for(precision: str) -> Tolerance:
    """What a precision may differ by. A runtime that does not say its precision is held to float32's."""
    return TOLERANCES.get(precision, TOLERANCES["f32"])


@dataclass(frozen=True)
class LevelDifference:
    """How far one level's maps are from the reference, over all images; infinite where they are no numbers."""

    maximum: float
    mean: float


@dataclass(frozen=True)
class Parity:
    """The outcome of a comparison. score: largest difference of an image score. flips: verdicts that changed."""

    precision: str
    tolerance: Tolerance
    images: int
    levels: dict[str, LevelDifference]
    score: float
    flips: int

    @property
    def passed(self) -> bool:
        """Whether every level is within the tolerance. A verdict may flip only where its score is that close."""
        return all(
            level.maximum <= self.tolerance.maximum and level.mean <= self.tolerance.mean
            for level in self.levels.values()
        )


def compare(
    bundle: Bundle, infer: Callable[[NDArray[np.uint8]], LevelMaps], precision: str, *, images: int | None = None
) -> Parity:
    """Run golden images (the first `images`, default all) one by one and compare what comes with the reference.

    infer: uint8 RGB [N, H, W, 3] -> level maps [N, h, w] by name.
    """
    golden = _first(bundle.golden, images)
    rows = [infer(golden.images[index : index + 1]) for index in range(len(golden.images))]
    maps = {name: np.concatenate([row[name] for row in rows]).astype(np.float32) for name in golden.maps}
    differences = {name: _difference(maps[name], expected) for name, expected in golden.maps.items()}
    expected_scores, scores = _scores(bundle, golden.maps), _scores(bundle, maps)
    threshold = bundle.calibration("quantile").threshold(bundle.manifest.default_fpr)
    return Parity(
        precision,
        tolerance_for(precision),
        len(golden.images),
        differences,
        _largest(scores - expected_scores),
        int(((scores > threshold) != (expected_scores > threshold)).sum()),
    )


def require(parity: Parity, where: str, backend: str) -> None:
    """Raise ParityError where the comparison failed. where: "openvino:CPU"."""
    if parity.passed:
        return
    allowed = parity.tolerance

    def excess(name: str) -> float:
        level = parity.levels[name]
        return max(level.maximum / allowed.maximum, level.mean / allowed.mean)

    worst = max(parity.levels, key=excess)
    found = parity.levels[worst]
    raise ParityError(
        f"{where} does not repeat the model's golden vectors in {parity.precision}",
        backend=backend,
        stage="checking its numbers",
        cause_text=f"{worst} differs by {beside(found.maximum, allowed.maximum)} at most and "
        f"{beside(found.mean, allowed.mean)} in the mean; "
        f"{parity.precision} may differ by {allowed.maximum:g} and {allowed.mean:g}",
        hint="its numbers cannot be trusted: update its driver, or choose another --device or --precision; "
        "--no-verify runs it all the same",
    )


def beside(value: float, allowed: float) -> str:
    """A value in two digits, or in as many more as show whether it is above what is allowed."""
    texts = (f"{value:.{digits}g}" for digits in range(2, 18))
    return next(text for text in texts if (float(text) > allowed) == (value > allowed))


def _first(golden: Golden, images: int | None) -> Golden:
    return Golden(golden.images[:images], {name: maps[:images] for name, maps in golden.maps.items()})


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> LevelDifference:
    if found.shape != expected.shape:
        return LevelDifference(float("inf"), float("inf"))
    difference = np.abs(found.astype(np.float64) - expected)
    return LevelDifference(_largest(difference), _finite(float(difference.mean())))


def _largest(values: NDArray[np.float64]) -> float:
    return _finite(float(np.abs(values).max()))


def _finite(value: float) -> float:
    return value if np.isfinite(value) else float("inf")


def _scores(bundle: Bundle, maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    size, scoring = bundle.manifest.input, bundle.manifest.scoring
    return image_scores(anomaly_maps(maps, scoring, "quantile", (size.height, size.width)), scoring, "quantile")
