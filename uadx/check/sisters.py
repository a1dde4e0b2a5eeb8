"""Are there several pictures of each part? Then most images have one that is far more like them than all others.

Such sisters on both sides of a split make a test, or a calibration, of parts that the student knows. By likeness alone
nobody can say which pictures are of one part: this tells that there are such, and who has them must say which.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from uadx.check.findings import Finding
from uadx.check.survey import SIDE, Facts, Survey
from uadx.evaluation.layout import GOOD
from uadx.plural import counted

LEAST = 100
"""Images below which there is no telling."""
OTHERS = 12
"""The neighbour that stands for "all others": more pictures of one part than that are rare."""
CLOSE = 0.25
"""How far the nearest is, of how far the OTHERS-th is, for most images of a set with sisters: .11 on magnetic_tile, of
whose tiles six pictures were taken each; .48 there with one picture of each, .53 on the mesh, .85 of photographs."""
_ASKED = 500


def sisters(survey: Survey) -> Iterator[Finding]:
    taught, tested = survey.of("train"), survey.of("test", GOOD)
    among = _thumbnails_of(taught)
    if tested and have_sisters(_thumbnails_of(tested), among, same=False):
        yield Finding(
            "same parts in train and test",
            "warning",
            f"most of the {counted(len(tested), 'good image')} to test on have one to train on that is far more like "
            "them than the others: pictures of the same parts?",
            "keep all pictures of a part on one side, or the test flatters: new parts are harder",
            [],
        )
    if have_sisters(among, among, same=True):
        yield Finding(
            "several pictures of a part",
            "warning",
            f"most of the {counted(len(taught), 'good image')} to train on have another that is far more like them "
            "than the rest: several pictures of each part?",
            "say which show one part, or the threshold will be too low for new parts: uadx train --same-part",
            [],
        )


def _thumbnails_of(images: list[Facts]) -> NDArray[np.float32]:
    return np.array([image.thumbnail for image in images], np.float32).reshape(-1, SIDE, SIDE)


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 [N, H, W, 3] -> float32 [N, SIDE, SIDE], grey."""
    small = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]
    return np.asarray(np.stack(small).mean(axis=3), np.float32)


def have_sisters(asked: NDArray[np.float32], among: NDArray[np.float32], *, same: bool) -> bool:
    """Whether most of some thumbnails [N, SIDE, SIDE] have a sister among others [M, SIDE, SIDE]. same: these are the
    same images, and each is no sister of its own."""
    if len(asked) == 0 or len(among) < LEAST:
        return False
    chosen = np.random.default_rng(0).permutation(len(asked))[:_ASKED]
    alike = _described(asked[chosen]) @ _described(among).T
    if same:
        alike[np.arange(len(chosen)), chosen] = -np.inf
    ranked = -np.partition(-alike, (0, OTHERS), axis=1)
    apart = (1 - ranked[:, 0]) / np.maximum(1 - ranked[:, OTHERS], 1e-6)
    return bool(np.median(apart) < CLOSE)


def _described(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """What differs from place to place, whatever the light: vectors [N, SIDE * SIDE] of length 1."""
    rough = np.stack([cv2.GaussianBlur(one, (0, 0), SIDE / 5) for one in thumbnails])
    vectors = (thumbnails - rough).reshape(len(thumbnails), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    found: NDArray[np.float32] = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6)
    return found
