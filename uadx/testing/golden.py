"""Models with known answers: what a backend compiles for the kit, and what float64 says it must give.

The small ones are made by benchmarks/conformance_models.py in the repository.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uadx.api import ModelArtifact
from uadx.bundle.reader import open_bundle

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Golden:
    """A model, images uint8 [N, H, W, 3] for its input `image`, and its outputs float32 for them by name."""

    name: str
    artifact: ModelArtifact
    images: NDArray[np.uint8]
    expected: dict[str, NDArray[np.float32]]

    def batch(self, size: int, start: int = 0) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
        """A batch of any size, the images from `start` over and over, and its answers."""
        index = np.arange(start, start + size) % len(self.images)
        return self.images[index], {name: value[index] for name, value in self.expected.items()}


@cache
def small(name: str) -> Golden:
    """`relu` (two outputs of one shape), `conv_bn`, or `stfpm` (a bundle's graph with few channels)."""
    path = MODELS / f"{name}.onnx"
    with np.load(MODELS / f"{name}.npz", allow_pickle=False) as arrays:
        expected = {key: arrays[key] for key in arrays.files}
    artifact = ModelArtifact(path, "onnx", hashlib.sha256(path.read_bytes()).hexdigest())
    return Golden(name, artifact, expected.pop("image"), expected)


@cache
def default_bundle() -> Golden:
    """The bundle that ships with uadx: ResNet-18, 256 x 256."""
    bundle = open_bundle()
    return Golden("the default bundle", bundle.artifact, bundle.golden.images, bundle.golden.maps)
