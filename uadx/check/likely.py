"""Good images that may not be good: each is compared with all the others by the teacher's features.

A leave-one-out nearest-neighbour score (PatchCore, Roth et al., CVPR 2022, without its coreset) on layer2 and layer3:
an image whose patches have no like in any other image is either rare or defective. Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uadx.check.survey import Facts
from uadx.cores import limit_torch
from uadx.images.decode import Limits, load
from uadx.images.preprocess import letterbox
from uadx.images.sources import expand
from uadx.stfpm.network import Trunk, normalise_pixels
from uadx.stfpm.weights import unfold
from uadx.train.teacher import load_teacher

SIDE = 256
MEMORY = 4_096
"""Patches of all images together that each is compared with."""
TOP = 0.02
"""The share of an image's patches that makes its score."""
FAR = 3.0
"""Robust standard deviations above the median from which an image is called likely to be defective."""
BATCH = 8


def unusual(images: Sequence[Facts], on_image: Callable[[int, int], None]) -> list[tuple[Facts, float]]:
    """The images with their score in robust standard deviations above the median, the most unusual first.

    Those above FAR are likely to be defective. Needs at least five images; fewer give none.
    """
    if len(images) < 5:
        return []
    limit_torch()
    extract = PatchFeatures("default")
    count = max(1, MEMORY // len(images))
    rng = np.random.default_rng(0)
    kept = [
        features[torch.from_numpy(rng.permutation(len(features))[:count])]
        for features in _patches(extract, images, lambda done: on_image(done, 2 * len(images)))
    ]
    owner = torch.repeat_interleave(torch.arange(len(kept)), torch.tensor([len(part) for part in kept]))
    memory = torch.cat(kept)
    squares = memory.square().sum(1)
    scores = np.empty(len(images))
    with torch.inference_mode():
        for index, features in enumerate(
            _patches(extract, images, lambda done: on_image(len(images) + done, 2 * len(images)))
        ):
            distance = squares - 2 * features @ memory.T
            distance[:, owner == index] = torch.inf
            nearest = (distance.min(1).values + features.square().sum(1)).clamp_min(0).sqrt()
            scores[index] = float(nearest.topk(max(1, round(TOP * len(nearest)))).values.mean())
    away = scores - np.median(scores)
    spread = 1.4826 * float(np.median(np.abs(away))) + 1e-9
    order = np.argsort(-away)
    return [(images[index], float(away[index] / spread)) for index in order]


class PatchFeatures:
    """A teacher's layer2 and layer3, each feature the mean of its 3x3 neighbourhood, joined at layer3's size."""

    def __init__(self, teacher: str) -> None:
        self._teacher = Trunk().eval()
        self._teacher.load(unfold(load_teacher(teacher).weights))
        self._pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> Tensor:
        """uint8 RGB [N, H, W, 3] -> [N, 384, H / 16, W / 16]."""
        levels = self._teacher(normalise_pixels(torch.from_numpy(images)))
        fine, coarse = (self._pool(level.float()) for level in levels[1:])
        fine = nn.functional.adaptive_avg_pool2d(fine, coarse.shape[2:])
        # each level as a unit vector, so that neither drowns the other
        return torch.cat([nn.functional.normalize(level) for level in (fine, coarse)], 1)


def _patches(extract: PatchFeatures, images: Sequence[Facts], on_image: Callable[[int], None]) -> Iterator[Tensor]:
    """The patches of one image after another: [N, 384]."""
    for start in range(0, len(images), BATCH):
        batch = np.stack([_read(image.path) for image in images[start : start + BATCH]])
        for number, one in enumerate(extract(batch), start + 1):
            yield one.flatten(1).T.contiguous()
            on_image(number)


def _read(path: Path) -> NDArray[np.uint8]:
    (source,) = expand(path)
    return letterbox(load(source, Limits()), SIDE, SIDE).pixels
